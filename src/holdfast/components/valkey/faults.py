"""What only this engine can suffer, and the steps of its failover in the sentinels' own words."""

from holdfast.components.valkey.build import SENTINEL
from holdfast.components.valkey.spec import sentinel_hosts
from holdfast.model.blows import hang_unit, keep_down
from holdfast.model.component import Context
from holdfast.model.fault import Aim, Blow, Fault, Ground, Milestone

MILESTONES = (
    Milestone("detect", SENTINEL, r"\+sdown master "),
    Milestone("elect", SENTINEL, r"\+elected-leader master "),
    Milestone("promote", SENTINEL, r"\+(promoted-slave|switch-master) "),
)


def faults(contexts: tuple[Context, ...]) -> tuple[Fault, ...]:
    """Return the faults of this engine."""
    known = {context.host.name: context for context in contexts}

    def majority_down(_aim: Aim, _ground: Ground | None) -> tuple[Blow, ...]:
        return tuple(keep_down(host, SENTINEL) for host in _majority(contexts))

    def tilt(aim: Aim, _ground: Ground | None) -> tuple[Blow, ...]:
        return tuple(hang_unit(host, SENTINEL) for host in aim.hosts if host in known)

    return (
        Fault(
            "valkey-sentinels-down",
            "kill more than half of all sentinels and keep them from starting",
            "everyone",
            "the cache goes on serving; without a majority there is no failover, and status says so",
            "more than half of the sentinels are down: the cache serves but cannot fail over",
            majority_down,
            ("A10",),
        ),
        Fault(
            "valkey-sentinel-pause",
            "stop the sentinel on {hosts} for a while: waking, it distrusts its clock and does not vote (TILT)",
            "cache_primary",
            "nothing changes for clients",
            "the sentinel on {hosts} stood still and is in TILT until 30 s after that",
            tilt,
            hold_s=10.0,
        ),
    )


def _majority(contexts: tuple[Context, ...]) -> tuple[str, ...]:
    voters = sentinel_hosts(contexts[0].spec) if contexts else ()
    return voters[: len(voters) // 2 + 1]
