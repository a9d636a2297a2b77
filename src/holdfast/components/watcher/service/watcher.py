"""The service's main loop: look, decide, act, and say why."""

import json
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import fencing
from .fencing import FenceError
from .hangs import hang_status, kill, well
from .protocol import decide, post_of
from .seclusion import Seclusion
from .senses import DOUBT_S, GONE_S, ODD_S
from .senses import Senses as Signs
from .store import Store, StoreError
from .upkeep import Local
from .views import metrics
from .words import Decision, Fence, Self, Senses, View

Json = dict[str, Any]
RUN = Path("/run/holdfast-watch")
# Nothing odd: one look in 2 s. While something is decided: as fast as the dcs answers, with a breath between.
CALM_S, BUSY_S, TICK_S = 2.0, 0.03, 0.1
# The accused has this long to answer through the dcs after the doubt was written.
ANSWER_S = 0.3
# An unused fence is lifted after this; then this host does not fence again for a while.
LIMIT_S, REST_S = 10.0, 20.0
# How often the dcs is asked while a fence stands, and how often its rules are looked at.
FENCED_S, RECHECK_S = 1.0, 5.0
REPORT_S = 5.0
# What a leader leaves unanswered that only the dcs reaches.
PEERS = "peers"
# How long the service tries, when it is stopped, to take an unused fence down.
FAREWELL_S = 2.0


