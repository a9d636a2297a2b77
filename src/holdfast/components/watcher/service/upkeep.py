"""What is done on the leader's own host: about a database that died, and about where the dcs's leader is."""

import http.client
import os
import select
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .store import ask, connect
from .words import Post

Json = dict[str, Any]
Say = Callable[[str], None]
Line = http.client.HTTPConnection
API_S = 2.0
# The dcs's leader is moved when both leaders have been here for a while, as right after a failover all is in motion.
LOOK_EVERY_S, LOOKS, MOVE_EVERY_S = 2.0, 3, 60.0
NEW_PID_S = 0.25
# How long a lost connection to the manager is left alone.
LINE_AGAIN_S = 1.0
# How much more of a busy processor than others those get by whom a death becomes known: about 28 times as much.
FIRST_NICE, FIRST_TRIES = -15, 8
# For how long a dead process is waited for that nobody has collected yet, and how often it is looked for.
COLLECTED_S, COLLECTED_LOOK_S = 0.5, 0.005


class Local:
    """What the threads about this host's own database share. ``pid``: its process, 0 while none is known to run.

    ``unanswered``: by question that it leaves unanswered, since when (seconds of the epoch) and why it is left alone.
    """

    def __init__(self, settings: Json, context: ssl.SSLContext, say: Say) -> None:
        self.settings, self.context, self.say = settings, context, say
        self.post = Post()
        self.pid = 0
        self.unanswered: dict[str, tuple[float, str]] = {}
        self.deaths = self.kills = self.moves = self.turns = 0

    def line(self) -> Line:
        """Return a connection to the database's API of this host; it is not open yet."""
        url = f"https://{self.settings['hosts'][self.settings['name']]}:{self.settings['database']['api_port']}"
        return connect(url, self.context, API_S)

    def api(self, method: str, path: str, body: Json | None = None) -> Any:
        """Ask the database's API of this host. Raises OSError, HTTPException and ValueError."""
        line = self.line()
        try:
            return ask(line, method, path, body)
        finally:
            line.close()


def guard_process(local: Local) -> None:
    """Wait for the death of the database's process and wake its manager at once, for ever. A thread of its own."""
    file = Path(local.settings["database"]["pid_file"])
    known = 0
    # The one who buries it, and the one who tells.
    put_first(1)
    put_first(os.getpid())
    while True:
        pid = _pid(file)
        if pid <= 0 or pid == known:
            time.sleep(NEW_PID_S)
            continue
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            time.sleep(NEW_PID_S)
            continue
        known = local.pid = pid
        put_first(pid)
        line = _until_dead(local, pidfd)
        begun = time.monotonic()
        os.close(pidfd)
        local.pid = 0
        local.deaths += 1
        until_collected(pid)
        _wake(local, pid, begun, line)


def put_first(pid: int, proc: Path = Path("/proc")) -> None:
    """Let the session of a process go before others on a busy host.

    Linux gives every session (each service, each process of the database) an equal share of the processors, whatever
    the niceness of single processes. A database that dies ends with all its processes at once: it, init that collects
    it, this service and the manager would have to wait for all of them. A kernel that does not work so has no such
    file; one that does takes one change in 0.1 s.
    """
    for _ in range(FIRST_TRIES):
        try:
            (proc / str(pid) / "autogroup").write_text(f"{FIRST_NICE}\n")
        except BlockingIOError:
            time.sleep(NEW_PID_S)
        except OSError:
            return
        else:
            return


