"""Whether the table is in the kernel."""

import re

from holdfast.components.firewall.build import NFT, UNIT
from holdfast.model.component import Context
from holdfast.model.watch import Output, Probe, Reading, State

_DROPPED = re.compile(r"counter packets (\d+) bytes \d+ comment \"all else\"")


def probes(_context: Context) -> tuple[Probe, ...]:
    """Ask the kernel, not the unit: somebody else may have flushed all tables."""
    return (Probe("table", (NFT, "list", "chain", "inet", "holdfast", "input"), read_table, units=(UNIT,)),)


def read_table(output: Output) -> Reading:
    """Read the listing of the input chain."""
    if output.exit_code:
        return Reading(
            State.DOWN, reason=f"the table is not in the kernel: every port is open ({_first(output.stderr)})"
        )
    if "policy drop" not in output.stdout:
        return Reading(State.DOWN, reason="the input chain does not drop by default")
    found = _DROPPED.search(output.stdout)
    accepted = sum(" accept" in line for line in output.stdout.splitlines())
    return Reading(State.OK, facts={"rules": str(accepted), "dropped_packets": found.group(1) if found else "0"})


def _first(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no answer"
