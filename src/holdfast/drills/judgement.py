"""From the course of a drill to its record: what was promised, what was measured, what that shows. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from holdfast.design.design import Design
from holdfast.drills.check.bank import check_bank
from holdfast.drills.check.cache import check_cache
from holdfast.drills.check.ledger import check_ledger
from holdfast.drills.check.register import check_register
from holdfast.drills.check.values import LedgerHistory
from holdfast.drills.check.verdict import overall
from holdfast.drills.drill import WRITE_PATHS, Course
from holdfast.drills.history import History, Kind
from holdfast.drills.operations import Deed
from holdfast.drills.record import DrillRecord, Finding, LatencyPoint, Moment, PathNumbers, Promise, Verdict
from holdfast.drills.scenario import Scenario

# A cache that replicates without waiting may lose what it acknowledged when its primary was failing already: one that
# is alone refuses writes after 3 s (a lag of 1 in whole seconds, looked at once a second), and half a second for
# clients and clocks.
CACHE_BOUND_S = 3.5
# The first of these that there is counts for the promised time to recover.
READ_PATHS = ("read page",)
H = TypeVar("H")


def record_of(course: Course, design: Design, begun: str, repeat: str) -> DrillRecord:
    """Return the record of a drill. ``begun``: wall time in ISO 8601; ``repeat``: the command that repeats it."""
    paths = course.loads.numbers(course.fault_s if course.struck or course.scenario.during else None)
    findings = all_findings(course)
    safety, reason = safety_of(course, findings)
    pause_s, promised_s = course.scenario.pause_s, design.spec.promises.rto_s
    rto_s = min(pause_s or promised_s, promised_s)
    promises = (
        *times_promised(paths, rto_s, course.healed_s if course.scenario.gives_up else None),
        *(unfelt(course.loads.operations) if pause_s else ()),
        *gave_up(course, paths),
        losses_promised(paths, safety),
        *alone(course),
        *(stayed(course.loads.sql()) if course.scenario.stays else ()),
        *done_meanwhile(course.scenario, course.deed),
        *played_out(course.stopped),
    )
    whole = came_back(course)
    verdict = worst([safety, *(each.verdict for each in promises), whole.verdict])
    return DrillRecord(
        name=course.scenario.name,
        title=course.scenario.title,
        verdict=verdict,
        reason=reason if verdict is safety else first_broken((*promises, whole)),
        begun=begun,
        seed=course.seed,
        length_s=course.length_s,
        struck=course.struck,
        promises=(*promises, whole),
        findings=findings,
        paths=paths,
        moments=moments_of(course),
        points=points_of(course),
        phases_s=dict(course.seen.phases_s),
        old_side_acked_s=old_side_acked_s(course),
        whole_after_s=course.whole_after_s,
        by_hand=course.deed.left
        or ("" if course.whole_after_s is not None else "it was not whole in time; nothing was done by hand"),
        diagnosis="; ".join(course.diagnoses),
        repeat=repeat,
    )


def all_findings(course: Course) -> tuple[Finding, ...]:
    """Return what every checker says of every history, and the readings that could not be had."""
    loads, failures_s = course.loads, tuple((each.from_s, each.to_s) for each in course.struck)
    checked = (
        *_checked("orders", loads.orders(), check_ledger),
        *_checked("sql", loads.sql(), check_ledger),
        *_checked("registers", loads.register(), check_register),
        *_checked("bank", loads.accounts(), check_bank),
        *_checked("cache", loads.cached(CACHE_BOUND_S, failures_s), check_cache),
    )
    unread = tuple(
        Finding(f"read back {member}", Verdict.UNKNOWN, f"{member} could not be read back: {why}")
        for member, why in course.unread.items()
    )
    return (*checked, *unread)


def _checked(name: str, history: H | None, check: Callable[[H], tuple[Finding, ...]]) -> tuple[Finding, ...]:
    if history is None:
        return ()
    try:
        found = check(history)
    except ValueError as error:
        # A history that cannot be: our own measuring is at fault, so nothing is known.
        return (Finding(f"{name}: checker", Verdict.UNKNOWN, f"the history makes no sense: {error}"),)
    return tuple(replace(each, rule=f"{name}: {each.rule}") for each in found)


def safety_of(course: Course, findings: tuple[Finding, ...]) -> tuple[Verdict, str]:
    """Judge whether anything acknowledged was lost or contradicted, and whether it was really tried."""
    histories = course.loads.operations.values()
    writes = [each for history in histories for each in history if each.kind is Kind.WRITE]
    reads = sum(each.ok for history in histories for each in history if each.kind is Kind.READ)
    during = sum(course.fault_s <= each.started_s <= course.healed_s + 1.0 for each in writes)
    finals = [each.final for each in (course.loads.orders(), course.loads.sql()) if each is not None]
    return overall(
        findings,
        acknowledged=sum(each.ok for each in writes),
        reads=reads,
        attempted_during_fault=during,
        bit=all(each.bit for each in course.struck),
        final_read=all(finals) and bool(finals),
    )


def times_promised(
    paths: Sequence[PathNumbers], rto_s: float, writes_from_s: float | None = None
) -> tuple[Promise, ...]:
    """Compare the longest gaps of what clients do at the front door with the promised time to recover.

    ``writes_from_s``: when the time for writes begins to count, for a drill in which they must stop until then.
    """
    read = _first(paths, READ_PATHS)
    reads = _back(read, "reads", read.longest_gap_s, rto_s) if read else ()
    if (write := _first(paths, WRITE_PATHS)) is None:
        return reads
    if writes_from_s is None:
        return (*_back(write, "writes", write.longest_gap_s, rto_s), *reads)
    after_s = max(0.0, write.gap_from_s + write.longest_gap_s - writes_from_s)
    return (*_back(write, "after the healing writes", after_s, rto_s), *reads)


def _first(paths: Sequence[PathNumbers], names: Sequence[str]) -> PathNumbers | None:
    known = {each.name: each for each in paths if each.acknowledged}
    return next((known[name] for name in names if name in known), None)


def _back(path: PathNumbers, what: str, took_s: float, rto_s: float) -> tuple[Promise, ...]:
    back = path.recovered_s is not None
    measured = f"{took_s:.2f} s" + ("" if back else ", and not back in the end")
    verdict = Verdict.KEPT if took_s <= rto_s and back else Verdict.BROKEN
    return (Promise(f"{what} are back within the promised time", f"{rto_s:g} s", measured, verdict),)


def gave_up(course: Course, paths: Sequence[PathNumbers]) -> tuple[Promise, ...]:
    """Return whether writing had stopped by the time the first fault was undone, in a drill that demands it."""
    if not course.scenario.gives_up or (write := _first(paths, WRITE_PATHS)) is None:
        return ()
    undone_s = min((each.to_s for each in course.struck), default=course.healed_s)
    stopped = write.gap_from_s < undone_s < write.gap_from_s + write.longest_gap_s
    told = f"the last write was acknowledged {write.gap_from_s - course.fault_s:.2f} s after the first fault"
    verdict = Verdict.KEPT if stopped else Verdict.BROKEN
    return (Promise("without a quorum writing stops", "before the first fault is undone", told, verdict),)


def unfelt(operations: Mapping[str, History]) -> tuple[Promise, ...]:
    """Count the requests at the front door that got no good answer; one that a customer repeated has failed too."""
    front = [operations[name] for name in (WRITE_PATHS[0], *READ_PATHS) if name in operations]
    failed = sum(each.failed_requests for history in front for each in history)
    made = sum(each.tries for history in front for each in history)
    verdict = Verdict.BROKEN if failed else Verdict.KEPT if made else Verdict.UNKNOWN
    return (Promise("no request fails", "0 failed", f"{failed} failed of {made}", verdict),)


def losses_promised(paths: Sequence[PathNumbers], safety: Verdict) -> Promise:
    """Count what was acknowledged and is gone, on all ways that promise to lose nothing."""
    counted = [each for each in paths if each.name in WRITE_PATHS and each.lost is not None]
    lost, acknowledged = sum(each.lost or 0 for each in counted), sum(each.acknowledged for each in counted)
    verdict = Verdict.BROKEN if lost else safety if counted else Verdict.UNKNOWN
    return Promise("nothing acknowledged is lost", "0 lost", f"{lost} lost of {acknowledged}", verdict)


def alone(course: Course) -> tuple[Promise, ...]:
    """Return what was seen of roles that only one host may have at a time."""
    seen = course.seen.violations
    longest_s = max(((each.until_s or course.length_s) - each.at_s for each in seen), default=0.0)
    told = f"{longest_s:.2f} s at most, {len(seen)} times: {seen[0].text}" if seen else "0 s"
    verdict = Verdict.BROKEN if seen else Verdict.KEPT
    return (Promise("one host at a time has each leading role", "0 s with two", told, verdict),)


def done_meanwhile(scenario: Scenario, deed: Deed) -> tuple[Promise, ...]:
    """Return whether what went on meanwhile came to its end and left nothing behind.

    Alone it must come to its end. Under a fault it may fail, but only after it had begun: else nothing was tried.
    """
    name, found = scenario.during, []
    if name and not scenario.strikes:
        verdict = Verdict.BROKEN if deed.failed else Verdict.KEPT
        found.append(Promise(f"the {name} comes to its end", "done", deed.text, verdict))
    elif deed.failed and not deed.begun:
        found.append(Promise(f"the {name} is under way when the fault strikes", "begun", deed.text, Verdict.UNKNOWN))
    if deed.left:
        found.append(Promise(f"nothing of the {name} is left", "nothing", deed.left, Verdict.BROKEN))
    return tuple(found)


def played_out(stopped: str) -> tuple[Promise, ...]:
    """Return that a drill was stopped, and why, if it was: what would have come later is not known."""
    return (Promise("the drill is played to its end", "to its end", stopped, Verdict.UNKNOWN),) if stopped else ()


def stayed(ledger: LedgerHistory | None) -> tuple[Promise, ...]:
    """Return whether the same database led all the time, by the timelines that acknowledged writes tell."""
    sentence, target = "nobody else takes the lead of the database", "0 failovers"
    told = {each.timeline for each in (ledger.writes if ledger else ()) if each.outcome == "ok"} - {None}
    verdict = Verdict.UNKNOWN if not told else Verdict.KEPT if len(told) == 1 else Verdict.BROKEN
    return (Promise(sentence, target, f"{len(told) - 1} failovers" if told else "not told", verdict),)


def came_back(course: Course) -> Promise:
    """Return whether the cluster healed itself after the faults were undone."""
    limit = f"healthy within {course.scenario.settle_s:g} s of healing"
    if course.whole_after_s is None:
        return Promise("the cluster becomes whole by itself", limit, course.stopped or "not whole", Verdict.BROKEN)
    verdict = Verdict.KEPT if course.whole_after_s <= course.scenario.settle_s else Verdict.BROKEN
    return Promise("the cluster becomes whole by itself", limit, f"{course.whole_after_s:.1f} s", verdict)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of several: broken outweighs unknown, unknown outweighs kept."""
    found = set(verdicts)
    return next(each for each in (Verdict.BROKEN, Verdict.UNKNOWN, Verdict.KEPT) if each in found)


