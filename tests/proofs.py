"""A realistic proof, made by hand: drills that were kept, broken and unknown, as reports are tested with it."""

import random
from dataclasses import replace
from functools import cache

from holdfast.console.svg import topology_svg
from holdfast.drills.record import (
    DrillRecord,
    Finding,
    LatencyPoint,
    Moment,
    PathNumbers,
    Promise,
    Proof,
    Struck,
    Unsupported,
    Verdict,
)
from picture_toys import make

NASTY = "</script><script>alert(1)</script> | `x` ]]> & \"q\" 'p' \x00\x1b[31m \ud800 <!-- **b** [a](http://e)"
SPEEDS = {"read page": 0.012, "write order": 0.03, "sql write": 0.018, "cache write": 0.003}


def points(seed: int, length_s: float, gap: tuple[float, float], count: int = 2000) -> tuple[LatencyPoint, ...]:
    """Operations at an even pace; those of the gap wait for its end, fail, or end in doubt."""
    dice = random.Random(seed)
    found = []
    for index in range(count):
        path = tuple(SPEEDS)[index % 4]
        at_s = length_s * index / count
        took_s, outcome = SPEEDS[path] * dice.lognormvariate(0, 0.45), "ok"
        if gap[0] <= at_s < gap[1] and path != "cache write":
            outcome = dice.choices(("ok", "fail", "indeterminate"), (5, 4, 1))[0]
            took_s = gap[1] - at_s + dice.random() if outcome == "ok" else dice.choice((0.02, 2.0, 5.0))
        found.append(LatencyPoint(path, round(at_s, 3), round(took_s, 4), outcome))
    return tuple(found)


def paths(gap: tuple[float, float], lost: int = 0, unread: bool = False) -> tuple[PathNumbers, ...]:
    length_s = gap[1] - gap[0]
    return (
        PathNumbers("read page", 11_834, 212, 0, None, None, length_s - 1, gap[0], length_s - 1, 0.012, 0.031, 0.2),
        PathNumbers(
            "write order", 5_921, 96, 14, 5, None if unread else lost, length_s, gap[0], length_s, 0.03, 0.08, 9.1
        ),
        PathNumbers(
            "sql write", 8_204, 60, 9, None if unread else 3, 0, length_s - 0.4, gap[0], length_s, 0.018, 0.06, 4
        ),
        PathNumbers("cache write", 19_480, 0, 0, 0, 0, 0.21, 3.0, None, 0.003, 0.009, 0.02),
    )


def promises(gap_s: float, lost: int, verdict: Verdict = Verdict.KEPT) -> tuple[Promise, ...]:
    return (
        Promise("writes come back", "within 30 s", f"{gap_s:.1f} s", Verdict.KEPT if gap_s <= 30 else Verdict.BROKEN),
        Promise(
            "no acknowledged write is lost",
            "0 lost",
            f"{lost} lost of 14,125",
            verdict if lost == 0 else Verdict.BROKEN,
        ),
        Promise("the cluster becomes whole by itself", "within 300 s", "41.2 s", Verdict.KEPT),
    )


def power_off() -> DrillRecord:
    gap = (30.2, 51.6)
    return DrillRecord(
        name="power-off@leader",
        title="Power off the leader",
        verdict=Verdict.KEPT,
        reason="every promise was kept",
        begun="2026-11-21T05:11:02+00:00",
        seed=42,
        length_s=120.0,
        struck=(
            Struck(
                "power-off",
                "the power of a is cut",
                "leader",
                ("a",),
                30.0,
                62.0,
                ("the machine's first process is gone", "a answers no ping from b"),
                True,
            ),
        ),
        promises=promises(21.4, 0),
        findings=(
            Finding("lost", Verdict.KEPT, "all 14,125 acknowledged writes are there"),
            Finding("duplicated", Verdict.KEPT, "no key is there twice"),
            Finding("dual primary", Verdict.KEPT, "no write was acknowledged on an older timeline"),
        ),
        paths=paths(gap),
        moments=(
            Moment(30.0, "deed", "the power of a is cut", "a"),
            Moment(41.7, "milestone", "detect: the leader's lease ran out", "b"),
            Moment(43.2, "milestone", "elect: b takes the lease", "b"),
            Moment(44.0, "role", "b is leader", "b"),
            Moment(46.1, "milestone", "promote: b accepts writes", "b"),
            Moment(49.9, "milestone", "route: the router leads to b", "c"),
            Moment(33.1, "role", "b holds the floating address", "b"),
            Moment(35.0, "finding", "host a: does not answer", "a", 98.0),
            Moment(38.0, "finding", "database: 1 of 3 members down", "", 103.2),
            Moment(62.0, "deed", "the power of a comes back", "a"),
            Moment(98.0, "role", "a is replica", "a"),
        ),
        points=points(1, 120.0, gap),
        phases_s={"detect": 11.7, "elect": 13.2, "promote": 16.1, "route": 19.9},
        old_side_acked_s=0.0,
        whole_after_s=41.2,
        diagnosis="a, which led the database, vanished without a word; b took over after its lease ran out.",
        repeat="holdfast drill run power-off@leader --seed 42",
    )


