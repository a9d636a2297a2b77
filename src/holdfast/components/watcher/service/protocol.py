"""Early failover by peer fencing: what one host does next, as a pure function of what it knows.

No input or output happens here; the service and the model checker (tests/test_watch_model.py) run these very
functions. docs/explanation/early-failover.md has the argument why this is safe. In short:

- A voter first cuts its own database off from the leader's host (*fence*), then promises so in the dcs.
- Only when so many voters have promised that the others are too few to acknowledge a commit is the leader deposed.
- Deposing is one transaction. It is guarded by the revisions of the leader key, of the sync key and of every promise
  it counts, and it leaves the counted voters as the only ones whose votes count.
- A fence is lifted only after the promise was taken back, and a promise that helped to depose is taken back only when
  the deposed host is known to be harmless.
"""

import json

from .words import (
    ANSWERS,
    DOUBTS,
    NOBODY,
    PROMISES,
    VERDICT,
    Compare,
    Decision,
    Fence,
    Note,
    Post,
    Self,
    Senses,
    Sync,
    Txn,
    View,
)

REPLICA, RUNNING = "replica", ("running", "streaming")


def decide(me: Self, view: View, fence: Fence | None, senses: Senses) -> Decision:
    """Return the next step of this host. Asked again after every step, with a fresh view."""
    if fence:
        return _fenced(me, view, fence, senses)
    if (own := view.promises.get(me.name, NOBODY)).about:
        # A promise without a fence: the file that holds the fence was lost. Keep the word.
        return Decision("fence", f"a promise to fence {own.about} stands without a fence", None, own.about, own.under)
    if view.lead is None:
        return Decision("rest", "nobody leads: the election is the database's own affair")
    if view.lead.name == me.name:
        return _accused(me, view, senses)
    return _watching(me, view, senses)


# The leader's own host


def _accused(me: Self, view: View, senses: Senses) -> Decision:
    """Say through the dcs that this host is alive, when others doubt it; give the lead up when that does not end."""
    lead, answer = view.lead, view.answers.get(me.name, NOBODY)
    doubts = _doubts(me, view)
    if lead is None or not doubts:
        return Decision("rest", "this host leads and nobody doubts it")
    if senses.shunned and _is_stuck(me, view, doubts):
        return _resigning(me, view, f"reaches the dcs, but not {_names(doubts)}, without whom no commit ends")
    if answer.revision > max(note.revision for note in doubts.values()):
        return Decision("rest", "this host leads and nobody doubts it unanswered")
    txn = Txn((Compare("db:leader", lead.revision),), ((f"our:{ANSWERS}{me.name}", _note(me.name, lead.revision)),))
    return Decision("answer", f"{_names(doubts)} cannot reach this host, but it is alive and reaches the dcs", txn)


def _resigning(me: Self, view: View, why: str) -> Decision:
    """End the database and take the answer to the doubts back: then the others depose this leader like a dead one."""
    answer = view.answers.get(me.name, NOBODY)
    if answer.revision <= 0:
        return Decision("rest", f"the leader here {why}: it is to be deposed")
    key = f"our:{ANSWERS}{me.name}"
    return Decision("resign", why, Txn((Compare(key, answer.revision),), (), (key,)))


def _is_stuck(me: Self, view: View, doubts: dict[str, Note]) -> bool:
    """Return whether those who doubt the leader are a majority, and no commit can be acknowledged without them."""
    sync = view.sync
    if sync is None or _stays_out(me, view):
        return False
    deaf = sum(name in doubts for name in sync.voters)
    return deaf >= needed(sync) and len(doubts) > len(me.hosts) // 2


# The other hosts, while they stream or follow


