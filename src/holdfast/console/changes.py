"""A plan in terraform's habits: what is made, changed and removed, and what that interrupts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.text import Text

from holdfast.console.looks import ACTIONS, EFFECTS
from holdfast.console.page import BLANK, Line, Page, columns, say
from holdfast.console.words import clean, counted, listed
from holdfast.model.member import Member
from holdfast.model.parts import Effect
from holdfast.runner.plan import Change, Plan

# So many additions of one member are still listed; more are counted.
_LISTED_MAX = 2
_KINDS = ("package", "user", "directory", "archive", "file", "link", "unit", "step")


@dataclass(frozen=True, slots=True)
class Block:
    """The changes of one member; ``folded`` ones are only counted."""

    member: Member
    changes: tuple[Change, ...]
    folded: bool


def plan_lines(plan: Plan, diffs: bool, verbose: bool = False) -> RenderableType:
    """Return a plan as text; ``diffs`` adds the changed lines of each file, ``verbose`` folds nothing."""
    blocks = blocks_of(plan, verbose)
    lines: list[Line] = []
    if blocks:
        title = say((plan.cluster, "bold"), (f": plan for design {plan.digest[:12]}", "dim"))
        lines += [title, BLANK, *_bodies(blocks, diffs), BLANK]
    lines += [say((f"note: {clean(note)}", "cyan"), hang=6) for note in plan.notes]
    lines += [_unreachable(host, reason) for host, reason in sorted(plan.unreachable.items())]
    return Page((*lines, Line(summary(plan))))


def blocks_of(plan: Plan, verbose: bool = False) -> tuple[Block, ...]:
    """Return the changes of a plan by member, in the order of the plan."""
    members: dict[Member, list[Change]] = {}
    for change in plan.changes:
        members.setdefault(change.member, []).append(change)
    return tuple(Block(member, tuple(own), not verbose and _foldable(own)) for member, own in members.items())


def _foldable(changes: Sequence[Change]) -> bool:
    return len(changes) > _LISTED_MAX and all(each.action == "+" and not each.drift for each in changes)


def _bodies(blocks: tuple[Block, ...], diffs: bool) -> Iterable[Line]:
    yield from columns(_folded(block for block in blocks if block.folded), indent=2)
    for block in blocks:
        if not block.folded:
            yield from _block(block, diffs)


def _folded(blocks: Iterable[Block]) -> Iterable[Sequence[Text]]:
    """Return one row for all members of a component that get the same kinds of parts."""
    rows: dict[tuple[str, str, Effect], list[str]] = {}
    for block in blocks:
        effect = max(change.effect for change in block.changes)
        rows.setdefault((block.member.component, kinds(block.changes), effect), []).append(block.member.host)
    for (component, words, effect), hosts in rows.items():
        name = Text.assemble(("+", ACTIONS["+"]), " ", (component, "bold"))
        yield name, Text(f"on {listed(hosts)}"), Text(f"{words}  ").append_text(_effect(effect))


def kinds(changes: Iterable[Change]) -> str:
    """Return how many parts of each kind: ``3 packages, 1 user, 5 files``."""
    counts = Counter(change.key.partition(":")[0] for change in changes)
    return ", ".join(counted(counts[kind], kind) for kind in _KINDS if counts[kind])


def _block(block: Block, diffs: bool) -> Iterable[Line]:
    actions = {change.action for change in block.changes}
    action = actions.pop() if len(actions) == 1 else "~"
    yield say((action, ACTIONS[action]), " ", (block.member.name, "bold"), indent=2)
    for change in block.changes:
        yield _change(change)
        if diffs:
            yield from diff_lines(change.diff, indent=10)


def _change(change: Change) -> Line:
    words = Text.assemble((change.action, ACTIONS[change.action]), " ", clean(change.what))
    if change.effect is not Effect.NONE:
        words.append("  ").append_text(_effect(change.effect))
    if change.drift:
        words.append("  drift", "bold yellow")
    return say(words, indent=6, hang=2)


def _effect(effect: Effect) -> Text:
    return Text("" if effect is Effect.NONE else f"[{effect.word}]", EFFECTS[effect])


def diff_lines(diff: str, indent: int = 0) -> tuple[Line, ...]:
    """Return a unified diff with its colours."""
    return tuple(say((clean_line(line), _diff_style(line)), indent=indent, hang=1) for line in diff.splitlines())


def clean_line(line: str) -> str:
    """Return a line of a file without control characters, its spaces kept."""
    return "".join(each if each.isprintable() else " " for each in line.expandtabs(4))


def _diff_style(line: str) -> str:
    if line.startswith(("+++", "---")):
        return "dim"
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")


def _unreachable(host: str, reason: str) -> Line:
    words = f": {clean(reason)}; its changes are not in this plan"
    return say((f"✖ {host} did not answer", "bold red"), words, hang=2)


def summary(plan: Plan) -> Text:
    """Return the last line: how many changes, and what they interrupt."""
    if plan.empty and plan.unreachable:
        return Text("Nothing to change on the hosts that answered.", "bold")
    if plan.empty:
        return Text(f"Nothing to change: {plan.cluster} is as design {plan.digest[:12]} wants it.", "bold green")
    counts = Counter(change.action for change in plan.changes)
    words = f"{counts['+']} to add, {counts['~']} to change, {counts['-']} to remove"
    line = Text.assemble((words, "bold"), "; ", _interruptions(plan))
    drifted = sum(change.drift for change in plan.changes)
    return line.append(f"; {drifted} drifted (not as the last apply left it)") if drifted else line


def _interruptions(plan: Plan) -> Text:
    """Count members, not changes: three new files cost their unit one restart."""
    worst: dict[Member, Effect] = {}
    for change in plan.changes:
        worst[change.member] = max(worst.get(change.member, Effect.NONE), change.effect)
    counts = Counter(worst.values())
    found = [
        Text(words, EFFECTS[effect])
        for effect, words in (
            (Effect.DESTRUCTIVE, f"destructive for {counted(counts[Effect.DESTRUCTIVE], 'member')}"),
            (Effect.FAILOVER, f"{counted(counts[Effect.FAILOVER], 'failover')} (planned, by switchover)"),
            (Effect.RESTART, f"{counted(counts[Effect.RESTART], 'restart')} (one member at a time)"),
        )
        if counts[effect]
    ]
    if found:
        return Text("interrupts: ").append_text(Text(", ").join(found))
    reloads = counts[Effect.RELOAD]
    return Text("interrupts nothing" + (f" ({counted(reloads, 'reload')})" if reloads else ""), "green")
