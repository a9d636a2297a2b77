"""Rendering: every file of a design in plain form, so that nothing of a cluster is hidden from its owner."""

from collections.abc import Iterable

from holdfast.design.design import Design
from holdfast.model.parts import Archive, Directory, File, Link, Package, Part, Step, Unit, User


def rendered(design: Design) -> dict[str, str]:
    """Return path (``HOST/etc/…``) → text for every file, plus one ``HOST/PARTS.txt`` that names the rest.

    Secrets and certificates appear as marks (``@@name@@``), never as values.
    """
    files: dict[str, str] = {}
    for host in design.spec.hosts:
        lines: list[str] = []
        for member in design.on(host.name):
            parts = design.parts[member]
            files |= {f"{host.name}{part.path}": part.content for part in parts if isinstance(part, File)}
            lines += [f"# {member.name}", *_sentences(parts), ""]
        files[f"{host.name}/PARTS.txt"] = "\n".join(lines)
    return files


def _sentences(parts: Iterable[Part]) -> list[str]:
    return [line for part in parts if (line := sentence(part))]


def sentence(part: Part) -> str:
    """Return a part in one line of words; "" for parts that live only on the operator's side."""
    match part:
        case Package():
            return f"package {part.name}"
        case User():
            return f"user {part.name}"
        case Directory():
            return f"directory {part.path} ({part.owner}:{part.group} {part.mode:04o})"
        case File():
            return f"file {part.path} ({part.owner}:{part.group} {part.mode:04o}){_after(part)}"
        case Archive():
            return f"archive {part.path} from {part.source} {part.digest[:12]}"
        case Link():
            return f"link {part.path} -> {part.target}{_after(part)}"
        case Unit():
            return f"unit {part.name} {'enabled and running' if part.running else 'off'}"
        case Step():
            return f"step {part.name}: {' '.join(part.argv)}"
    return ""


def _after(part: File | Link) -> str:
    return f", a change does {part.effect.word} to {part.unit}" if part.unit else ""
