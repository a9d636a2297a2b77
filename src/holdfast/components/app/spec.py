"""Options of the app layer and what can be wrong with them."""

import re
import shlex
from collections.abc import Mapping

from pydantic import Field

from holdfast.model.spec import Complaint, Finding, Options, Spec

# What the layer itself sets; a second value would be a contradiction.
GIVEN = ("CACHE_URL", "DATABASE_REPLICA_URL", "DATABASE_URL", "HOST", "PORT")
# Ports of a host that the stack may take for itself.
TAKEN_PORTS = frozenset({22, 80, 443, 2379, 2380, 5000, 5001, 5002, 5432, 6379, 7901, 7902, 7903, 8008, 26379})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")


class AppOptions(Options):
    """Options of the app layer: any web application."""

    source: str = Field(default="", description="Directory of the application beside this file.")
    package: str = Field(default="", description="Or: the Debian package that brings the application.")
    command: str = Field(default="", description="What is run; no shell, but words as a shell splits them.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port it listens on; it gets it as PORT.")
    health: str = Field(
        default="/healthz", pattern=r"^/[!-~]*$", description="Path that answers 2xx when all is well."
    )
    environment: dict[str, str] = Field(default_factory=dict, description="Further environment variables.")
    packages: tuple[str, ...] = Field(default=(), description="Further Debian packages it needs.")


def options_of(spec: Spec) -> AppOptions | None:
    """Return the options of the app layer when this engine serves it."""
    layer = spec.layers.get("app")
    return layer.options if layer and isinstance(layer.options, AppOptions) else None


def sources(spec: Spec) -> Mapping[str, str]:
    """Return the directory of the application."""
    options = options_of(spec)
    return {"app": options.source} if options and options.source else {}


def check(spec: Spec) -> tuple[Complaint, ...]:
    """Return what is wrong with the options of the app layer."""
    options = options_of(spec)
    if options is None:
        return ()
    return (*_origin(options), *_command(options), *_port(options), *_environment(options), *_packages(options))


def _origin(options: AppOptions) -> tuple[Complaint, ...]:
    if options.source and options.package:
        return (_at("package", "both source and package are given", "give one of them"),)
    if not options.source and not options.package:
        return (
            Complaint(
                ("layers", "app"), "neither source nor package is given", "source: a directory beside this file"
            ),
        )
    return ()


def _command(options: AppOptions) -> tuple[Complaint, ...]:
    hint = "for example: command: python3 -m shop"
    try:
        words = shlex.split(options.command)
    except ValueError as error:
        return (_at("command", f"the command cannot be split into words: {str(error).lower()}", hint),)
    if not words:
        return (Complaint(("layers", "app"), "command is missing", hint),)
    if not options.command.isprintable():
        return (_at("command", "the command holds a control character", hint),)
    return ()


def _port(options: AppOptions) -> tuple[Complaint, ...]:
    if options.port in TAKEN_PORTS:
        return (_at("port", f"port {options.port} is taken by the stack itself", "take another one, such as 8000"),)
    if options.port < 1024:
        return (_at("port", f"port {options.port} needs root, which the application has not", "take one above 1023"),)
    return ()


def _environment(options: AppOptions) -> tuple[Complaint, ...]:
    return tuple(each for name, text in options.environment.items() if (each := _variable(name, text)))


def _variable(name: str, text: str) -> Complaint | None:
    path = ("layers", "app", "environment", name)
    if not _NAME.fullmatch(name):
        return Complaint(path, f"{name!r} is no name of an environment variable", "letters, digits and _ only")
    if name in GIVEN:
        return Complaint(path, f"{name} is set by the layer itself", "leave it out")
    if not text.isprintable():
        return Complaint(path, f"the value of {name} holds a line break or control character", "one line of text")
    return None


def _packages(options: AppOptions) -> tuple[Complaint, ...]:
    named = [(("layers", "app", "packages", index), name) for index, name in enumerate(options.packages)]
    own = [(("layers", "app", "package"), options.package)] if options.package else []
    hint = "lower-case letters, digits, + - . only"
    wrong = [(path, name) for path, name in (*own, *named) if not _PACKAGE.fullmatch(name)]
    return tuple(Complaint(path, f"{name!r} is no name of a Debian package", hint) for path, name in wrong)


def _at(key: str, message: str, hint: str) -> Complaint:
    return Complaint(("layers", "app", key), message, hint)


def foresee(spec: Spec) -> tuple[Finding, ...]:
    """Return what a single application host, or a single zone of them, would cost."""
    hosts = spec.served_by("app", "app")
    if len(hosts) == 1:
        return (
            Finding("one host runs the application: without it nothing is served", hosts[0], "add a second host"),
        )
    zones = {spec.host(name).zone for name in hosts}
    if hosts and len(zones) == 1:
        what = f"all application hosts share zone {zones.pop()}: losing it stops the application"
        return (Finding(what, ", ".join(hosts), "put one of them into another zone"),)
    return ()
