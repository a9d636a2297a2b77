"""Health of the operating system: units, disk space, clock."""

from holdfast.components.base.build import PROBE
from holdfast.model.component import Context
from holdfast.model.watch import Output, Probe, Reading, State

DISK_FULL_PERCENT = 90
CLOCK_OFFSET_MAX_S = 0.5
# chronyd does not correct the clock of a container: the machine that carries it does.
_CARRIED = "the clock is kept by the machine that carries this container"


def probes(_context: Context) -> tuple[Probe, ...]:
    """One look at the whole host."""
    return (Probe("host", (PROBE,), read_host, units=("chrony.service",)),)


def read_host(output: Output) -> Reading:
    """Read ``key=value`` lines of the probe script."""
    if output.exit_code:
        return Reading(
            State.UNKNOWN, reason=f"the host could not be examined: {output.stderr.strip() or 'no answer'}"
        )
    facts = dict(line.split("=", 1) for line in output.stdout.splitlines() if "=" in line)
    if facts.get("system") in ("initializing", "starting"):
        return Reading(State.STARTING, reason="the host is still starting its units", facts=facts)
    complaints = [each for each in (_units(facts), _disk(facts), _clock(facts)) if each]
    if complaints:
        return Reading(State.DEGRADED, reason="; ".join(complaints), facts=facts)
    return Reading(State.OK, reason=_CARRIED if _in_container(facts) else "", facts=facts)


def _units(facts: dict[str, str]) -> str:
    failed = facts.get("failed", "").split()
    return f"failed units: {', '.join(failed)}" if failed else ""


def _disk(facts: dict[str, str]) -> str:
    # "/:41:12 /var/lib:93:5" = mount point, percent of space used, percent of inodes used.
    full = [entry for entry in facts.get("disk", "").split() if _is_full(entry)]
    return (
        f"the disk is nearly full: {', '.join(_disk_in_words(entry) for entry in sorted(set(full)))}" if full else ""
    )


def _is_full(entry: str) -> bool:
    return any(int(part) >= DISK_FULL_PERCENT for part in entry.split(":")[1:] if part.isdigit())


def _disk_in_words(entry: str) -> str:
    mount, space, inodes = entry.split(":")
    return f"{mount} holds {space} % of its space and {inodes} % of its inodes"


def _in_container(facts: dict[str, str]) -> bool:
    return facts.get("container", "none") != "none"


def _clock(facts: dict[str, str]) -> str:
    if _in_container(facts):
        return ""
    # The fields of `chronyc -c tracking`: the fifth is the offset in seconds, the last the leap status.
    fields = facts.get("tracking", "").split(",")
    if len(fields) < 14 or fields[-1] == "Not synchronised":
        return "the clock is not synchronised with any time source"
    offset_s = abs(float(fields[4]))
    return f"the clock is {offset_s:.1f} s off" if offset_s > CLOCK_OFFSET_MAX_S else ""
