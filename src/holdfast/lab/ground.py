"""What lies under the machines of a lab, for faults: power, cables, time. A blow is commands for this computer."""

from collections.abc import Callable, Sequence

from holdfast.lab import brake, comeback, cuts, disk, freezer, lever, pump
from holdfast.lab.cuts import Cut
from holdfast.lab.host import attempt, lab_obstacle
from holdfast.lab.plan import LabError, LabPlan
from holdfast.lab.processes import directory
from holdfast.model.fault import UNDERNEATH, Blow, Evidence
from holdfast.model.watch import Output


class LabGround:
    """The ground of the machines of one lab; see `holdfast.model.fault.Ground`. Nothing is done by asking it.

    Methods raise LabError for a machine that is not in the lab.
    """

    def __init__(self, plan: LabPlan) -> None:
        self.plan = plan
        self._lacks: dict[str, str] = {}

    def lacks(self, power: str) -> str:
        """Return why this computer cannot do that, "" when it can; tried once for each power."""
        if power not in self._lacks:
            self._lacks[power] = _lacks(self.plan, power)
        return self._lacks[power]

    def power_off(self, host: str) -> Blow:
        """Cut the power; healing gives it back and waits until the machine answers SSH."""
        self._known(host)
        name = self.plan.name
        shown = Evidence(lever.argv("show", name, host), _said("off", f"{host} has no process and no cable"))
        return _blow(lever.argv("off", name, host), comeback.argv(self.plan, host), shown)

    def freeze(self, host: str) -> Blow:
        """Stop a machine as if its virtual machine were paused; healing lets it go on.

        Its processes are frozen. Its frames are dropped too: the kernel of this computer is also the machine's, and
        would go on answering for it.
        """
        name, silence = self.plan.name, cuts.silence(self.plan, host)
        shown = Evidence(
            freezer.argv("show", name, host), _said(freezer.FROZEN, f"all processes of {host} are frozen")
        )
        return Blow(
            UNDERNEATH,
            (silence.inject, freezer.argv("freeze", name, host)),
            (silence.heal, freezer.argv("thaw", name, host)),
            (shown,),
        )

    def cut(self, grudges: tuple[tuple[str, str], ...]) -> Blow:
        """Drop all frames from the first of each pair to the second; "" stands for everybody else and for clients.

        SSH between this computer and a machine's own address always passes.
        """
        return _cut(cuts.cut(self.plan, grudges))

    def lose(self, hosts: Sequence[str], percent: int) -> Blow:
        """Drop that share of all frames to and from hosts, at random."""
        return _cut(cuts.lose(self.plan, hosts, percent))

    def drop(self, host: str, protocol: str) -> Blow:
        """Drop frames of one protocol to and from a host: ``vrrp``, ``arp`` or ``dns``.

        Of ``arp`` the machine's own address stays known to this computer, for SSH.
        """
        return _cut(cuts.drop(self.plan, host, protocol))

    def delay(self, host: str, delay_ms: int, jitter_ms: int) -> Blow:
        """Delay every frame to and from a host by ``delay_ms``, more or less up to ``jitter_ms``."""
        self._known(host)
        name = self.plan.name
        shown = Evidence(pump.argv("show", name, host), _delayed)
        inject = pump.argv("start", name, host, delay_ms, jitter_ms)
        return _blow(inject, pump.argv("stop", name, host), shown)

    def slow_disk(self, host: str) -> Blow:
        """Let few writes a second reach a machine's disk; reading is as quick as before."""
        self._known(host)
        name = self.plan.name
        shown = Evidence(brake.argv("show", name, host), lambda output: _slow(output, host), timeout_s=20.0)
        return _blow(brake.argv("slow", name, host), brake.argv("free", name, host), shown)

    def _known(self, host: str) -> None:
        if host not in [one.name for one in self.plan.machines]:
            raise LabError(f"no machine {host!r} in lab {self.plan.name}")


def _blow(inject: tuple[str, ...], heal: tuple[str, ...], shown: Evidence) -> Blow:
    return Blow(UNDERNEATH, (inject,), (heal,), (shown,))


def _cut(one: Cut) -> Blow:
    return _blow(one.inject, one.heal, one.evidence)


def _said(word: str, sentence: str) -> Callable[[Output], str]:
    return lambda output: sentence if output.exit_code == 0 and output.stdout.strip() == word else ""


def _delayed(output: Output) -> str:
    frames = int(output.stdout) if output.exit_code == 0 else 0
    return f"{frames:,} frames delayed" if frames else ""


def _slow(output: Output, host: str) -> str:
    limit, took_s = output.stdout.split() if output.exit_code == 0 and output.stdout else ("0", "0")
    if limit == "0":
        return ""
    return f"{limit} writes a second reach the disk of {host}, and one took {float(took_s):.2f} s"


def _lacks(plan: LabPlan, power: str) -> str:
    if why := lab_obstacle():
        return why
    if power == "power":
        return ""
    if power == "freeze":
        return freezer.obstacle()
    if power in ("cut", "loss"):
        return _lacks_nft(plan)
    if power == "delay":
        return pump.obstacle()
    if power == "full_disk":
        return _lacks_disks(plan)
    if power == "slow_disk":
        return _lacks_disks(plan) or brake.obstacle()
    return f"the lab cannot do {power!r}"


def _lacks_disks(plan: LabPlan) -> str:
    """What a machine without a disk of its own suffered, this computer's would suffer."""
    if why := disk.obstacle():
        return why
    bare = [one.name for one in plan.machines if not disk.is_own(directory(plan.name, one.name))]
    return f"{bare[0]} has no disk of its own: holdfast lab down, then up" if bare else ""


def _lacks_nft(plan: LabPlan) -> str:
    """Let the kernel judge a table with all matches that are used, without putting it in force."""
    host = plan.machines[0].name
    rules = (
        cuts.lose(plan, (host,), 50).rules + cuts.drop(plan, host, "vrrp").rules + cuts.drop(plan, host, "dns").rules
    )
    tried = attempt(Cut(plan.name, "try", rules).tried)
    return "" if tried.returncode == 0 else f"nft refuses rules for bridges: {tried.stderr.strip().splitlines()[0]}"