def split() -> DrillRecord:
    gap = (24.8, 62.9)
    return DrillRecord(
        name="isolate@leader+clients",
        title="Cut off the leader together with clients that hold open sessions",
        verdict=Verdict.BROKEN,
        reason="3 acknowledged writes were lost; two members accepted writes for 8.4 s",
        begun="2026-11-21T05:14:40+00:00",
        seed=43,
        length_s=130.0,
        struck=(
            Struck(
                "isolate",
                "b and its clients are cut off",
                "leader",
                ("b",),
                24.5,
                64.5,
                ("1,204 frames dropped",),
                True,
            ),
            Struck(
                "kill", "the standby's process is killed", "sync_standby", ("c",), 30.0, 30.0, ("it was gone",), True
            ),
        ),
        promises=promises(38.1, 3),
        findings=(
            Finding(
                "lost", Verdict.BROKEN, "3 of 14,125 acknowledged writes are gone", ("s4:118", "s4:119", "s4:120")
            ),
            Finding("dual primary", Verdict.BROKEN, "2 writes on timeline 3 after timeline 4 had begun", ("s4:119",)),
            Finding("session", Verdict.UNKNOWN, "too few reads to say anything"),
        ),
        paths=paths(gap, lost=3),
        moments=(
            Moment(24.5, "deed", "b and its clients are cut off", "b"),
            Moment(36.7, "milestone", "detect: the leader's lease ran out", "a"),
            Moment(38.0, "role", "a is leader", "a"),
            Moment(38.0, "violation", "a and b both accept writes", "a, b", 46.4),
            Moment(46.4, "role", "b gives up", "b"),
            Moment(58.1, "milestone", "route: the router leads to a", "c"),
            Moment(27.0, "finding", "host b: does not answer", "b", 70.0),
            Moment(64.5, "deed", "b is joined again", "b"),
        ),
        points=points(2, 130.0, gap),
        phases_s={"detect": 12.2, "route": 33.6},
        old_side_acked_s=8.4,
        whole_after_s=61.0,
        by_hand="holdfast reinit b",
        diagnosis="b was cut off with its clients and went on accepting their writes after a had taken over.",
        repeat="holdfast drill run isolate@leader+clients --seed 43",
    )


def vacuous() -> DrillRecord:
    return DrillRecord(
        name="slow-disk@leader",
        title="A slow disk under the leader",
        verdict=Verdict.UNKNOWN,
        reason="the fault did not bite: no request to the disk was delayed",
        begun="2026-11-21T05:18:12+00:00",
        seed=44,
        length_s=90.0,
        struck=(Struck("slow-disk", "the disk of a is slow", "leader", ("a",), 20.0, 50.0, (), False, True),),
        promises=promises(0.4, 0, Verdict.UNKNOWN),
        findings=(Finding("lost", Verdict.UNKNOWN, "the writes could not be read back"),),
        paths=paths((20.0, 21.5), unread=True),
        moments=(Moment(20.0, "deed", "the disk of a is made slow", "a"),),
        points=points(3, 90.0, (20.0, 20.0)),
        whole_after_s=0.4,
        repeat="holdfast drill run slow-disk@leader --seed 44",
    )