def _watching(me: Self, view: View, senses: Senses) -> Decision:
    lead = view.lead
    assert lead is not None
    own = view.doubts.get(me.name, NOBODY)
    doubted = own.about == lead.name and own.under == lead.revision
    if lead.name not in senses.silent:
        if own.about:
            key = f"our:{DOUBTS}{me.name}"
            return Decision("withdraw", f"{own.about} is heard again", Txn((Compare(key, own.revision),), (), (key,)))
        return Decision("rest", f"{lead.name} leads and is heard")
    if why := _stays_out(me, view):
        return Decision("rest", why)
    if not doubted:
        txn = Txn(
            (Compare("db:leader", lead.revision),),
            ((f"our:{DOUBTS}{me.name}", _note(lead.name, lead.revision)),),
            leased=True,
        )
        return Decision("doubt", f"{lead.name}, which leads, gives no sign of life here", txn)
    if why := _unsure(me, view, senses):
        return Decision("rest", why)
    if me.name in _voters(view):
        why = f"{_names(_doubts(me, view))} agree that {lead.name} is gone: fencing it before it is deposed"
        return Decision("fence", why, None, lead.name, lead.revision)
    return _depose(me, view)


def _stays_out(me: Self, view: View) -> str:
    """Return why a dead leader's host is left to the lease alone; "" when it is not."""
    lead, sync = view.lead, view.sync
    name = lead.name if lead else ""
    if view.paused:
        return f"{name} is silent, but an operator has paused automatic failover"
    if not me.synchronous:
        return f"{name} is silent, but commits wait for no replica: only the end of its lease is safe"
    if sync is None or not sync.voters:
        return f"{name} is silent, but it wrote alone: no other host has all of its commits"
    if sync.leader != name:
        return f"{name} is silent, but has not yet said whom its commits wait for"
    return ""


def _unsure(me: Self, view: View, senses: Senses) -> str:
    """Return what is missing to act on the silence of the leader's host; "" when nothing is."""
    lead = view.lead
    assert lead is not None
    doubts = _doubts(me, view)
    answer = view.answers.get(lead.name, NOBODY)
    if lead.name not in senses.gone or not senses.waited:
        return f"{lead.name} is doubted: it may still answer"
    if len(doubts) <= len(me.hosts) // 2:
        return f"only {_names(doubts)} of {len(me.hosts)} hosts cannot reach {lead.name}: no majority"
    if answer.under == lead.revision and answer.revision > min(note.revision for note in doubts.values()):
        return f"{lead.name} answers through the dcs: it is alive, only cut off from here"
    return ""


def _doubts(me: Self, view: View) -> dict[str, Note]:
    """Return the doubts about the present leader under its present revision."""
    lead = view.lead
    found = {name: note for name, note in sorted(view.doubts.items()) if name in me.hosts}
    return {
        name: each for name, each in found.items() if lead and (each.about, each.under) == (lead.name, lead.revision)
    }


def _voters(view: View) -> tuple[str, ...]:
    return view.sync.voters if view.sync else ()


# Hosts that have fenced


def _fenced(me: Self, view: View, fence: Fence, senses: Senses) -> Decision:
    """Go on from a fence: promise it, depose the leader, or take it down again."""
    own = view.promises.get(me.name, NOBODY)
    lead = view.lead
    if lead is not None and (lead.name, lead.revision) == (fence.target, fence.under):
        return _before_deposing(me, view, fence, senses, own)
    if lead is None:
        return Decision("rest", f"the fence against {fence.target} stands: nobody leads yet")
    if why := _harmless(me, view, fence):
        return _take_down(me, fence, own, why, ())
    return Decision("rest", f"the fence against {fence.target} stands until it is back as a replica of {lead.name}")


def _before_deposing(me: Self, view: View, fence: Fence, senses: Senses, own: Note) -> Decision:
    lead = Compare("db:leader", fence.under)
    if fence.target not in senses.silent:
        return _take_down(me, fence, own, f"{fence.target} is heard again", (lead,))
    if senses.expired:
        return _take_down(me, fence, own, f"{fence.target} could not be deposed in time", (lead,))
    if why := _stays_out(me, view) or _unsure(me, view, senses):
        return Decision("rest", why)
    if (own.about, own.under) == (fence.target, fence.under):
        return _depose(me, view)
    if not senses.secured:
        return Decision(
            "fence", f"the fence against {fence.target} is not yet seen in force", None, fence.target, fence.under
        )
    key = f"our:{PROMISES}{me.name}"
    note = _note(fence.target, fence.under)
    txn = Txn((lead, Compare(key, own.revision)), ((key, note),))
    return Decision("promise", f"nothing of this host's database reaches {fence.target} any more", txn)


