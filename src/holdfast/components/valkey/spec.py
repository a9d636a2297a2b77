"""Options of the cache layer, where its sentinels run, and what its shape would cost."""

from collections import Counter
from typing import Literal

from pydantic import Field

from holdfast.model.spec import Finding, Options, Spec

SENTINELS = 3


class ValkeyOptions(Options):
    """Options of the cache layer served by Valkey."""

    maxmemory: str = Field(
        default="256mb",
        pattern=r"^[1-9][0-9]{0,8}(kb|mb|gb)$",
        description="Memory for data (256mb, 2gb).",
    )
    eviction: Literal["allkeys-lru", "volatile-lru", "noeviction"] = Field(
        default="allkeys-lru", description="What goes when it is full: the least used of all or of those that expire."
    )


def data_hosts(spec: Spec) -> tuple[str, ...]:
    """Return the hosts that keep the data, sorted."""
    return spec.served_by("cache", "valkey")


def sentinel_hosts(spec: Spec) -> tuple[str, ...]:
    """Return the hosts that run a sentinel, sorted.

    They are the data hosts and, when these are two, one more in another zone: two alone could not
    agree on anything when one of them is gone. A single data host has nobody to fail over to.
    """
    chosen = list(data_hosts(spec))
    if len(chosen) < 2:
        return ()
    others = [host.name for host in spec.hosts if host.name not in chosen]
    while len(chosen) < SENTINELS and others:
        used = {spec.host(name).zone for name in chosen}
        best = min(others, key=lambda name: (spec.host(name).zone in used, name))
        others.remove(best)
        chosen.append(best)
    return tuple(sorted(chosen))


def quorum(spec: Spec) -> int:
    """Return how many sentinels must agree that the primary is down: a majority."""
    return len(sentinel_hosts(spec)) // 2 + 1


def min_replicas(spec: Spec) -> int:
    """Return how many replicas must follow for the primary to accept writes.

    One, so that a primary cut off from the others stops accepting what would be lost. With two data
    hosts the loss of one would then stop all writes: there availability wins.
    """
    return 1 if len(data_hosts(spec)) >= 3 else 0


def foresee(spec: Spec) -> tuple[Finding, ...]:
    """Return what the loss of a host or zone would cost the cache."""
    data, sentinels = data_hosts(spec), sentinel_hosts(spec)
    if not data:
        return ()
    if len(data) == 1:
        return (
            Finding(
                "one host keeps the cache: without it the cache is gone", data[0], "add a second and a third host"
            ),
        )
    found = (*_few_sentinels(sentinels), *_shared_zone(spec, sentinels), *_two_data_hosts(data))
    return tuple(found)


def _few_sentinels(sentinels: tuple[str, ...]) -> tuple[Finding, ...]:
    if len(sentinels) >= SENTINELS:
        return ()
    what = "two sentinels cannot agree when one of them is gone: the cache does not fail over"
    return (Finding(what, ", ".join(sentinels), "add a third host to the cluster"),)


def _shared_zone(spec: Spec, sentinels: tuple[str, ...]) -> tuple[Finding, ...]:
    zones = Counter(spec.host(name).zone for name in sentinels)
    zone, count = zones.most_common(1)[0]
    if len(sentinels) < SENTINELS or count < quorum(spec):
        return ()
    where = ", ".join(name for name in sentinels if spec.host(name).zone == zone)
    what = f"{where} share zone {zone}: losing it leaves no majority of sentinels, and the cache does not fail over"
    return (Finding(what, where, "spread the cache over three zones"),)


def _two_data_hosts(data: tuple[str, ...]) -> tuple[Finding, ...]:
    if len(data) != 2:
        return ()
    what = "with two cache hosts, a primary that is cut off goes on accepting writes, which are lost afterwards"
    return (Finding(what, ", ".join(data), "add a third cache host", severity="info"),)