def first_broken(promises: Iterable[Promise]) -> str:
    """Return the sentence for the first promise that is not kept."""
    return next(
        (
            f"{each.sentence}: {each.measured} (target {each.target})."
            for wanted in (Verdict.BROKEN, Verdict.UNKNOWN)
            for each in promises
            if each.verdict is wanted
        ),
        "",
    )


def moments_of(course: Course) -> tuple[Moment, ...]:
    """Return everything that was seen happening, sorted."""
    deed = (Moment(course.fault_s, "deed", course.deed.text),) if course.deed.text else ()
    return tuple(sorted((*course.seen.moments, *course.seen.violations, *deed), key=lambda each: each.at_s))


def points_of(course: Course) -> tuple[LatencyPoint, ...]:
    """Return every operation as a point of the latency plot."""
    return tuple(
        LatencyPoint(path, round(each.intended_s, 4), round(each.ended_s - each.intended_s, 5), each.outcome.value)
        for path, history in course.loads.operations.items()
        for each in history
    )


def old_side_acked_s(course: Course) -> float | None:
    """Return how long after the fault the old leader still acknowledged writes; None when nobody else took over."""
    ledger: LedgerHistory | None = course.loads.sql()
    told = [each for each in (ledger.writes if ledger else ()) if each.timeline is not None and each.outcome == "ok"]
    if not told or (newest := max(each.timeline or 0 for each in told)) == min(each.timeline or 0 for each in told):
        return None
    return max(0.0, max(each.ended_s for each in told if (each.timeline or 0) < newest) - course.fault_s)
