"""What the demo measured, as data and in plain words."""

from dataclasses import asdict, dataclass
from typing import Any

from holdfast.drills.history import History, Kind
from holdfast.drills.numbers import Account, Tally, longest_gap, rounded_up, successes, tally


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the story, in seconds of the history's clock."""

    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Everything that was measured.

    ``host``: whose power was cut; ``leader``: who led the database in the end. ``outage``: from the cut until
    orders came without a pause again; ``comeback``: from then until the customers left, with the machine returning.
    ``healthy_after_s``: from power on until every member was healthy; None when that did not come in time.
    """

    host: str
    leader: str
    promised_rto_s: float
    calm: Phase
    outage: Phase
    comeback: Phase
    healthy_after_s: float | None
    writes_came_back: bool
    history: History
    account: Account

    def gap_s(self, kind: Kind, phase: Phase | None = None) -> float:
        """Return the longest time without success in a phase; in the whole story when none is given."""
        whole = phase or Phase(self.calm.from_s, self.comeback.to_s)
        return longest_gap(successes(self.history, kind), whole.from_s, whole.to_s).length_s

    @property
    def kept(self) -> bool | None:
        """Whether the promises were kept; None when nothing was written before the cut, so nothing was shown."""
        if not [each for each in successes(self.history, Kind.WRITE) if each < self.outage.from_s]:
            return None
        in_time = self.writes_came_back and self.gap_s(Kind.WRITE) <= self.promised_rto_s
        return in_time and self.account.clean and self.healthy_after_s is not None

    def as_json(self) -> dict[str, Any]:
        """Return the result as stable JSON data (``schema_version`` 1); the history is kept apart."""
        return {
            "schema_version": 1,
            "host": self.host,
            "leader": self.leader,
            "kept": self.kept,
            "promised_rto_s": self.promised_rto_s,
            "read_gap_s": self.gap_s(Kind.READ),
            "write_gap_s": self.gap_s(Kind.WRITE),
            "comeback_read_gap_s": self.gap_s(Kind.READ, self.comeback),
            "comeback_write_gap_s": self.gap_s(Kind.WRITE, self.comeback),
            "healthy_after_s": self.healthy_after_s,
            "writes_came_back": self.writes_came_back,
            "reads": asdict(tally(self.history, Kind.READ)),
            "writes": asdict(tally(self.history, Kind.WRITE)),
            "orders": self.account.as_json(),
        }


def story(result: DemoResult) -> tuple[str, ...]:
    """Return the result in plain words, one sentence a line."""
    return (
        f"{result.host}, the machine that led the database, lost its power; {result.leader or 'nobody'} leads now.",
        *_reads(result),
        *_writes(result),
        *_orders(result.account),
        _comeback(result),
        verdict(result),
    )


def seconds(value_s: float | None) -> str:
    """Return a duration for people, rounded up."""
    if value_s is None:
        return "–"
    return f"{rounded_up(value_s * 1000, 0):.0f} ms" if value_s < 1 else f"{rounded_up(value_s):.1f} s"


def _reads(result: DemoResult) -> tuple[str, ...]:
    reads = tally(result.history, Kind.READ)
    return (
        f"Reading: the longest gap between two successful reads was {seconds(result.gap_s(Kind.READ))}; "
        f"{reads.failed_requests} of {reads.requests} requests failed ({_latency(reads)}).",
    )


def _writes(result: DemoResult) -> tuple[str, ...]:
    writes = tally(result.history, Kind.WRITE)
    gap_s = result.gap_s(Kind.WRITE)
    return (
        f"Ordering: the longest gap between two acknowledged orders was {seconds(gap_s)} "
        f"(promised: at most {seconds(result.promised_rto_s)}); {writes.failed_requests} of {writes.requests} "
        f"requests failed and were repeated by their customers ({_latency(writes)}).",
        f"In the end {writes.ok} of {writes.operations} orders were acknowledged, {writes.fail} were certainly not "
        f"placed, and {writes.indeterminate} stayed in doubt ({result.account.took_effect} of these took effect).",
    )


def _latency(counted: Tally) -> str:
    return f"half took at most {seconds(counted.p50_s)}, 99 % at most {seconds(counted.p99_s)}"


def _orders(counted: Account) -> tuple[str, ...]:
    main = (
        f"Loss: {len(counted.lost)} of {counted.acknowledged} acknowledged orders lost, {len(counted.doubled)} "
        f"doubled (counted by reading all {counted.read_back} orders of the shop back)."
    )
    wrong = {"lost": counted.lost, "doubled": counted.doubled, "refused but there": counted.resurrected}
    return (main, *(_few(what, keys) for what, keys in wrong.items() if keys))


def _few(what: str, keys: tuple[str, ...]) -> str:
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return f"  {what}: {', '.join(keys[:5])}{more}"


def _comeback(result: DemoResult) -> str:
    if result.healthy_after_s is None:
        return f"{result.host} did not become a healthy member again in time: holdfast status says why."
    return (
        f"{result.host} was a healthy replica {seconds(result.healthy_after_s)} after its power came back; meanwhile "
        f"the longest gap was {seconds(result.gap_s(Kind.READ, result.comeback))} between reads and "
        f"{seconds(result.gap_s(Kind.WRITE, result.comeback))} between orders."
    )


def verdict(result: DemoResult) -> str:
    """Return what this shows, and of what: one power cut proves nothing about the next."""
    if result.kept is None:
        return "Verdict: unknown, for no order was acknowledged before the power was cut."
    count = f"1 power cut, {result.account.acknowledged} acknowledged orders"
    return f"Verdict: the promise was {'kept' if result.kept else 'BROKEN'} ({count})."
