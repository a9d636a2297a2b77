"""The generated reference pages, as text: verbs with their options, and components."""

import ast
import inspect
from collections.abc import Iterator
from typing import Any

import typer.main
from typer.core import TyperArgument, TyperGroup

import house
from holdfast.cli import app
from holdfast.cli.common import Exit
from holdfast.components import registry
from holdfast.design.design import Design
from holdfast.drills.catalogue import disasters_table, faults_of, faults_table, scenarios_table
from holdfast.drills.targets import words
from holdfast.model.component import Component, Need, Offer

FRESH = "<!-- Written by tests/test_docs.py: `make docs` after a change. -->"
EXIT_MEANINGS = {
    Exit.OK: "done; healthy; nothing to report",
    Exit.ERROR: "a fault of the input, or something failed: the message says what, where and why",
    Exit.USAGE: "the command line itself is wrong",
    Exit.DEGRADED: "the cluster is degraded or down, or a host does not answer",
    Exit.UNSAFE: "safety is violated: two leaders, two holders of the address, an acknowledged write lost",
    Exit.UNKNOWN: "it cannot be told: nobody answers, or too little happened for a verdict",
    Exit.DRIFT: "servers differ from what Holdfast left there (`diff`)",
    Exit.LOCKED: "somebody else is changing the cluster; the message says who",
    Exit.INTERRUPTED: "interrupted by Ctrl-C",
}


# The library's own types for these are not public.
Command = Any
Parameter = Any


def verbs() -> dict[str, Command]:
    """Return every command by its words: ``lab power off``."""
    return dict(_walk(typer.main.get_command(app), ()))


def _walk(command: Command, words: tuple[str, ...]) -> Iterator[tuple[str, Command]]:
    # A group that does something by itself (release) is a verb, too.
    if words and (not isinstance(command, TyperGroup) or command.invoke_without_command):
        yield " ".join(words), command
    if isinstance(command, TyperGroup):
        for name, each in command.commands.items():
            yield from _walk(each, (*words, name))


def cli_page() -> str:
    """Return docs/reference/cli.md."""
    text = (
        "Data goes to stdout, talk to stderr. `-o json` gives data with a `schema_version`. "
        "`NO_COLOR` is honoured, and nothing moves when the output is no terminal. `holdfast --install-completion` "
        "sets up completion for your shell. `-h` after any verb shows the same as below."
    )
    sections = [_section(words, command) for words, command in sorted(verbs().items())]
    return "\n".join(["# The command line", "", FRESH, "", text, "", *_exit_codes(), "", *sections])


def _exit_codes() -> list[str]:
    rows = [f"| {code.value} | {meaning} |" for code, meaning in EXIT_MEANINGS.items()]
    return ["## Exit codes", "", "| code | meaning |", "|---|---|", *rows]


def _section(words: str, command: Command) -> str:
    rows = [row for each in command.params if (row := _row(each))]
    table = ["", "| argument or option | meaning |", "|---|---|", *rows] if rows else []
    return "\n".join([f"## holdfast {words}", "", _help(command), *table, ""])


def _help(command: Command) -> str:
    return inspect.cleandoc(command.help or "")


def _row(parameter: Parameter) -> str:
    if parameter.name in ("help", "install_completion", "show_completion"):
        return ""
    help_text = (getattr(parameter, "help", None) or "").replace("|", "\\|")
    return f"| {_name(parameter)} | {help_text}{_default(parameter)} |"


def _name(parameter: Parameter) -> str:
    if isinstance(parameter, TyperArgument):
        word = (parameter.name or "").removesuffix("_s").upper()
        return f"`{word}`" if parameter.required else f"`[{word}]`"
    return ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))


def _default(parameter: Parameter) -> str:
    default = parameter.default
    hidden = default is None or callable(default) or isinstance(default, bool) or str(default) == ""
    shown = getattr(default, "value", default)
    return "" if hidden or isinstance(parameter, TyperArgument) else f" Default: `{shown}`."


def components_page(design: Design) -> str:
    """Return docs/reference/components.md, for the design of the example."""
    intro = (
        "What Holdfast composes. Each has a page of its own: ports, files, why each setting has its value, how it "
        "fails and heals, limits. Kinds are the words in which components meet (see ARCHITECTURE.md)."
    )
    head = ["| component | what it is | layer | offers | needs |", "|---|---|---|---|---|"]
    rows = [_component_row(each, design) for each in registry().values()]
    return "\n".join(["# Components", "", FRESH, "", intro, "", *head, *rows, ""])


def _component_row(component: Component, design: Design) -> str:
    link = f"[{component.name}](../../src/holdfast/components/{component.name}/README.md)"
    offers, needs = _meetings(component, design)
    cells = (link, _purpose(component.name), component.layer, _listed(offers), _listed(needs))
    return f"| {' | '.join(cells)} |"


def _purpose(name: str) -> str:
    doc = ast.get_docstring(house.tree(house.COMPONENTS / name / "__init__.py")) or ""
    return doc.splitlines()[0].rstrip(".")


def _meetings(component: Component, design: Design) -> tuple[set[str], set[str]]:
    hosts = component.place(design.spec)
    declared = component.declare(design.spec, design.spec.host(hosts[0])) if hosts else None
    offers: tuple[Offer, ...] = declared.offers if declared else ()
    needs: tuple[Need, ...] = declared.needs if declared else ()
    return {f"`{each.kind}`" for each in offers}, {f"`{each.kind}`" for each in needs}


def _listed(words: set[str]) -> str:
    return ", ".join(sorted(words))


def faults_page(design: Design) -> str:
    """Return docs/reference/faults.md, for the design of the example."""
    intro = (
        "Every way in which Holdfast breaks a cluster on purpose. Which there are follows from a design; this is the "
        "example's. A fault that needs `power`, `freeze`, `cut`, `loss`, `delay` or `full_disk` needs something "
        "under the machines, such as the lab; the others are done over SSH."
    )
    meanings = [f"| `{word}` | {meaning} |" for word, meaning in words().items()]
    parts = (
        "# Faults and drills",
        FRESH,
        intro,
        "## Faults\n\n" + faults_table(faults_of(design)),
        "## Whom they are aimed at\n\n" + "\n".join(["| word | hosts |", "|---|---|", *meanings]),
        "## Drills\n\n" + scenarios_table(design),
        "## The first set of known disasters\n\n" + disasters_table(design),
    )
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"
