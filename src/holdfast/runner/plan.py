"""Planning: what would have to change on the servers, each change with its effect. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import unified_diff
from hashlib import sha256
from typing import Any

from holdfast.design.design import Design
from holdfast.design.render import sentence
from holdfast.model.member import Member
from holdfast.model.parts import Effect, File, Link, Part, Step, Unit, key_of, value, values_in
from holdfast.model.watch import Reading
from holdfast.runner.manifest import travels


@dataclass(frozen=True, slots=True)
class Sight:
    """What a server answered to a look: state of every part, left-over files, and its ledger."""

    states: Mapping[str, Mapping[str, Any]]
    extra: Mapping[str, str]
    ledger: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One change: ``action`` is ``+`` (make), ``~`` (change) or ``-`` (remove); ``drift``: somebody else's doing."""

    member: Member
    key: str
    action: str
    effect: Effect
    what: str
    diff: str = ""
    drift: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the change as plain data."""
        data = {name: getattr(self, name) for name in ("key", "action", "what", "diff", "drift")}
        return {"member": self.member.name, "host": self.member.host, "effect": self.effect.word} | data


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes, in the order they would be made; notes; and hosts that did not answer, with the reason."""

    cluster: str
    digest: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()
    unreachable: Mapping[str, str] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing has to change."""
        return not self.changes

    @property
    def fingerprint(self) -> str:
        """A digest of the changes: two plans with the same one do the same."""
        return sha256(json.dumps([each.as_json() for each in self.changes], sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Return the plan as stable JSON data (``schema_version`` 1); the form in which it is saved."""
        return {
            "schema_version": 1,
            "cluster": self.cluster,
            "digest": self.digest,
            "fingerprint": self.fingerprint,
            "changes": [change.as_json() for change in self.changes],
            "notes": list(self.notes),
            "unreachable": dict(self.unreachable),
        }


def make_plan(
    design: Design, sights: Mapping[str, Sight], unreachable: Mapping[str, str], hidden: Mapping[str, str]
) -> Plan:
    """Compare a design with what was seen. ``hidden`` maps secret values to their names."""
    changes: list[Change] = []
    notes: list[str] = []
    for host in (host.name for host in design.spec.hosts if host.name in sights):
        gone, refused = _removals(host, sights[host])
        notes += refused
        changes += gone
        for member in design.on(host):
            parts = {key_of(part): part for part in design.parts[member]}
            own = member_changes(member, parts.values(), sights[host], hidden)
            own += _followers(member, parts.values(), own)
            changes += [_foretold(change, parts.get(change.key), sights[host]) for change in own]
    ordered = sorted(changes, key=lambda change: _stage(design, change))
    return Plan(design.spec.name, design.digest, tuple(ordered), tuple(notes), unreachable)


def _stage(design: Design, change: Change) -> int:
    for index, stage in enumerate(design.stages):
        if change.member.component in stage:
            return index
    return -1


def member_changes(
    member: Member, parts: Iterable[Part], sight: Sight, hidden: Mapping[str, str]
) -> tuple[Change, ...]:
    """Return the changes of one member, owed reloads and restarts of an interrupted apply among them."""
    own = tuple(part for part in parts if travels(part))
    found = tuple(
        _change(member, part, sight, hidden) for part in own if sight.states[key_of(part)]["state"] != "same"
    )
    changed = {change.key for change in found}
    owed = tuple(
        Change(member, key_of(part), "~", Effect[word.upper()], f"{word} {part.name}: owed by an interrupted apply")
        for part in own
        if isinstance(part, Unit)
        and key_of(part) not in changed
        and (word := sight.ledger["owed"].get(part.name, "none")) != "none"
    )
    return found + owed


def _change(member: Member, part: Part, sight: Sight, hidden: Mapping[str, str]) -> Change:
    state = sight.states[key_of(part)]
    absent = state["state"] == "absent"
    words = sentence(part) + (f" ({state['why']})" if state.get("why") else "")
    diff = _diff(part, state, hidden) if isinstance(part, File) else ""
    return Change(
        member, key_of(part), "+" if absent else "~", _effect(member, part, sight), words, diff, _drifted(part, sight)
    )


def _effect(member: Member, part: Part, sight: Sight) -> Effect:
    # A unit that does not run cannot be interrupted.
    if isinstance(part, (File, Link)) and part.unit:
        unit = sight.states.get(f"unit:{part.unit}", {"state": "same"})
        return part.effect if unit["state"] == "same" or unit.get("active") else Effect.NONE
    return part.effect if isinstance(part, Step) and _runs(member, sight) else Effect.NONE