def _depose(me: Self, view: View) -> Decision:
    """Depose the leader when so many voters have promised that the others cannot acknowledge a commit."""
    lead, sync = view.lead, view.sync
    assert lead is not None
    assert sync is not None
    promised = {
        name: note
        for name, note in sorted(view.promises.items())
        if name in sync.voters and (note.about, note.under) == (lead.name, lead.revision)
    }
    if len(promised) < needed(sync):
        return Decision("rest", f"{len(promised)} of {needed(sync)} needed voters have fenced {lead.name}")
    guards = (
        Compare("db:leader", lead.revision),
        Compare("db:sync", sync.revision),
        *(Compare(f"our:{PROMISES}{name}", note.revision) for name, note in promised.items()),
    )
    # Writing the sync key makes every change of it that the old leader has on its way fail.
    puts = (("db:sync", narrowed(sync, tuple(promised))), (f"our:{VERDICT}", _note(lead.name, lead.revision)))
    why = f"{_names(promised)} have fenced {lead.name}, it can acknowledge nothing any more: deposing it"
    return Decision("depose", why, Txn(guards, puts, ("db:leader",)), lead.name, lead.revision)


def needed(sync: Sync) -> int:
    """Return how many voters must have fenced: the rest is then too few to acknowledge a commit."""
    return sync.quorum + 1


def narrowed(sync: Sync, fenced: tuple[str, ...]) -> str:
    """Return the sync key with the fenced voters as the only ones.

    The vote of a voter that has not fenced says nothing: it may receive and acknowledge more right after it. (With
    one acknowledging replica all voters are needed anyway, and the text stays as it is.)
    """
    if set(fenced) == set(sync.voters):
        return sync.text
    old = json.loads(sync.text) if sync.text else {"leader": sync.leader, "quorum": sync.quorum}
    return json.dumps(old | {"sync_standby": ",".join(sorted(fenced))}, separators=(",", ":"))


def _harmless(me: Self, view: View, fence: Fence) -> str:
    """Return why the fenced host can do no harm any more; "" when it may still be a leader on the old timeline."""
    lead = view.lead
    assert lead is not None
    there, here = view.standings.get(fence.target), view.standings.get(me.name)
    if there is None or here is None:
        return ""
    if lead.name == fence.target:
        # It took its key again. Had anybody been promoted in between, and had this host followed, this host would be
        # on a later timeline.
        return f"{fence.target} leads again" if there.timeline >= here.timeline else ""
    ruler = view.standings.get(lead.name)
    # Written after the new leader took its key; no promise under the old key is younger than that.
    fresh = there.revision > lead.revision
    if ruler and fresh and there.role == REPLICA and there.state in RUNNING and there.timeline >= ruler.timeline:
        return f"{fence.target} is back as a replica of {lead.name}"
    return ""


def _take_down(me: Self, fence: Fence, own: Note, why: str, guards: tuple[Compare, ...]) -> Decision:
    """Take the promise back, then the fence down. A request to promise that is still on its way must fail first."""
    if own.about or (fence.asked >= 0 and own.revision <= fence.asked):
        key = f"our:{PROMISES}{me.name}"
        txn = Txn((*guards, Compare(key, own.revision)), ((key, _note("", 0)),))
        return Decision("retract", f"{why}: taking the promise back", txn)
    return Decision("unfence", f"{why}: lifting the fence", None, fence.target, fence.under)


def _note(about: str, under: int) -> str:
    return json.dumps({"about": about, "under": under}, separators=(",", ":"))


def post_of(me: Self, view: View, at: float) -> Post:
    """Return what this host's own database is to the cluster."""
    lead, sync = view.lead, view.sync
    leads = lead is not None and lead.name == me.name
    voters = _voters(view)
    # A commit waits for all voters but ``quorum``: with none to spare it waits for this one.
    spare = bool(voters) if leads else me.name not in voters or (sync is not None and sync.quorum > 0)
    return Post(lead.name if lead else "", leads, spare, view.paused, at)


def _names(found: dict[str, Note]) -> str:
    return " and ".join(found) or "nobody"
