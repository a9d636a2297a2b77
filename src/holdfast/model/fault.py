"""Faults: ways to break a running cluster on purpose, as values. Nothing here does anything.

A fault is aimed at a word (``leader``, ``vip_holder``, ``zone:rack1``) that is resolved when it strikes. Striking
gives blows: commands on one place each, with the commands that undo them and the command that shows that they bit.
A place is a host, reached by SSH, or UNDERNEATH: the computer that carries the machines of a lab.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from holdfast.model.watch import Output

Argv = tuple[str, ...]
# The place of blows that come from under the machines (power, cables, disks): only a lab has it.
UNDERNEATH = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What shows that a blow bit: a command for its place, run while it is in force, and a pure reader.

    ``read`` returns a sentence with the figures ("1,204 frames dropped"), or "" when the fault did not bite.
    """

    argv: Argv
    read: Callable[[Output], str]
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Blow:
    """What is done on one place.

    ``heal`` must be safe to run twice, and without ``inject`` having run. ``evidence``: all of them must hold.
    ``once``: it is over as soon as it is done (a kill); nothing has to be undone, ``heal`` is empty.
    """

    place: str
    inject: tuple[Argv, ...]
    heal: tuple[Argv, ...]
    evidence: tuple[Evidence, ...]

    @property
    def once(self) -> bool:
        """Whether it leaves nothing in force that would have to be undone."""
        return not self.heal


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a fault strikes: the hosts that its word meant, and all hosts of the cluster."""

    hosts: tuple[str, ...]
    everyone: tuple[str, ...]


class Ground(Protocol):
    """What lies under the machines. Every method returns the blow for UNDERNEATH; none does anything yet.

    ``lacks(power)``: why a power (``power``, ``freeze``, ``cut``, ``loss``, ``delay``, ``slow_disk``, ``full_disk``)
    cannot be used here, "" when it can.
    """

    def lacks(self, power: str) -> str:
        """Return why this ground cannot do that, "" when it can."""
        ...

    def power_off(self, host: str) -> Blow:
        """Cut the power; healing gives it back."""
        ...

    def freeze(self, host: str) -> Blow:
        """Stop all of a machine at once, as a paused virtual machine; its clock goes on."""
        ...

    def cut(self, grudges: tuple[tuple[str, str], ...]) -> Blow:
        """Drop all frames from the first host of each pair to the second. "" stands for all others and clients.

        SSH from this computer always passes.
        """
        ...

    def lose(self, hosts: Sequence[str], percent: int) -> Blow:
        """Drop that share of all frames to and from hosts, once for each frame, SSH of this computer excepted."""
        ...

    def drop(self, host: str, protocol: str) -> Blow:
        """Drop frames of one protocol to and from a host: ``vrrp`` (IP protocol 112), ``arp`` or ``dns``."""
        ...

    def delay(self, host: str, delay_ms: int, jitter_ms: int) -> Blow:
        """Delay every frame to and from a host."""
        ...

    def slow_disk(self, host: str) -> Blow:
        """Let few writes a second reach a host's disk."""
        ...


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break something.

    - ``name``: short, unique in a design after its component was put before it (``postgres-kill``).
    - ``title``: what is done, one sentence in the present tense with ``{hosts}``.
    - ``target``: the word it is aimed at unless a drill aims elsewhere.
    - ``promise``: what must hold nevertheless, one sentence.
    - ``diagnosis``: the correct diagnosis afterwards, one sentence with ``{hosts}``.
    - ``codes``: where it stands in the catalogue of faults (``A1``).
    - ``hold_s``: how long it stays in force, in seconds, unless a drill says otherwise.
    - ``strike(aim, ground)``: the blows. ``ground`` is None where nothing is under our control but SSH.
    - ``needs``: powers of the ground it uses; none: it is done over SSH alone, and safe to do so.
    """

    name: str
    title: str
    target: str
    promise: str
    diagnosis: str
    strike: Callable[[Aim, Ground | None], tuple[Blow, ...]]
    codes: tuple[str, ...] = ()
    hold_s: float = 20.0
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Milestone:
    """A step of a failover that an engine writes into its journal.

    ``phase``: ``detect`` (the loss is noticed), ``elect`` (who takes over is agreed), ``promote`` (the new leader
    accepts writes) or ``route`` (clients are led there). ``pattern``: a regular expression for the message.
    """

    phase: str
    unit: str
    pattern: str
