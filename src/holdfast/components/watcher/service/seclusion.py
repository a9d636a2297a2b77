"""Falling silent: a leader that reaches neither a majority of the hosts nor the dcs answers no client.

The others may have deposed it. What clients read there from then on could be older than what they have read
elsewhere, or be taken back later. Its clients wait meanwhile (packets are dropped, nothing is refused): when it leads
on, they go on. Only the database's port is closed; its manager is on the same host and uses a socket in a folder.
"""

import http.client
import time
from pathlib import Path
from typing import Any

from .ending import end
from .fencing import load_rules, removal, titled
from .senses import Senses
from .upkeep import Local, Say

Json = dict[str, Any]
TABLE = "holdfast_seclusion"
# Less than the time after which others may act (senses.GONE_S), more than a few lost datagrams.
ALONE_S = 0.8
STEP_S, ROLE_S = 0.05, 0.5
# So long after the dcs took the lead away, the database's own manager has stopped it, if it works at all. An election
# takes longer.
DEPOSED_S = 1.0
# So long without a word of anybody, while this service itself runs as it should: others are electing by now.
HOPE_S = 0.5
# A leader that reaches the dcs, but for so much longer no majority, gives the lead up: 3 s are no passing trouble.
SHUNNED_S = 3.0 - ALONE_S
# It receives the log of a leader: what nobody else had was taken back, and it says nothing that is old for long.
FOLLOWS = ("replica", "streaming")


class Seclusion:
    """Whether this host's database is kept from its clients, and what that depends on.

    ``leading``: this host's database was the leader when last heard of. ``acts``: early failover is possible at all.
    ``confirmed``: when the last look into the dcs began that showed this host leading, on the monotonic clock.
    ``since``: when the seclusion began, 0.0 while there is none. ``near_at``: when a majority of the hosts was last
    reached, or this program itself was stopped.
    """

    def __init__(self, settings: Json, signs: Senses, local: Local, say: Say) -> None:
        self.settings, self.signs, self.local, self.say = settings, signs, local, say
        self.leading = self.deposed = self.acts = False
        self.deposed_at = 0.0
        self.confirmed = self.since = self.asked = 0.0
        self.near_at = time.monotonic()
        self.times = self.stops = self.stops_seen = 0

    def looked(self, begun: float, leads: bool, acts: bool) -> None:
        """Take note of a look into the dcs that began at a moment."""
        self.acts = acts
        if leads:
            self.leading, self.deposed, self.confirmed = True, False, begun
        elif self.leading and not self.deposed:
            self.deposed, self.deposed_at, self.confirmed = True, begun, 0.0

    def entitled(self, now: float) -> bool:
        """Return whether nobody else can lead yet: deposing takes a majority that has long not heard this host."""
        return self.signs.reaches_majority(ALONE_S) or now - self.confirmed < ALONE_S

    def shunned(self, now: float) -> bool:
        """Return whether this leader has so long not reached a majority that it is better to give the lead up."""
        return self.leading and now - self.near_at >= SHUNNED_S

    def step(self, now: float) -> None:
        """Begin or end the seclusion, when it is time for that."""
        if self.signs.reaches_majority(ALONE_S) or self.signs.stops != self.stops_seen:
            self.near_at, self.stops_seen = now, self.signs.stops
        if self.deposed and self.acts and self.deposed_at and now - self.deposed_at >= DEPOSED_S:
            self.deposed_at = 0.0
            self._stop("the dcs says that this host leads no longer, but its database was not stopped")
        if self.since and self.stops == self.signs.stops and now - self.since >= HOPE_S:
            self.stops = -1
            if not self.signs.reached_since(self.since):
                self._stop("nobody is reached from here any more")
        if self.leading and (self.since or self.deposed) and now - self.asked >= ROLE_S:
            self.asked = now
            if self._standing() == FOLLOWS:
                self.leading = self.deposed = False
        if self.since and not self.leading:
            self._end("the database here follows another leader now: clients are let in again")
        elif self.since and self.confirmed > self.since:
            self._end("the dcs says that this host still leads: clients are let in again")
        elif not self.since and self.leading and self.acts and not self.entitled(now):
            self._begin(now)

    def _begin(self, now: float) -> None:
        load_rules(rules(int(self.settings["database"]["port"])))
        self.since, self.signs.alone, self.stops = now, True, self.signs.stops
        self.times += 1
        self.say("no majority of the hosts and no dcs is reached from here: another may lead, clients must wait")

    def _end(self, why: str) -> None:
        load_rules(removal(TABLE))
        self.since, self.signs.alone = 0.0, False
        self.say(why)

    def _stop(self, why: str) -> None:
        """Stop a database that is still writable: another leads, or soon will. What it acknowledged is safe."""
        database = self.settings["database"]
        if self.local.pid and not titled(database["recovering"]):
            self.say(f"{why}: stopping the database")
            self.say(end(self.local.pid, Path(database["pid_file"])))

    def _standing(self) -> tuple[str, str]:
        """Return the role of this host's database, and whether it receives the log of a leader."""
        try:
            found = self.local.api("GET", self.settings["database"]["status_path"])
            return str(found.get("role")), str(found.get("replication_state"))
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            return "", ""


def rules(port: int) -> str:
    """Return the rules as nft reads them."""
    owner = 'comment "holdfast-watch: this leader may have been deposed"'
    return (
        f"{removal(TABLE)}table inet {TABLE} {{\n"
        f" chain input {{ type filter hook input priority -10; policy accept;\n"
        f"  tcp dport {port} counter drop {owner}\n }}\n}}\n"
    )


def seclude(own: Seclusion) -> None:
    """Watch over the seclusion, for ever. A thread of its own: a dcs that does not answer must not delay it."""
    while True:
        time.sleep(STEP_S)
        own.step(time.monotonic())
