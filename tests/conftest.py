"""Tests marked `lab` need root and systemd-nspawn: elsewhere they skip with the reason, but never in CI.

Any test that failed while the computer's processors were taken away says nothing yet: it runs once more.
"""

import os
import signal
from collections.abc import Generator
from functools import cache

import pytest

from holdfast.lab.lab import lab_obstacle
from patience import PATIENCE, patience

IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")


def pytest_configure(config: pytest.Config) -> None:
    """Heed Ctrl-C: what a shell starts in the background ignores it, and so would all that tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[PATIENCE] = patience()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let a test without processors run again."""
    for item in items:
        item.add_marker(pytest.mark.flaky(reruns=1, condition=config.stash[PATIENCE].again))


@cache
def obstacle() -> str | None:
    """Why no lab can be made here; asked once, and only when a lab test is about to run."""
    return lab_obstacle()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a lab test where there can be no lab; begin it, and what runs again, when the processors are there."""
    lookout = item.config.stash[PATIENCE].lookout
    lab = item.get_closest_marker("lab")
    if lab and (reason := obstacle()):
        pytest.skip(reason)
    if lab or getattr(item, "execution_count", 1) > 1:
        lookout.rest()
    else:
        lookout.begin()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a lab test that skips, for whatever reason, has failed: else nobody would notice that it never runs."""
    report = yield
    if IN_CI and report.skipped and item.get_closest_marker("lab"):
        report.outcome = "failed"
        report.longrepr = f"a lab test must not skip in CI, but did: {call.excinfo.value if call.excinfo else ''}"
    return report
