"""What all findings of a drill amount to, in one word and the sentence that explains it."""

from collections.abc import Iterable

from holdfast.drills.check.words import few
from holdfast.drills.record import Finding, Verdict


def overall(
    findings: Iterable[Finding],
    *,
    acknowledged: int,
    reads: int,
    attempted_during_fault: int,
    bit: bool,
    final_read: bool,
) -> tuple[Verdict, str]:
    """Judge a whole drill, and say why.

    ``acknowledged``: writes. ``reads``: successful ones. ``attempted_during_fault``: writes begun while the fault
    was in place. ``bit``: there is evidence that every fault had an effect. ``final_read``: all was read back.

    A violation counts however little else was seen. Without one, the promise is kept only if it was really tried.
    """
    found = tuple(findings)
    broken = tuple(each.rule for each in found if each.verdict is Verdict.BROKEN)
    if broken:
        return Verdict.BROKEN, f"Violated: {few(broken)}."
    missing = (
        (not any(each.verdict is Verdict.KEPT for each in found), "no rule could be judged"),
        (not acknowledged, "no write was acknowledged"),
        (not reads, "no read succeeded"),
        (not attempted_during_fault, "no write was tried during the fault"),
        (not bit, "nothing shows that the fault had an effect"),
        (not final_read, "nothing could be read back in the end"),
    )
    reasons = [reason for holds, reason in missing if holds]
    if reasons:
        return Verdict.UNKNOWN, f"Too little was seen: {'; '.join(reasons)}."
    return Verdict.KEPT, _kept(found, acknowledged, reads, attempted_during_fault)


def _kept(findings: tuple[Finding, ...], acknowledged: int, reads: int, during: int) -> str:
    unjudged = tuple(each.rule for each in findings if each.verdict is Verdict.UNKNOWN)
    rest = f" Not judged: {few(unjudged)}." if unjudged else ""
    return (
        f"{len(findings) - len(unjudged)} rules found no violation in {acknowledged} acknowledged writes and {reads} "
        f"reads; {during} writes were tried during the fault.{rest}"
    )
