"""What only tests on real machines need.

Fixtures that make labs belong in `tests/lab/cluster.py` and are imported here by name. A fixture whose
value has a method ``evidence() -> str`` is asked for it when a test that uses it fails: the last journal lines of the
members that are not healthy, for instance. What it answers is printed with the failure.
"""

from collections.abc import Generator
from pathlib import Path
from typing import Protocol, runtime_checkable

import pytest

from lab.cluster import NEVER, LabCluster, cluster, shared_cluster
from lab.figures import FIGURES, Measured, measured, table
from patience import PATIENCE, LateError

__all__ = ["cluster", "measured", "shared_cluster"]


@runtime_checkable
class Witness(Protocol):
    """A fixture that can say what it saw."""

    def evidence(self) -> str:
        """Return lines that help to understand a failure."""
        ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Customers of a shop without power are cut off in the middle of a handshake: such sockets close themselves."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Print what was taken from a test that failed, and the evidence of all its witnesses.

    A test that waited in vain, at its last attempt and without processors, has neither failed nor been judged.
    """
    report = yield
    error = call.excinfo.value if call.excinfo else None
    if report.failed and call.when == "call" and isinstance(error, LateError) and Measured(item).excuses(error):
        report.outcome = "passed"
        if isinstance(left := getattr(item, "funcargs", {}).get("cluster"), LabCluster):
            left.failures_mended = NEVER
    if report.failed:
        taken = f"up to {item.config.stash[PATIENCE].lookout.robbed():.0%} of the processor time that was wanted"
        report.sections.append(("taken away", taken))
        item.config.stash.setdefault(FIGURES, []).append((item.name, f"failed in its {call.when}; taken away", taken))
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Witness):
                report.sections.append((f"evidence of {name}", testimony(value)))
    return report


def testimony(witness: Witness) -> str:
    """Return a witness' evidence; a witness that fails must not hide the failure it was asked about."""
    try:
        return witness.evidence()
    except Exception as error:
        return f"could not be collected: {type(error).__name__}: {error}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print every figure that was measured."""
    if figures := config.stash.get(FIGURES, []):
        terminalreporter.section("measured")
        for line in table(figures):
            terminalreporter.write_line(line)
