"""Power given back to one machine as a command of its own, for faults: `python -m holdfast.lab.comeback PLAN HOST`.

PLAN is what `plan_text` returns. A dead man's switch needs no cluster file for it; a machine that was removed
meanwhile needs no power.
"""

import dataclasses
import json
import sys
from collections.abc import Sequence

from holdfast.lab import machine
from holdfast.lab.lab import Lab, LabError, LabPlan, MachinePlan


def argv(plan: LabPlan, host: str) -> tuple[str, ...]:
    """The command that does it."""
    return (sys.executable, "-I", "-m", "holdfast.lab.comeback", plan_text(plan), host)


def plan_text(plan: LabPlan) -> str:
    """The part of a plan that machines need which are made already, as JSON."""
    made = dataclasses.replace(plan, packages=(), units_off=())
    return json.dumps(dataclasses.asdict(made), separators=(",", ":"))


def plan_of(text: str) -> LabPlan:
    """The plan that `plan_text` wrote."""
    fields = json.loads(text)
    fields |= {name: tuple(fields[name]) for name in ("packages", "units_off", "reserved")}
    return LabPlan(**fields | {"machines": tuple(MachinePlan(**one) for one in fields["machines"])})


def main(arguments: Sequence[str]) -> None:
    """Give the power back and wait until the machine answers SSH. Raises LabError."""
    text, host = arguments
    plan = plan_of(text)
    if host in machine.names(plan.name):
        Lab(plan, lambda said: None).power_on(host)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except LabError as error:
        sys.exit(str(error))
