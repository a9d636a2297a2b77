"""False failovers: bad lines, short stops and busy processors for many minutes, and how often the lead changed.

Nothing here takes a leader away, so every change of the lead is one too many: that of the database, of the cache, and
of the floating address. What the watchers did is counted too: a doubt that is answered costs nothing, a fence delays
commits. A weather in which strangers took the computer's processors away is told, and made again. One that this
computer cannot make is named and left out.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.plan import SPECS, CommandError, cluster, say
from holdfast.cli.arena import arena_of
from holdfast.cli.common import cluster_of, open_design
from holdfast.cli.demo import leading_host
from holdfast.design.judge import HEALTHY
from holdfast.drills.drill import Field
from holdfast.drills.hands import Hands, HandsError
from holdfast.lab import cuts, freezer
from holdfast.lab.ground import LabGround
from holdfast.lab.host import run
from holdfast.lab.lab import lab_obstacle
from holdfast.lab.plan import LabError, LabPlan
from holdfast.lab.stolen import TOLERATED, Lookout
from holdfast.model.fault import Aim
from holdfast.wire.base import WireError

SPEC = SPECS[3].replace("database: {hosts: [a, b, c]}", "database: {hosts: [a, b, c], early_failover: true}")
# A stop that must not be taken for a death, and how often one machine or another has it.
STOP_S, STOP_EVERY_S = 0.8, 4.0
HEALTHY_WITHIN_S = 120.0
# For how long all weathers together wait for processors (s), and how often one without them is made again.
REST_S, AGAIN = 1800.0, 2
# Lines that tell of a change of the lead: in which journal, and which words.
TOLD = {
    "cache": ("valkey-sentinel.service", "+switch-master"),
    "address": ("keepalived.service", "Entering MASTER STATE"),
}
COUNTED = ("doubts", "answers", "fences", "deposes", "kills", "process_deaths")


@dataclass(frozen=True, slots=True)
class Weather:
    """What disturbs the cluster for a while.

    ``faults`` strike all hosts, or that of the database's leader alone; ``stops``: machines stand still in turn.
    """

    name: str
    faults: tuple[str, ...] = ()
    stops: bool = False
    leader_only: bool = False


WEATHERS = (
    Weather("5 % of all frames lost", ("machine-loss-5",)),
    Weather("30 % of the leader's frames lost", ("machine-loss-30",), leader_only=True),
    Weather("30 % of all frames lost", ("machine-loss-30",)),
    Weather(f"machines stop for {STOP_S} s", stops=True),
    Weather("no processor is free", ("machine-cpu",)),
    Weather("the leader's disk is slow", ("machine-slow-disk",), leader_only=True),
    Weather("5 % lost, stops, no processor", ("machine-loss-5", "machine-cpu"), stops=True),
)


@dataclass(frozen=True, slots=True)
class Row:
    """What one weather did: how often each lead changed, and what the watchers did about it.

    ``taken``: the largest share of the computer's processors that strangers took in ten seconds.
    """

    name: str
    lasted_s: float
    changes: dict[str, int]
    did: dict[str, int]
    stops_s: tuple[float, ...]
    healthy_after_s: float
    taken: float = 0.0


class Land:
    """A cluster under changing weather."""

    def __init__(self, file: Path, seed: int) -> None:
        self.design = open_design(file)
        self.field: Field = arena_of(file, self.design)
        self.cluster = cluster_of(file, self.design)
        self.hands = Hands(self.field.connect)
        self.draw = random.Random(seed)
        self.hosts = tuple(host.name for host in self.design.spec.hosts)

    def obstacle(self, weather: Weather) -> str:
        """Return why there can be no such weather here, "" when there can."""
        ground, needs = self.field.ground, (need for name in weather.faults for need in self.field.faults[name].needs)
        return next((why for need in needs if ground and (why := ground.lacks(need))), "")

    async def healthy(self) -> float:
        """Wait until all is well; return how long that took (s). Raises CommandError."""
        begun = time.monotonic()
        while (status := await self.cluster.status()).health != HEALTHY:
            if time.monotonic() - begun > HEALTHY_WITHIN_S:
                raise CommandError(f"the cluster is not healthy after {HEALTHY_WITHIN_S:g} s: {status.health}")
            await asyncio.sleep(1.0)
        return time.monotonic() - begun

    async def leader(self) -> str:
        """Return the host that leads the database."""
        return leading_host(self.design, await self.cluster.status())

    async def timeline(self) -> int:
        """Return the timeline of the database: it grows by one with every new leader."""
        status = await self.cluster.status()
        return max(int(reading.facts["timeline"]) for _, reading in status.members if "timeline" in reading.facts)

    async def printed(self, argv: tuple[str, ...]) -> list[str]:
        """Run a command on every host, and return what each printed."""
        found = []
        for host in self.hosts:
            wire = await self.field.connect(host)
            try:
                found.append((await wire.run(argv)).stdout)
            finally:
                await wire.close()
        return found

    async def counts(self) -> Counter[str]:
        """Return what all watchers have done since they were started."""
        found: Counter[str] = Counter()
        for text in await self.printed(("cat", "/run/holdfast-watch/metrics.prom")):
            for line in text.splitlines():
                name, _, value = line.partition(" ")
                word = name.removeprefix("holdfast_watch_").removesuffix("_total")
                if word in COUNTED:
                    found[word] += int(float(value))
        return found

    async def told(self, since_s: float) -> dict[str, int]:
        """Return how often journals tell of a change of a lead, since a time of the clock."""
        found: dict[str, list[int]] = {}
        for name, (unit, words) in TOLD.items():
            argv = ("journalctl", f"--unit={unit}", f"--since=@{since_s:.0f}", "--output=cat", "--no-pager")
            found[name] = [text.count(words) for text in await self.printed(argv)]
        # Every sentinel tells of each change, but of the address only its new holder.
        return {"cache": max(found["cache"]), "address": sum(found["address"])}

    async def under(self, weather: Weather, length_s: float) -> Row:
        """Let a weather last, and count. Raises CommandError, HandsError."""
        await self.healthy()
        before, counted, begun = await self.timeline(), await self.counts(), time.monotonic()
        since_s = time.time()
        aim = Aim((await self.leader(),) if weather.leader_only else self.hosts, self.hosts)
        blows = [blow for name in weather.faults for blow in self.field.faults[name].strike(aim, self.field.ground)]
        ids = [f"calm-{number}" for number in range(len(blows))]
        try:
            await asyncio.gather(
                *(self.hands.strike(blow, id, length_s + 60) for blow, id in zip(blows, ids, strict=True))
            )
            stops_s = await self._stops(begun + length_s) if weather.stops else ()
            await asyncio.sleep(max(0.0, begun + length_s - time.monotonic()))
            if not all(await asyncio.gather(*(self.hands.evidence(blow) for blow in blows))):
                raise CommandError(f"{weather.name}: nothing shows that it was bad weather")
        finally:
            await self.hands.heal_all()
        lasted_s = time.monotonic() - begun
        healthy_after_s = await self.healthy()
        did = {name: count for name, count in (await self.counts() - counted).items() if count}
        changes = {"database": await self.timeline() - before, **await self.told(since_s)}
        return Row(weather.name, lasted_s, changes, did, stops_s, healthy_after_s)

    async def _stops(self, until: float) -> tuple[float, ...]:
        """Stop machines in turn; return how long each was silent at most."""
        lasted_s = list[float]()
        if not isinstance(self.field.ground, LabGround):
            raise CommandError("machines can be stopped in a lab only")
        while time.monotonic() < until:
            lasted_s.append(await asyncio.to_thread(stop, self.field.ground.plan, self.draw.choice(self.hosts)))
            await asyncio.sleep(STOP_EVERY_S - STOP_S)
        return tuple(lasted_s)


def stop(plan: LabPlan, host: str) -> float:
    """Let a machine stand still, and return for how long it was silent at most (s). Raises LabError.

    Not as a blow: its commands start programs, and a stop must not last half as long again as it should.
    """
    silence, begun = cuts.silence(plan, host), time.monotonic()
    try:
        run(silence.inject)
        freezer.freezer("freeze", plan.name, host)
        time.sleep(max(0.0, begun + STOP_S - time.monotonic()))
    finally:
        freezer.freezer("thaw", plan.name, host)
        run(silence.heal)
    return time.monotonic() - begun


async def measure(file: Path, weathers: Sequence[Weather], length_s: float, seed: int) -> list[Row]:
    """Let all weathers pass over a cluster."""
    land, rows, lookout = Land(file, seed), list[Row](), Lookout(REST_S)
    try:
        for weather in weathers:
            if why := land.obstacle(weather):
                say(f"{weather.name}: left out, {why}")
                continue
            for _ in range(AGAIN + 1):
                await asyncio.to_thread(lookout.rest)
                rows.append(replace(await land.under(weather, length_s), taken=lookout.robbed()))
                if rows[-1].taken <= TOLERATED:
                    break
            # After each: a benchmark that is broken off has shown something all the same.
            say(table(rows))
    finally:
        await land.hands.close()
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return all weathers as a table."""
    lines = [f"{'failovers of the':<56}{'database':>10}{'cache':>7}{'address':>9}"]
    lines.append(f"{'weather':<32}{'s':>6}{'stops':>18}{'':>26}{'healthy after':>15}{'taken':>7}  watchers")
    for row in rows:
        did = ", ".join(f"{count} {name}" for name, count in sorted(row.did.items())) or "nothing"
        changes = f"{row.changes['database']:>10}{row.changes['cache']:>7}{row.changes['address']:>9}"
        stops = f"{len(row.stops_s)} of <= {max(row.stops_s):.2f} s" if row.stops_s else "none"
        head = f"{row.name:<32}{row.lasted_s:>6.0f}{stops:>18}{changes}"
        lines.append(f"{head}{row.healthy_after_s:>13.1f} s{row.taken:>7.0%}  {did}")
    return "\n".join(lines)


def main() -> int:
    """Measure, print the table, and return 1 when the lead of the database changed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=20.0, help="for all weathers together")
    names = [weather.name for weather in WEATHERS]
    parser.add_argument(
        "--weathers",
        nargs="+",
        default=names,
        choices=names,
        metavar="NAME",
        help=", ".join(names).replace("%", "%%"),
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--file", type=Path, help="the cluster file of a lab that is up and stays")
    chosen = parser.parse_args()
    if reason := lab_obstacle():
        sys.exit(reason)
    weathers = [weather for weather in WEATHERS if weather.name in chosen.weathers]
    length_s = 60 * chosen.minutes / len(weathers)
    try:
        with nullcontext(chosen.file.parent) if chosen.file else cluster(3, SPEC) as folder:
            rows = asyncio.run(measure(chosen.file or folder / "cluster.yaml", weathers, length_s, chosen.seed))
    except (CommandError, HandsError, LabError, WireError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("broken off")
    sys.stdout.write(f"{table(rows)}\n")
    return 1 if any(row.changes["database"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
