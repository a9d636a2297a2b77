"""What is done on the leader's own host: about a database that died or hangs, and about where the dcs's leader is."""

import http.client
import os
import select
import signal
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .store import ask, connect

Json = dict[str, Any]
Say = Callable[[str], None]
API_S = 2.0
# A fresh login and a tiny write; slow answers and refusals are answers, only silence counts.
LOGIN_EVERY_S, LOGIN_S, LOGIN_FAILS = 10.0, 5.0, 3
# When even an empty program takes this long, it is the host that is slow.
SLOW_S = 0.5
# A hung database is killed at most this often: when it hangs again at once, killing does not help.
KILL_EVERY_S = 300.0
MOVE_EVERY_S = 60.0
NEW_PID_S = 0.25


class Local:
    """What the threads of this module share: whether this host leads, and whether others could take over."""

    def __init__(self, settings: Json, context: ssl.SSLContext, say: Say) -> None:
        self.settings, self.context, self.say = settings, context, say
        self.leads = self.has_heir = False
        self.pidfd = -1
        self.deaths = self.hangs = self.moves = 0

    def api(self, method: str, path: str, body: Json | None = None) -> Any:
        """Ask the database's API of this host. Raises OSError, HTTPException and ValueError."""
        url = f"https://{self.settings['hosts'][self.settings['name']]}:{self.settings['database']['api_port']}"
        connection = connect(url, self.context, API_S)
        try:
            return ask(connection, method, path, body)
        finally:
            connection.close()


def guard_process(local: Local) -> None:
    """Wait for the death of the database's process and wake its manager at once, for ever. A thread of its own."""
    file = Path(local.settings["database"]["pid_file"])
    known = 0
    while True:
        pid = _pid(file)
        if pid <= 0 or pid == known:
            time.sleep(NEW_PID_S)
            continue
        try:
            local.pidfd = os.pidfd_open(pid)
        except OSError:
            time.sleep(NEW_PID_S)
            continue
        known = pid
        _until_dead(local.pidfd)
        begun = time.monotonic()
        os.close(local.pidfd)
        local.pidfd = -1
        local.deaths += 1
        _wake(local, pid, begun)


def _pid(file: Path) -> int:
    try:
        return int(file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return 0


def _until_dead(pidfd: int) -> None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll()


def _wake(local: Local, pid: int, begun: float) -> None:
    """Wake the manager by a request that changes nothing."""
    database = local.settings["database"]
    try:
        local.api("PATCH", database["wake_path"], {"holdfast": None})
    except (OSError, http.client.HTTPException, ValueError) as error:
        local.say(f"the database (process {pid}) died; its manager could not be woken: {error}")
        return
    took_ms = 1000 * (time.monotonic() - begun)
    local.say(f"the database (process {pid}) died; its manager was woken after {took_ms:.0f} ms")


def guard_logins(local: Local) -> None:
    """Log in and write a little where the leader is, for ever; kill a database that hangs. A thread of its own."""
    fails, killed = 0, -KILL_EVERY_S
    while True:
        time.sleep(LOGIN_EVERY_S if fails == 0 else 0.5)
        fails = fails + 1 if local.leads and local.pidfd >= 0 and not _login(local) else 0
        if fails < LOGIN_FAILS:
            continue
        fails = 0
        if not local.has_heir:
            local.say("the database hangs, but no replica could take over: it is left alone")
        elif time.monotonic() - killed < KILL_EVERY_S:
            local.say(f"the database hangs again; it is killed at most once in {KILL_EVERY_S:.0f} s")
        else:
            killed = time.monotonic()
            _kill(local)


def _login(local: Local) -> bool:
    try:
        subprocess.run([local.settings["database"]["login"]], capture_output=True, timeout=LOGIN_S, check=False)
    except subprocess.TimeoutExpired:
        return _host_is_slow()
    return True


def _host_is_slow() -> bool:
    begun = time.monotonic()
    subprocess.run(["true"], check=False)
    return time.monotonic() - begun > SLOW_S


def _kill(local: Local) -> None:
    """Kill the database's process. What it acknowledged is on its disk and on a replica's."""
    local.hangs += 1
    local.say(
        f"{LOGIN_FAILS} logins in a row had no answer within {LOGIN_S:g} s: killing the database for a failover"
    )
    try:
        signal.pidfd_send_signal(local.pidfd, signal.SIGKILL)
    except OSError as error:
        local.say(f"the database could not be killed: {error}")


def keep_store_leader_away(local: Local) -> None:
    """Move the dcs's leader off the database leader's host, for ever: losing both at once costs an election more."""
    while True:
        time.sleep(MOVE_EVERY_S / 4)
        if local.leads and local.settings["store"]["near"]:
            try:
                moved = _move(local)
            except (OSError, http.client.HTTPException, ValueError, KeyError):
                # The dcs is in trouble, which the main loop says; the next attempt comes soon.
                moved = False
            if moved:
                time.sleep(MOVE_EVERY_S)


def _move(local: Local) -> bool:
    store = local.settings["store"]
    own = _status(local, store["near"])
    if own["leader"] != own["header"]["member_id"]:
        return False
    for endpoint in store["far"]:
        try:
            other = _status(local, endpoint)
        except (OSError, http.client.HTTPException, ValueError):
            continue
        if other["leader"] == own["leader"] and not other.get("isLearner"):
            target = other["header"]["member_id"]
            _post(local, store["near"], "/maintenance/transfer-leadership", {"targetID": target})
            local.moves += 1
            local.say(f"the dcs's leader was moved from this host to {endpoint}: here is the database's")
            return True
    return False


def _status(local: Local, endpoint: str) -> Json:
    found: Json = _post(local, endpoint, "/maintenance/status", {})
    return found


def _post(local: Local, endpoint: str, path: str, body: Json) -> Any:
    connection = connect(endpoint, local.context, API_S)
    try:
        return ask(connection, "POST", local.settings["store"]["gateway"] + path, body)
    finally:
        connection.close()
