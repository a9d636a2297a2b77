"""The loop: echoes, health checks and loads in; weights for the front door out."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

from . import law, standing
from .asking import get, get_json
from .echoes import Echoes, whole
from .endings import end
from .law import Weight
from .server import Json, Server
from .views import metrics, weights

CHECK_LIMIT_S, LOAD_LIMIT_S = 1.5, 0.8
# So many checks may wait at one server: a slow one is still asked at the same pace.
CHECKS_MAX = 6


class Edge:
    """One edge host's view of all application servers."""

    def __init__(self, settings: Json, echoes: Echoes, say: Callable[[str], None]) -> None:
        self.servers = [Server(name, **each) for name, each in sorted(settings["servers"].items())]
        self.pulses = {server.address: server.pulse for server in self.servers}
        self.status_port = int(settings["status_port"])
        self.run, self.drained = Path(settings["run"]), Path(settings["drained"])
        self.echoes, self.say = echoes, say
        self.tasks: set[asyncio.Task[None]] = set()

    async def work(self) -> None:
        """Work until cancelled."""
        self.report()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.beat())
            group.create_task(self.steer())
            for server in self.servers:
                group.create_task(self.check(server))
                group.create_task(self.ask_load(server))

    # Standing

    async def beat(self) -> None:
        """Hear echoes, judge, ask again; faster while an answer is missing."""
        last, pause_s = time.monotonic(), standing.BEAT_S
        while True:
            now = time.monotonic()
            if now - last - pause_s > standing.LATE_S:
                self.forgive(now - last)
            last = now
            self.hear(now)
            self.settle(now)
            doubt = any(server.in_doubt(now) for server in self.servers)
            pause_s = standing.DOUBT_BEAT_S if doubt else standing.BEAT_S
            for server in self.servers:
                server.pulse.sent += 1
                self.echoes.ask(server.address, server.pulse.sent)
            await asyncio.sleep(max(0.0, last + pause_s - time.monotonic()))

    def forgive(self, gap_s: float) -> None:
        """This program was stopped: the silence of that time is its own."""
        for server in self.servers:
            server.pulse.forgive(gap_s)
            server.health.forgive(gap_s)

    def hear(self, now: float) -> None:
        """Take in the answers that have come."""
        for address, low in self.echoes.answers():
            if pulse := self.pulses.get(address):
                pulse.heard(whole(low, pulse.sent), now)

    def settle(self, now: float) -> None:
        """Put servers out of use and back, and tell the front door at once when one changes."""
        changed = False
        for server in self.servers:
            server.health.looked(now)
            out = server.reason(now, (self.drained / server.name).exists())
            if bool(out) != bool(server.out):
                changed = True
                self.turn(server, out, now)
            server.out = out
        if changed:
            self.report()

    def turn(self, server: Server, out: str, now: float) -> None:
        """Say that a server goes out of use or comes back, and begin its slow start."""
        if not out:
            server.weight = Weight(since_s=0.0)
            self.say(f"{server.name} is in use again, with few requests at first")
            return
        self.say(f"{server.name} is out of use: {out}")
        # When everybody is silent it is rather this host that is alone; then nobody could take over anyway.
        if server.pulse.gone(now) and any(self.firm(each, now) for each in self.servers if each is not server):
            self.let_go(server)

    def firm(self, server: Server, now: float) -> bool:
        """Say whether a server could take over."""
        return not server.out and not server.pulse.doubtful(now)

    def let_go(self, server: Server) -> None:
        """End the connections to a dead host, so that what waits there is asked elsewhere now and not in 6 s."""
        try:
            self.say(f"{end(server.address, server.port)} connections to {server.name} are ended")
        except OSError as error:
            self.say(f"connections to {server.name} could not be ended: {error}")

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Start work beside the loop, and keep it from being forgotten."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def check(self, server: Server) -> None:
        """Ask the health path at an even pace, whether the last answer is there or not; sooner when in doubt."""
        while True:
            if server.asked < CHECKS_MAX:
                server.asked += 1
                self.spawn(self.check_once(server))
            await asyncio.sleep(standing.DOUBT_CHECK_S)
            if not server.health.doubtful(time.monotonic()):
                await asyncio.sleep(standing.CHECK_S - standing.DOUBT_CHECK_S)

    async def check_once(self, server: Server) -> None:
        """Ask once and note the answer."""
        wrong, refused = "", False
        try:
            status, _ = await get(server.address, server.port, server.path, CHECK_LIMIT_S)
            wrong = "" if 200 <= status < 300 else f"its health path answers {status}"
        except ConnectionRefusedError:
            wrong, refused = "nothing listens", True
        except TimeoutError:
            wrong = f"no answer within {CHECK_LIMIT_S:g} s"
        except (OSError, ValueError) as error:
            wrong = str(error)
        finally:
            server.asked -= 1
        server.health.answered(wrong, time.monotonic(), refused=refused)

    # Weights

    async def ask_load(self, server: Server) -> None:
        """Ask the server's host for its load, once a second."""
        while True:
            server.note_load(await get_json(server.address, server.load_port, "/", LOAD_LIMIT_S))
            await asyncio.sleep(law.STEP_S)

    async def steer(self) -> None:
        """Turn loads into weights, once a second."""
        while True:
            await asyncio.sleep(law.STEP_S)
            found = await get_json("127.0.0.1", self.status_port, "/servers", LOAD_LIMIT_S)
            for server in self.servers:
                server.note_answers(*found.get(server.name, (0, 0.0)))
            used = {server.name: server for server in self.servers if not server.out}
            steered = law.steer(
                {name: each.weight for name, each in used.items()}, {name: each.load for name, each in used.items()}
            )
            for name, weight in steered.items():
                used[name].weight = weight
            self.report()

    def report(self) -> None:
        """Write what the front door, `status` and Prometheus read."""
        view = {server.name: server.view() for server in self.servers}
        _write(self.run / "weights", weights(view, time.time()))
        _write(self.run / "status.json", json.dumps({"at": time.time(), "servers": view}, indent=1) + "\n")
        _write(self.run / "metrics.prom", metrics(view))


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}")
    beside.write_text(text)
    beside.rename(path)
