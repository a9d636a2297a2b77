"""The record of a drill: everything that was seen, as one frozen value that reports are drawn from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """What a drill shows of a promise. ``unknown``: too little was seen to say anything."""

    KEPT = "kept"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Struck:
    """One fault as it was struck; times are seconds of the drill's clock.

    ``aimed``: the word; ``hosts``: what it meant at that moment. ``evidence``: sentences, none when it did not bite.
    ``by_switch``: it was undone by its dead man's switch, not by the drill.
    """

    fault: str
    title: str
    aimed: str
    hosts: tuple[str, ...]
    from_s: float
    to_s: float
    evidence: tuple[str, ...]
    bit: bool
    by_switch: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that was seen happening: ``kind`` is ``role``, ``finding``, ``violation``, ``milestone`` or ``deed``.

    ``host``: where; ``until_s``: when it was over, None for what has no duration (or went on to the end).
    """

    at_s: float
    kind: str
    text: str
    host: str = ""
    until_s: float | None = None


@dataclass(frozen=True, slots=True)
class PathNumbers:
    """One way in (``read page``, ``write order``, ``sql write``, ``cache write``, …) in numbers.

    ``took_effect``: indeterminate operations that are there in the end. ``gap_from_s``: when the longest gap
    between successes began. Latencies are those of acknowledged operations, from the intended start.
    ``recovered_s``: from the first fault to the first success after the longest gap; None when there was no fault
    or no success afterwards. ``lost`` is None where nothing could be read back.
    """

    name: str
    acknowledged: int
    failed: int
    indeterminate: int
    took_effect: int | None
    lost: int | None
    longest_gap_s: float
    gap_from_s: float
    recovered_s: float | None
    p50_s: float | None
    p99_s: float | None
    p999_s: float | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a checker found: the rule, the verdict, counts in words, and examples (keys, times) of violations."""

    rule: str
    verdict: Verdict
    text: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise, its target and what was measured."""

    sentence: str
    target: str
    measured: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class LatencyPoint:
    """One operation in the latency plot: when it was intended, how long it took, and how it ended."""

    path: str
    at_s: float
    took_s: float
    outcome: str


@dataclass(frozen=True, slots=True)
class DrillRecord:
    """One drill from its first to its last second.

    ``phases_s``: seconds from the (first) fault to ``detect``, ``elect``, ``promote`` and ``route``, from the
    engines' own journals. ``old_side_acked_s``: how long after the fault the old leader still acknowledged
    writes, None when that was not watched. ``whole_after_s``: from healing to a healthy cluster, None when it did
    not become healthy. ``by_hand``: what had to be done by hand, "" for nothing.
    """

    name: str
    title: str
    verdict: Verdict
    reason: str
    begun: str
    seed: int
    length_s: float
    struck: tuple[Struck, ...]
    promises: tuple[Promise, ...]
    findings: tuple[Finding, ...]
    paths: tuple[PathNumbers, ...]
    moments: tuple[Moment, ...]
    points: tuple[LatencyPoint, ...] = ()
    phases_s: Mapping[str, float] = field(default_factory=dict)
    old_side_acked_s: float | None = None
    whole_after_s: float | None = None
    by_hand: str = ""
    diagnosis: str = ""
    repeat: str = ""


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A fault of the catalogue that cannot be injected here, and why."""

    name: str
    title: str
    codes: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Proof:
    """A whole run of ``prove``: what was proved with what, and all its drills.

    ``engines``: engine → version as installed. ``topology_svg``: the picture of the design.
    """

    cluster: str
    digest: str
    holdfast: str
    engines: Mapping[str, str]
    suite: str
    seed: int
    begun: str
    length_s: float
    machine: str
    promises: Mapping[str, str]
    drills: tuple[DrillRecord, ...]
    unsupported: tuple[Unsupported, ...]
    repeat: str
    topology_svg: str = ""
    limits: tuple[str, ...] = ()
