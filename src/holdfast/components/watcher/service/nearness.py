"""The database's manager asks the dcs member of its own host, whenever that one is well.

While its own member does not answer in time, as during an election of the dcs, it asks another host's, and then stays
there. When that host dies, it waits nearly 2 s for an answer that does not come. A replica that waits so does not
follow the new leader, and commits wait for it. There is no request for "come back"; but when a connection is refused,
it asks the next member, its own host's first.
"""

import http.client
import socket
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .fencing import FenceError, load_rules, removal
from .hangs import OLD_S
from .upkeep import Local, ask_store

Json = dict[str, Any]
TABLE = "holdfast_nearness"
CONNECTIONS = Path("/proc/net/tcp")
ESTABLISHED = "01"
SOCKETS = ("ss", "-HtnieO", "state", "established")
# It asks once a second.
LATELY_MS = 1800
# Away in so many looks in a row; one that asks elsewhere for a moment comes back by itself or asks again.
LOOK_EVERY_S, LOOKS = 2.0, 2
# Longer than from one question to the next. The kernel forgets it by itself, whatever becomes of this service.
REFUSED_S = 2
# Its own member is well when it confirms a value with a majority within this.
WELL_S = 0.5
# If it was in vain, do not insist.
REST_S = 30.0


def keep_manager_near(local: Local) -> None:
    """Turn the manager back to its own host's dcs member when it has strayed, for ever. A thread of its own."""
    near, far = local.settings["store"]["near"], _far(local.settings)
    seen = 0
    while near and far:
        time.sleep(LOOK_EVERY_S)
        away = asked(_owner(local), far)
        seen = seen + 1 if away and _calm(local) else 0
        if seen >= LOOKS and _is_well(local, near):
            seen = 0
            turn_back(local, away)
            if asked(_owner(local), far):
                time.sleep(REST_S)


def _far(settings: Json) -> frozenset[tuple[str, int]]:
    parts = map(urlsplit, settings["store"]["far"])
    return frozenset((each.hostname or "", each.port or 0) for each in parts)


def _owner(local: Local) -> int:
    """Return the user of the database and of its manager, -1 while there are no data."""
    try:
        return Path(local.settings["database"]["pid_file"]).parent.stat().st_uid
    except OSError:
        return -1


def _calm(local: Local) -> bool:
    """Return whether somebody leads, as far as is known: in an election nothing is refused."""
    post = local.post
    return bool(post.leader) and time.monotonic() - post.at <= OLD_S


def asked(owner: int, far: frozenset[tuple[str, int]]) -> frozenset[tuple[str, int]]:
    """Return which of the members far away a user has asked something just now."""
    if not connected(CONNECTIONS, owner, far):
        return frozenset()
    # What it has left stays open for a while, unused: only the kernel's longer list says when something was sent.
    try:
        sockets = subprocess.run(SOCKETS, capture_output=True, text=True, timeout=5, check=False).stdout
        return far & sent_to(sockets, owner)
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()


def connected(connections: Path, owner: int, far: frozenset[tuple[str, int]]) -> frozenset[tuple[str, int]]:
    """Return to which of the members far away a user has connections, from the kernel's short list of them."""
    try:
        lines = connections.read_text().splitlines()[1:]
    except OSError:
        return frozenset()
    found = (line.split() for line in lines)
    return far & {_address(each[2]) for each in found if each[3] == ESTABLISHED and int(each[7]) == owner}


def sent_to(sockets: str, owner: int) -> frozenset[tuple[str, int]]:
    """Return whither a user sent something lately, from what ss says, a connection in a line."""
    found = set()
    for line in sockets.splitlines():
        words = line.split()
        last = next((word.removeprefix("lastsnd:") for word in words if word.startswith("lastsnd:")), "0")
        if f"uid:{owner}" in words and int(last) < LATELY_MS:
            address, _, port = words[3].rpartition(":")
            found.add((address, int(port)))
    return frozenset(found)


def _address(text: str) -> tuple[str, int]:
    """Return address and port; the address is written as a number of this machine (0C034E0A: 10.78.3.12)."""
    address, port = text.split(":")
    return socket.inet_ntoa(int(address, 16).to_bytes(4, sys.byteorder)), int(port, 16)


def _is_well(local: Local, near: str) -> bool:
    key = b64encode(f"{local.settings['database']['prefix']}leader".encode()).decode()
    try:
        # Confirmed by a majority, unless one asks for less.
        return bool(ask_store(local, near, "/kv/range", {"key": key}, WELL_S).get("kvs"))
    except (OSError, http.client.HTTPException, ValueError, AttributeError):
        return False


def turn_back(local: Local, away: frozenset[tuple[str, int]]) -> None:
    """Refuse the manager's connections to some members for a moment."""
    local.turns += 1
    hosts = ", ".join(sorted(address for address, _ in away))
    local.say(f"the database's manager asks the dcs of {hosts}, though this host's is well: it is turned back")
    try:
        load_rules(rules(away, _owner(local)))
        time.sleep(REFUSED_S)
        load_rules(removal(TABLE))
    except (FenceError, OSError, subprocess.SubprocessError) as error:
        local.say(f"the database's manager could not be turned back: {error}")


def rules(away: frozenset[tuple[str, int]], owner: int) -> str:
    """Return the rules as nft reads them."""
    named = 'comment "holdfast-watch: ask this host\'s own member"'
    members = ", ".join(f"{address} . {port} timeout {REFUSED_S}s" for address, port in sorted(away))
    return (
        f"{removal(TABLE)}table inet {TABLE} {{\n"
        f" set far {{ type ipv4_addr . inet_service; flags timeout; elements = {{ {members} }}\n }}\n"
        f" chain output {{ type filter hook output priority -10; policy accept;\n"
        f"  meta skuid {owner} meta l4proto tcp ip daddr . tcp dport @far counter reject with tcp reset {named}\n"
        f" }}\n}}\n"
    )
