"""The values of the protocol: what one look into the dcs shows, what a host senses, what may be done. All frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Keys of our own, below the prefix of the cluster.
DOUBTS, ANSWERS, PROMISES, VERDICT = "doubt/", "answer/", "promise/", "verdict"


@dataclass(frozen=True, slots=True)
class Lead:
    """The leader key: who leads, and the revision at which it took the lead (renewing the lease keeps it)."""

    name: str
    revision: int


@dataclass(frozen=True, slots=True)
class Sync:
    """What the dcs says about the acknowledging of commits, and the revision of that.

    ``quorum``: so many voters besides the candidate itself must be seen in an election; with them it has every
    acknowledged commit. ``text``: the value as it is written, so that it can be written again.
    """

    leader: str
    voters: tuple[str, ...]
    quorum: int
    revision: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a database member last wrote about itself: its role, state and timeline, and the revision of that."""

    role: str
    state: str
    timeline: int
    revision: int


@dataclass(frozen=True, slots=True)
class Note:
    """A key of ours: which leader, under which revision of its key, it is about. ``about`` "" for nobody."""

    about: str
    under: int
    revision: int


NOBODY = Note("", 0, 0)


@dataclass(frozen=True, slots=True)
class View:
    """One linearizable look into the dcs, everything of one revision. ``paused``: failover is switched off."""

    lead: Lead | None = None
    sync: Sync | None = None
    standings: Mapping[str, Standing] = field(default_factory=dict)
    doubts: Mapping[str, Note] = field(default_factory=dict)
    answers: Mapping[str, Note] = field(default_factory=dict)
    promises: Mapping[str, Note] = field(default_factory=dict)
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Fence:
    """A fence of this host: against whom, under which revision of the leader key.

    ``asked``: the highest revision of our own promise key at which a promise was asked for, -1 for never. Such a
    request may still be on its way.
    """

    target: str
    under: int
    asked: int = -1


@dataclass(frozen=True, slots=True)
class Senses:
    """What this host itself notices.

    ``silent``: hosts that gave no sign of life for long enough to be doubted; ``gone``: for long enough to act.
    ``waited``: our doubt stands in the dcs for so long that the accused would have answered.
    ``expired``: our fence is older than its time limit. ``secured``: the fence was seen in force, and the log of this
    host's database can no longer grow from the fenced host. ``shunned``: this host leads, and has long not reached a
    majority of the hosts.
    """

    silent: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    waited: bool = False
    expired: bool = False
    secured: bool = False
    shunned: bool = False


@dataclass(frozen=True, slots=True)
class Self:
    """Who decides: its name, all database hosts, and whether commits wait for replicas at all."""

    name: str
    hosts: tuple[str, ...]
    synchronous: bool = True


@dataclass(frozen=True, slots=True)
class Post:
    """What this host's own database is to the cluster, by the last look into the dcs.

    ``spare``: others can do without it: a leader has a replica that may take over, a replica's acknowledgement is not
    the only one. ``paused``: its manager does nothing about a database that dies. ``at``: when that was seen, in
    seconds of the monotonic clock, 0 for never.
    """

    leader: str = ""
    leads: bool = False
    spare: bool = False
    paused: bool = False
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Compare:
    """A guard of a transaction: the key must have this revision; 0: it must not be there."""

    key: str
    revision: int


@dataclass(frozen=True, slots=True)
class Txn:
    """A transaction: when all guards hold, all puts and deletes are done, else nothing.

    Keys of the database begin with ``db:``, ours with ``our:``. ``leased``: the puts vanish when we fall silent.
    """

    guards: tuple[Compare, ...] = ()
    puts: tuple[tuple[str, str], ...] = ()
    deletes: tuple[str, ...] = ()
    leased: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do next, and the sentence that says why.

    ``act``: ``rest``, ``fence``, ``unfence``, or the name of a transaction (``doubt``, ``withdraw``, ``answer``,
    ``resign``, ``promise``, ``retract``, ``depose``).
    """

    act: str
    why: str
    txn: Txn | None = None
    target: str = ""
    under: int = 0
