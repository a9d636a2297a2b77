"""A database that hangs: its process is there, but new sessions are not served. Its manager does not notice that.

Two questions are put to it. *Greeting*: a connection is opened and the engine's first question asked. Only a process
that takes connections and starts sessions answers, and it does so before it looks at accounts, locks, limits or
disks: silence is that of the process alone. *Login*: a whole login and a tiny write.

A database that hangs is killed with all its processes. Its manager takes that for a crash and fails over. What was
acknowledged is on its disk and on a replica's.
"""

import json
import os
import socket
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import ending
from .upkeep import Local
from .words import Post

Json = dict[str, Any]
# A process that greets nobody for so long hangs: more than twice the 2 s that a starved host must be forgiven. Then a
# fresh connection is given one more second.
KNOCK_EVERY_S, HUNG_S, AGAIN_S = 1.0, 5.0, 1.0
# Patience is spent in slices: a stop of this very program (a paused machine) costs one slice and no more.
SLICE_S = 0.25
# Slow answers and refusals are answers to a login, only silence counts.
LOGIN_EVERY_S, LOGIN_AGAIN_S, LOGIN_S, LOGIN_FAILS = 10.0, 0.5, 5.0, 3
# When an empty program, less favoured than the database, or a tiny write to the disk takes longer, it is the host.
SLOW_S, SLOW_DISK_S = 0.5, 1.0
# What the dcs said longer ago than this is not acted upon: without the dcs nobody could take over.
OLD_S = 6.0
# When it hangs again at once, killing does not help.
KILL_EVERY_S = 300.0
FOLDER = Path("/var/lib/holdfast-watch")
FILE = FOLDER / "killed.json"


def spared(post: Post, now: float, killed_ago_s: float) -> str:
    """Return why a database that hangs is left alone; "" when it is to be killed. ``now``: monotonic clock."""
    if not post.at or now - post.at > OLD_S:
        return "the dcs does not answer, so nobody could take over"
    if post.paused:
        return "an operator has paused automatic failover"
    if not post.leader:
        return "nobody leads, and an election may need it"
    if not post.spare:
        return "no replica could take over" if post.leads else "commits wait for it, and for nobody else"
    if killed_ago_s < KILL_EVERY_S:
        return f"it was killed already, which is done at most once in {KILL_EVERY_S:.0f} s"
    return ""


def last_kill() -> Json | None:
    """Return when (seconds of the epoch) and why the database was killed last; None for never."""
    try:
        found: Json = json.loads(FILE.read_text())
        return {"at": float(found["at"]), "why": str(found["why"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def killed_ago_s() -> float:
    """Return how long ago the database was killed, also by an earlier process of this service."""
    last = last_kill()
    # A clock that was set back must not forbid it for ever.
    return abs(time.time() - last["at"]) if last else KILL_EVERY_S


# Greetings


def guard_greetings(local: Local) -> None:
    """Knock at the database once a second, for ever; kill it when it greets nobody. A thread of its own."""
    while True:
        time.sleep(KNOCK_EVERY_S)
        pid = local.pid
        if pid == 0 or greets(local, pid, HUNG_S) or greets(local, pid, AGAIN_S):
            well(local, "greeting")
        elif local.pid == pid:
            kill(local, pid, "greeting", f"has greeted nobody for {HUNG_S + AGAIN_S:g} s")


def greets(local: Local, pid: int, patience_s: float) -> bool:
    """Return whether the database answers its first question in time, or is another process by now."""
    database, left_s = local.settings["database"], patience_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as call:
        call.settimeout(SLICE_S)
        asked = False
        while left_s > 0 and local.pid == pid:
            begun = time.monotonic()
            try:
                if not asked:
                    call.connect(database["socket"])
                    call.sendall(bytes.fromhex(database["knock"]))
                    asked = True
                call.recv(1)
            except (BlockingIOError, TimeoutError):
                # Too many wait already, or nobody answers yet.
                time.sleep(max(0.0, SLICE_S - (time.monotonic() - begun)))
            except OSError:
                # Refused, or gone: it ends or begins, and its manager knows.
                return True
            else:
                return True
            left_s -= SLICE_S
    return local.pid != pid


# Logins


def guard_logins(local: Local) -> None:
    """Log in and write a little where the leader is, for ever; kill a database that hangs. A thread of its own."""
    fails = known = 0
    while True:
        time.sleep(LOGIN_AGAIN_S if fails else LOGIN_EVERY_S)
        pid = local.pid
        asked = local.post.leads and pid and (pid == known or not fails)
        fails, known = (fails + 1 if asked and not logs_in(local) else 0), pid
        if fails == 0:
            well(local, "login")
        elif fails >= LOGIN_FAILS and local.pid == pid:
            kill(local, pid, "login", f"has served none of {LOGIN_FAILS} logins within {LOGIN_S:g} s each")


def logs_in(local: Local) -> bool:
    """Return whether a login with a tiny write comes to an end, whatever it is."""
    try:
        subprocess.run([local.settings["database"]["login"]], capture_output=True, timeout=LOGIN_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    return True


# What is done about it


def well(local: Local, question: str) -> None:
    """Note that a question is answered, and say so when it was not before."""
    if local.unanswered.pop(question, None):
        local.say(f"the database answers again ({question})")


def kill(local: Local, pid: int, question: str, what: str) -> bool:
    """Kill a database that is of no use any more, or say why not. ``question``: what it leaves unanswered."""
    why = spared(local.post, time.monotonic(), killed_ago_s()) or ending.held(pid) or slow_host()
    if why:
        since, told = local.unanswered.get(question, (time.time(), ""))
        local.unanswered[question] = (since, f"the database {what}, but is left alone: {why}")
        if told != local.unanswered[question][1]:
            local.say(local.unanswered[question][1])
        return False
    why = f"the database (process {pid}) {what}: killing it, so that {_hope(local.post)}"
    # Noted first: if this service ends half-way, the next one must not begin again at once.
    _note(why)
    local.kills += 1
    local.say(why)
    local.say(ending.end(pid, Path(local.settings["database"]["pid_file"])))
    return True


def _hope(post: Post) -> str:
    return "a replica takes over" if post.leads else "it is started anew"


def _note(why: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps({"at": time.time(), "why": why}))


def slow_host() -> str:
    """Return in words what is slow about this host, "" for nothing: then silence says nothing about the database."""
    begun = time.monotonic()
    # This service is favoured by the scheduler; what it starts here is less so than the database.
    subprocess.run(["nice", "-n", "15", "true"], check=False)
    if time.monotonic() - begun > SLOW_S:
        return "this host has no time for any program"
    begun = time.monotonic()
    if not _writes():
        return "this host's disk does not take a small file"
    return "this host's disk is slow" if time.monotonic() - begun > SLOW_DISK_S else ""


def _writes() -> bool:
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        with (FOLDER / "probe").open("wb") as file:
            file.write(os.urandom(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return False
    return True


def hang_status(local: Local) -> Json:
    """Return what the status says: about a hang now, and about the last kill."""
    hang, last = next(iter(local.unanswered.copy().values()), None), last_kill()
    return {
        "hang": {"since": _iso(hang[0]), "why": hang[1]} if hang else None,
        "killed": {"at": last["at"], "since": _iso(last["at"]), "why": last["why"]} if last else None,
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