def _followers(member: Member, parts: Iterable[Part], own: tuple[Change, ...]) -> tuple[Change, ...]:
    """Return the steps that will have to run because a file they read changes; now their state looks right."""
    changed = {change.key for change in own}
    steps = [part for part in parts if isinstance(part, Step) and key_of(part) not in changed]
    return tuple(
        Change(member, key_of(step), "~", Effect.NONE, f"{sentence(step)} (its input {read[0]} changes)")
        for step in steps
        if (read := [word for word in step.argv[1:] if f"file:{word}" in changed])
    )


def _foretold(change: Change, part: Part | None, sight: Sight) -> Change:
    """Return a change with the effect that it may bring about later in the same apply."""
    if not isinstance(part, Step) or part.brings <= change.effect or not _runs(change.member, sight):
        return change
    return replace(change, effect=part.brings, what=f"{change.what}; may bring a {part.brings.word}, one by one")


def _runs(member: Member, sight: Sight) -> bool:
    units = (name for name, entry in sight.ledger["units"].items() if entry["member"] == member.name)
    return any(sight.states.get(f"unit:{name}", {}).get("state") == "same" for name in units)


def _drifted(part: Part, sight: Sight) -> bool:
    """Return whether the machine differs from what Holdfast itself left there."""
    if not sight.ledger["design"]:
        return False
    if isinstance(part, File):
        written = sight.ledger["files"].get(part.path, {}).get("sha256")
        return bool(written) and sight.states[key_of(part)].get("sha256", "") != written
    return isinstance(part, Unit) and part.name in sight.ledger["units"]


def _diff(part: File, state: Mapping[str, Any], hidden: Mapping[str, str]) -> str:
    if part.sensitive or "text" not in state:
        return ""
    before = veil(state["text"], hidden).splitlines(keepends=True)
    after = part.content.splitlines(keepends=True)
    lines = list(unified_diff(before, after, f"{part.path} (now)", f"{part.path} (wanted)", n=2))
    # An old line of a file that holds secrets may hold an older secret that nobody can recognise any more.
    return "".join(_shy(line) if values_in(part.content) else line for line in lines)


def _shy(line: str) -> str:
    return "-(a line that may hold a secret)\n" if line.startswith("-") and not line.startswith("---") else line


def veil(text: str, hidden: Mapping[str, str]) -> str:
    """Return a text with every secret value replaced by its mark."""
    for secret, name in sorted(hidden.items(), key=lambda each: -len(each[0])):
        text = text.replace(secret, value(name))
    return text


def _removals(host: str, sight: Sight) -> tuple[list[Change], list[str]]:
    changes: list[Change] = []
    notes: list[str] = []
    for path, present in sight.extra.items():
        entry = sight.ledger["files"][path]
        member = _member(entry["member"])
        if present in ("", entry["sha256"]):
            changes.append(Change(member, f"file:{path}", "-", Effect.NONE, f"file {path}, no longer in the design"))
        else:
            notes.append(f"{host}: {path} is no longer in the design but was changed by hand; it is left alone")
    for name, entry in sight.ledger["units"].items():
        if f"unit:{name}" not in sight.states:
            words = f"unit {name} stopped and disabled, no longer in the design (its data stays)"
            changes.append(Change(_member(entry["member"]), f"unit:{name}", "-", Effect.RESTART, words))
    return changes, notes


def _member(name: str) -> Member:
    component, _, host = name.partition("@")
    return Member(component, host)


def saved_plan(data: Mapping[str, Any]) -> Plan:
    """Return a plan from the form in which it was saved. Raises KeyError or ValueError when it is none."""
    changes = tuple(
        Change(
            _member(each["member"]),
            each["key"],
            each["action"],
            Effect[each["effect"].upper()],
            each["what"],
            each["diff"],
            each["drift"],
        )
        for each in data["changes"]
    )
    return Plan(data["cluster"], data["digest"], changes, tuple(data["notes"]), data["unreachable"])


def with_roles(plan: Plan, design: Design, readings: Mapping[Member, Reading]) -> Plan:
    """Return the plan with restarts of leading members named as what they are: failovers (by switchover)."""
    return replace(plan, changes=tuple(_with_role(change, design, readings) for change in plan.changes))


def _with_role(change: Change, design: Design, readings: Mapping[Member, Reading]) -> Change:
    component = design.components.get(change.member.component)
    role = readings[change.member].role if change.member in readings else ""
    if component and role in component.lead_roles and change.effect is Effect.RESTART:
        return replace(change, effect=Effect.FAILOVER, what=f"{change.what}; {change.member.name} is {role}")
    return change