def _pid(file: Path) -> int:
    try:
        return int(file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return 0


def _until_dead(local: Local, pidfd: int) -> Line | None:
    """Wait for the end of a process; return a connection to its manager that is open by then, None without one.

    Opening one takes both sides a handshake: 0.01 s at rest, 0.1 to 0.2 s when a database has just died and all its
    clients come again.
    """
    line: Line | None = None
    while True:
        line = line or _opened(local)
        if _has_ended(pidfd, line):
            return line
        if line and not _stays_open(line):
            line.close()
            line = None
            if _has_ended(pidfd, None):
                return None


def _opened(local: Local) -> Line | None:
    line = local.line()
    try:
        line.connect()
    except OSError:
        line.close()
        return None
    put_first(_manager(local.settings["database"]["unit"]))
    return line


def _manager(unit: str) -> int:
    argv = ["systemctl", "show", "--property=MainPID", "--value", unit]
    try:
        return int(subprocess.run(argv, capture_output=True, timeout=API_S, check=False).stdout or 0)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return 0


def _has_ended(pidfd: int, line: Line | None) -> bool:
    """Wait for the end of a process, and return it; also when something came in by the line, or there is none."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if line:
        poll.register(line.sock, select.POLLIN)
    return pidfd in {fd for fd, _ in poll.poll(None if line else 1000 * LINE_AGAIN_S)}


def _stays_open(line: Line) -> bool:
    """Read what came in unasked: news of the encryption alone, or the end of the line."""
    line.sock.settimeout(0)
    try:
        line.sock.recv(1)
    except (ssl.SSLWantReadError, BlockingIOError):
        line.sock.settimeout(API_S)
        return True
    except OSError:
        return False
    return False


def until_collected(pid: int, proc: Path = Path("/proc")) -> None:
    """Wait until a dead process is gone, `COLLECTED_S` at most.

    Patroni takes one that its parent has not collected yet for a running one (psutil's `is_running`): woken so early,
    it asks the dead database, asks again, and comes back after a second.
    """
    until = time.monotonic() + COLLECTED_S
    while (proc / str(pid)).exists() and time.monotonic() < until:
        time.sleep(COLLECTED_LOOK_S)


def _wake(local: Local, pid: int, begun: float, line: Line | None) -> None:
    """Wake the manager by a request that changes nothing; ``line``: a connection that is open already."""
    error = _woken(local, line) if line else "no line"
    if error:
        error = _woken(local, local.line())
    if error:
        local.say(f"the database (process {pid}) died; its manager could not be woken: {error}")
        return
    took_ms = 1000 * (time.monotonic() - begun)
    local.say(f"the database (process {pid}) died; its manager was woken after {took_ms:.0f} ms")


def _woken(local: Local, line: Line) -> str:
    """Ask for the change of nothing and hang up; return why that failed, "" when it did not."""
    try:
        ask(line, "PATCH", local.settings["database"]["wake_path"], {"holdfast": None})
    except (OSError, http.client.HTTPException, ValueError) as error:
        return str(error) or repr(error)
    finally:
        line.close()
    return ""


def keep_store_leader_away(local: Local) -> None:
    """Move the dcs's leader off the database leader's host, for ever: losing both at once costs an election more."""
    seen = 0
    while True:
        time.sleep(LOOK_EVERY_S)
        try:
            leader = _store_leader_here(local) if local.post.leads else ""
            seen = seen + 1 if leader else 0
            moved = seen >= LOOKS and _move(local, leader)
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            # The dcs is in trouble, which the main loop says; the next attempt comes soon.
            moved = False
        if moved:
            seen = 0
            time.sleep(MOVE_EVERY_S)


def _store_leader_here(local: Local) -> str:
    """Return the number of the dcs's leader when that is this host's member, else ""."""
    near = local.settings["store"]["near"]
    if not near:
        return ""
    own = _status(local, near)
    return str(own["leader"]) if own["leader"] == own["header"]["member_id"] else ""


def _move(local: Local, leader: str) -> bool:
    store = local.settings["store"]
    for endpoint in store["far"]:
        try:
            other = _status(local, endpoint)
        except (OSError, http.client.HTTPException, ValueError):
            continue
        if other["leader"] == leader and not other.get("isLearner"):
            target = other["header"]["member_id"]
            ask_store(local, store["near"], "/maintenance/transfer-leadership", {"targetID": target})
            local.moves += 1
            local.say(f"the dcs's leader was moved from this host to {endpoint}: here is the database's")
            return True
    return False


def _status(local: Local, endpoint: str) -> Json:
    found: Json = ask_store(local, endpoint, "/maintenance/status", {})
    return found


def ask_store(local: Local, endpoint: str, path: str, body: Json, limit_s: float = API_S) -> Any:
    """Ask one member of the dcs. Raises OSError, HTTPException and ValueError; OSError after ``limit_s``, too."""
    connection = connect(endpoint, local.context, limit_s)
    try:
        return ask(connection, "POST", local.settings["store"]["gateway"] + path, body)
    finally:
        connection.close()