def failed_vip() -> DrillRecord:
    gap = (15.1, 18.3)
    return replace(
        power_off(),
        name="entry-kill@vip_holder",
        title="Kill the entry on the holder of the floating address",
        seed=45,
        length_s=60.0,
        struck=(
            Struck(
                "entry-kill",
                "the entry of c is killed",
                "vip_holder",
                ("c",),
                15.0,
                15.0,
                ("process 812 is gone",),
                True,
            ),
        ),
        promises=promises(3.2, 0),
        paths=paths(gap),
        moments=(
            Moment(15.0, "deed", "the entry of c is killed", "c"),
            Moment(17.2, "role", "a holds the floating address", "a"),
        ),
        points=points(5, 60.0, gap),
        phases_s={},
        old_side_acked_s=None,
        whole_after_s=2.4,
        diagnosis="The entry of c died; the floating address moved to a, and c's entry was started again.",
        repeat="holdfast drill run entry-kill@vip_holder --seed 45",
    )


@cache
def proof() -> Proof:
    """Four drills: two kept, one broken, one unknown."""
    return Proof(
        cluster="shop",
        digest="9c1f0a77d2b4e6188a3c5f00e1d2c3b4a5968778695a4b3c2d1e0f9a8b7c6d5e",
        holdfast="0.3.0",
        engines={"postgresql": "17.6", "patroni": "4.0.7", "etcd": "3.5.16", "valkey": "8.1.1", "haproxy": "3.0.11"},
        suite="fast",
        seed=42,
        begun="2026-11-21T05:11:02+00:00",
        length_s=612.4,
        machine="2 cores, 24 GiB, Debian 13, Linux 6.12",
        promises={"loss": "no acknowledged write", "back": "writes within 30 s"},
        drills=(power_off(), split(), vacuous(), failed_vip()),
        unsupported=(
            Unsupported("clock-jump", "the clock of {hosts} jumps", ("E7",), "machines of a lab share one clock"),
            Unsupported("delay", "every frame is delayed", ("C8",), "this kernel has no network emulator"),
        ),
        repeat="holdfast prove --fast --seed 42",
        topology_svg=topology_svg(make()),
        limits=(
            "Reads from replicas may be stale.",
            "Loss of a whole site was not tried: all machines stand in one.",
        ),
    )


def kept() -> Proof:
    """Drills that were all kept."""
    return replace(proof(), drills=(power_off(), failed_vip()))


@cache
def nasty() -> Proof:
    """A proof whose every text is hostile."""
    drill = replace(
        power_off(),
        name=NASTY,
        title=NASTY,
        verdict=Verdict.BROKEN,
        reason=NASTY,
        struck=(Struck(NASTY, NASTY, NASTY, (NASTY,), 30.0, 60.0, (NASTY,), True),),
        promises=(Promise(NASTY, NASTY, NASTY, Verdict.BROKEN),),
        findings=(Finding(NASTY, Verdict.BROKEN, NASTY, (NASTY,)),),
        paths=tuple(replace(each, name=NASTY) for each in power_off().paths),
        moments=tuple(replace(each, text=NASTY, host=NASTY) for each in power_off().moments),
        points=tuple(replace(each, path=NASTY) for each in power_off().points),
        phases_s={NASTY: 1.0},
        by_hand=NASTY,
        diagnosis=NASTY,
        repeat=NASTY,
        begun=NASTY,
    )
    return replace(
        proof(),
        cluster=NASTY,
        digest=NASTY,
        holdfast=NASTY,
        engines={NASTY: NASTY},
        suite=NASTY,
        begun=NASTY,
        machine=NASTY,
        promises={NASTY: NASTY},
        drills=(drill,),
        unsupported=(Unsupported(NASTY, NASTY, (NASTY,), NASTY),),
        repeat=NASTY,
        topology_svg=f"<svg xmlns='http://www.w3.org/2000/svg'><text>{NASTY}</text></svg>",
        limits=(NASTY,),
    )


def many(drills: int) -> Proof:
    """As many drills as a full suite has, each with 2,000 points."""
    made = (
        replace(power_off(), name=f"drill-{index}", points=points(index, 120.0, (30.2, 51.6)))
        for index in range(drills)
    )
    return replace(proof(), drills=tuple(made))


EMPTY = replace(proof(), drills=(), unsupported=(), topology_svg="", limits=(), engines={}, promises={})
PROOFS = {"mixed": proof(), "kept": kept(), "empty": EMPTY, "nasty": nasty()}