class Watcher:
    """One host's service. Only this thread decides and acts on fences."""

    def __init__(self, settings: Json, store: Store, signs: Signs, local: Local, seclusion: Seclusion) -> None:
        self.settings, self.store, self.signs, self.local = settings, store, signs, local
        self.seclusion = seclusion
        self.me = Self(settings["name"], tuple(sorted(settings["hosts"])), settings["synchronous"])
        self.view = View()
        self.changed = threading.Event()
        self.leaving = False
        self.fence: Fence | None = None
        self.since = self.rest_until = self.checked = self.looked = self.reported = 0.0
        self.secured = False
        self.doubted: tuple[str, int] = ("", 0)
        self.doubted_at = 0.0
        self.last, self.why = "", ""
        self.counts = dict.fromkeys(("doubt", "fence", "promise", "depose", "unfence", "answer", "resign"), 0)
        self.mute_since = 0.0

    def say(self, text: str) -> None:
        """Write a sentence into the journal, once until another one is said."""
        if text != self.last:
            self.last = text
            print(text, flush=True)

    def restore(self) -> None:
        """Put a fence that is written down into force, before anything else begins."""
        found = fencing.load()
        if found and found[0].target in self.settings["hosts"]:
            self.fence, self.since = found
            self.signs.unasked = self.fence.target
            fencing.raise_up(self._address(self.fence.target), self.settings["database"])
            self.say(f"the fence against {self.fence.target} is in force again")
        elif found:
            fencing.take_down()
            self.say(f"the fence against {found[0].target} is lifted: it is no host of the database any more")

    def run(self) -> None:
        """Work until told to leave, then take an unused fence down."""
        while not self.leaving:
            self.changed.wait(BUSY_S if self._busy() else TICK_S)
            self._round()
        until = time.monotonic() + FAREWELL_S
        while self.fence and time.monotonic() < until and self._step(Senses()).act in ("retract", "unfence"):
            continue
        if self.fence:
            self.say(f"this service stops; the fence against {self.fence.target} stays, it deposed a leader")

    def _busy(self) -> bool:
        lead = self.view.lead
        silent = self.signs.silent(ODD_S)
        unused = self.fence is not None and time.time() - self.since < LIMIT_S + REST_S
        # Nobody answers a leader: the dcs must say, again and again, that it leads.
        unsure = self.seclusion.leading and not self.signs.reaches_majority(ODD_S)
        lost = lead is not None and lead.name in silent and lead.name != self.me.name
        return unused or unsure or (lost and not self.mute_since)

    def _round(self) -> None:
        due = CALM_S if not self.fence else FENCED_S
        now = time.monotonic()
        if self.changed.is_set() or self._busy() or now - self.looked >= due:
            self.changed.clear()
            self.looked = now
            self._step(self._senses())
        if now - self.reported >= REPORT_S:
            self.report()

    # Looking and deciding

    def _senses(self) -> Senses:
        now = time.monotonic()
        self._recheck(now)
        silent, gone = self.signs.silent(DOUBT_S), self.signs.silent(GONE_S)
        if now < self.rest_until:
            gone = frozenset()
        return Senses(
            silent,
            gone,
            waited=bool(self.doubted[0]) and now - self.doubted_at >= ANSWER_S,
            expired=self._expired(),
            secured=self.secured,
            shunned=self.seclusion.shunned(now),
        )

    def _expired(self) -> bool:
        return self.fence is not None and time.time() - self.since > LIMIT_S

    def _step(self, senses: Senses) -> Decision:
        """Look, decide, act. What fails is tried again in the next round, from a fresh look."""
        begun = time.monotonic()
        try:
            self.view = self.store.look()
            self.mute_since = 0.0
            self._note_doubt()
            self.local.post = post_of(self.me, self.view, time.monotonic())
            acts = not self.view.paused and self.me.synchronous
            self.seclusion.looked(begun, self.local.post.leads, acts)
            if not senses.shunned:
                well(self.local, PEERS)
            decision = decide(self.me, self.view, self.fence, senses)
            self._act(decision)
        except StoreError as error:
            self.mute_since = self.mute_since or time.monotonic()
            decision = Decision("rest", f"without the dcs nothing is decided: {error}")
            # One line for each time that it falls silent; which member was asked last is in the status.
            self.say("the dcs does not answer: until it does nothing is decided")
        except FenceError as error:
            decision = Decision("rest", f"the fence could not be set: {error}")
            self.say(decision.why)
        self.why = decision.why
        return decision

    def _note_doubt(self) -> None:
        own = self.view.doubts.get(self.me.name)
        found = (own.about, own.under) if own else ("", 0)
        if found != self.doubted:
            self.doubted, self.doubted_at = found, time.monotonic()

    def _recheck(self, now: float) -> None:
        """See that the rules of a fence are still in force; somebody may have flushed all tables."""
        if self.fence and now - self.checked >= RECHECK_S:
            self.checked = now
            address = self._address(self.fence.target)
            if not fencing.stands(address):
                self.say(f"the rules of the fence against {self.fence.target} were gone: loading them again")
                fencing.raise_up(address, self.settings["database"])

    # Acting

    def _act(self, decision: Decision) -> None:
        if decision.act in self.counts:
            self.counts[decision.act] += 1
        if decision.act == "rest":
            if self.fence or self.signs.silent(DOUBT_S):
                self.say(f"{decision.why}")
        elif decision.act == "fence":
            self._raise(decision)
        elif decision.act == "unfence":
            self._lift(decision)
        elif decision.act == "resign":
            self._resign(decision)
        else:
            self._transact(decision)

    def _raise(self, decision: Decision) -> None:
        """Cut this host's database off: first in writing, then in the kernel, then what streams already."""
        if self.fence is None:
            self.fence, self.since = Fence(decision.target, decision.under), time.time()
            fencing.save(self.fence, self.since)
            self.say(f"{decision.why}")
        address = self._address(decision.target)
        self.signs.unasked = decision.target
        fencing.raise_up(address, self.settings["database"])
        self.secured = fencing.end_receivers(self.settings["database"]["receiver"]) and fencing.stands(address)
        self.checked = time.monotonic()
        self.changed.set()

    def _resign(self, decision: Decision) -> None:
        """End the database here, and only then let the others depose it: while it runs it takes its key again."""
        pid = self.local.pid
        if pid == 0 or kill(self.local, pid, PEERS, decision.why):
            self._transact(decision)

    def _lift(self, decision: Decision) -> None:
        fencing.take_down()
        if (
            self.fence
            and time.time() - self.since > LIMIT_S
            and self.view.lead
            and self.view.lead.name == decision.target
        ):
            self.rest_until = time.monotonic() + REST_S
        self.fence, self.secured, self.signs.unasked = None, False, ""
        self.say(decision.why)
        self.report()

    def _transact(self, decision: Decision) -> None:
        assert decision.txn is not None
        if decision.act == "promise" and self.fence:
            # Written down before it is asked for: the request may come in later than anybody thinks.
            own = self.view.promises.get(self.me.name)
            asked = max(self.fence.asked, own.revision if own else 0)
            self.fence = replace(self.fence, asked=asked)
            fencing.save(self.fence, self.since)
        held = self.store.run(decision.txn)
        self.say(f"{decision.why}{'' if held else ' (somebody was faster)'}")
        self.changed.set()

    def _address(self, name: str) -> str:
        return str(self.settings["hosts"][name])

    # Reporting

    def report(self) -> None:
        """Write what `status` and Prometheus read."""
        self.reported = time.monotonic()
        with suppress(OSError):
            _write(RUN / "status.json", json.dumps(self._status(), indent=1) + "\n")
            _write(RUN / "metrics.prom", metrics(self._figures()))

    def _status(self) -> Json:
        fence = self.fence
        return {
            "at": time.time(),
            "name": self.me.name,
            "leader": self.view.lead.name if self.view.lead else "",
            "acts": not self.view.paused and self.me.synchronous,
            "silent": sorted(self.signs.silent(DOUBT_S)),
            "mute_s": round(time.monotonic() - self.mute_since, 1) if self.mute_since else 0,
            "secluded_s": round(time.monotonic() - self.seclusion.since, 1) if self.seclusion.since else 0,
            "why": self.why,
            **hang_status(self.local),
            "fence": {
                "against": fence.target,
                "under": fence.under,
                "since": datetime.fromtimestamp(self.since, UTC).isoformat(timespec="seconds"),
                "owner": f"holdfast-watch on {self.me.name}",
                "limit_s": LIMIT_S,
                "used": not (self.view.lead and self.view.lead.revision == fence.under),
            }
            if fence
            else None,
        }

    def _figures(self) -> list[tuple[str, str, str, float]]:
        acts = [(f"{name}s_total", "counter", f"Times this host did: {name}.", n) for name, n in self.counts.items()]
        local = self.local
        return [
            *acts,
            ("fence", "gauge", "1 while this host fences an old leader.", float(self.fence is not None)),
            ("silent_peers", "gauge", "Peers that give no sign of life.", len(self.signs.silent(DOUBT_S))),
            ("secluded", "gauge", "1 while clients of this host's database must wait.", float(self.signs.alone)),
            (
                "seclusions_total",
                "counter",
                "Times clients of this host's database had to wait.",
                self.seclusion.times,
            ),
            ("stops_total", "counter", "Times this service itself was stopped for a while.", self.signs.stops),
            ("process_deaths_total", "counter", "Deaths of the database's process seen.", local.deaths),
            ("kills_total", "counter", "Databases killed: hung, or out of reach.", local.kills),
            ("store_leader_moves_total", "counter", "Times the dcs's leader was moved away.", local.moves),
            ("manager_turns_total", "counter", "Times the manager was turned back to its own dcs.", local.turns),
        ]


def _write(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.rename(path)
