"""The application on one host: its files, its environment, its unit."""

import shlex

from holdfast.components.app.spec import AppOptions
from holdfast.model.component import Context, Declaration, Need, Offer, Tie
from holdfast.model.parts import Archive, Effect, File, Link, Package, Part, Unit, User, value
from holdfast.model.spec import Host, Spec
from holdfast.model.templates import program, render

UNIT = "app.service"
ROOT = "/opt/holdfast/app"
ENVIRONMENT = "/etc/holdfast/app.env"
AUTHORITY = "/etc/holdfast/ca.crt"
# Beside the application: what tells the edges how busy its host is.
LOAD, LOAD_UNIT, LOAD_PORT = "/usr/local/lib/holdfast/app-load", "app-load.service", 7902
USER = "app"


def place(spec: Spec) -> tuple[str, ...]:
    """The hosts of the app layer."""
    return spec.served_by("app", "app")


def declare(spec: Spec, _host: Host) -> Declaration:
    """Offers HTTP to the edge; uses the routes on its own host to wherever the data is led now."""
    options = spec.layers["app"].options
    assert isinstance(options, AppOptions)
    routes = tuple(Need(kind, scope="here", optional=True) for kind in ("local-sql", "local-cache"))
    # Of the servers behind the routes only the names and passwords are needed.
    terms = tuple(Need(kind, optional=True, flow=False) for kind in ("sql", "cache"))
    how = {"health": options.health, "load_port": str(LOAD_PORT)}
    return Declaration((Offer("http", options.port, how),), (*routes, *terms))


def build(context: Context) -> tuple[Part, ...]:
    """Return the parts of one application host."""
    options = context.options
    assert isinstance(options, AppOptions)
    content = render(__package__, "app.env.j2", variables=variables(context, options))
    return (
        *(Package(name) for name in sorted({*options.packages, options.package} - {""})),
        User(USER, home="/var/lib/app"),
        File(ENVIRONMENT, content, mode=0o600, sensitive=True, unit=UNIT, effect=Effect.RESTART),
        *_release(context),
        File(f"/etc/systemd/system/{UNIT}", unit_file(options), unit=UNIT, effect=Effect.RESTART),
        Unit(UNIT),
        *_load(context),
    )


def _load(context: Context) -> tuple[Part, ...]:
    """Return the little service that tells the edges how busy this host is."""
    unit = render(__package__, "load.service.j2", program=LOAD, address=context.host.address, port=LOAD_PORT)
    # It may be away for a moment at any time, and the application goes on: nobody needs to be drained for it.
    return (
        File(LOAD, program(__package__, "load"), mode=0o755, unit=LOAD_UNIT, effect=Effect.RELOAD),
        File(f"/etc/systemd/system/{LOAD_UNIT}", unit, unit=LOAD_UNIT, effect=Effect.RELOAD),
        Unit(LOAD_UNIT),
    )


def _release(context: Context) -> tuple[Part, ...]:
    source = context.spec.sources.get("app")
    if source is None:
        return ()
    # One folder for each release, so that a rollback only turns the link back.
    folder = f"{ROOT}/releases/{source.digest[:12]}"
    return (
        Archive(folder, source.name, source.digest),
        Link(f"{ROOT}/current", folder, unit=UNIT, effect=Effect.RESTART),
    )


def unit_file(options: AppOptions) -> str:
    """Return the systemd unit of the application."""
    return render(
        __package__,
        "app.service.j2",
        command=systemd_words(options.command),
        directory=f"{ROOT}/current" if options.source else "/var/lib/app",
        environment=ENVIRONMENT,
        user=USER,
    )


def systemd_words(command: str) -> str:
    """Return a command's words quoted for ``ExecStart=``: no shell, no specifiers, no variables."""
    return " ".join(_quoted(word).replace("%", "%%").replace("$", "$$") for word in shlex.split(command))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def variables(context: Context, options: AppOptions) -> dict[str, str]:
    """Return the environment, quoted as systemd reads an ``EnvironmentFile``."""
    given = {"HOST": context.host.address, "PORT": str(options.port), **_database(context), **_cache(context)}
    return {name: _quoted(text) for name, text in sorted({**options.environment, **given}.items())}


def _database(context: Context) -> dict[str, str]:
    server, route = _first(context, "sql"), _first(context, "local-sql")
    if server is None or route is None:
        return {}
    query = f"sslmode=verify-full&sslrootcert={AUTHORITY}"
    replica_port = int(route.offer.terms["replica_port"])
    return {
        "DATABASE_URL": _url(server, route.offer.port, f"{server.offer.terms['database']}?{query}"),
        "DATABASE_REPLICA_URL": _url(server, replica_port, f"{server.offer.terms['database']}?{query}"),
    }


def _cache(context: Context) -> dict[str, str]:
    server, route = _first(context, "cache"), _first(context, "local-cache")
    if server is None or route is None:
        return {}
    return {"CACHE_URL": _url(server, route.offer.port, f"0?ssl_ca_certs={AUTHORITY}")}


def _first(context: Context, kind: str) -> Tie | None:
    return next(iter(context.tied(kind)), None)


def _url(server: Tie, port: int, rest: str) -> str:
    terms = server.offer.terms
    return f"{terms['scheme']}://{terms['user']}:{value(terms['secret'])}@127.0.0.1:{port}/{rest}"
