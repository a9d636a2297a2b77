"""Clients go first; what they start does not."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from holdfast.drills.priority import NICE, go_first


def test_the_calling_thread_goes_first_and_nothing_else(tmp_path: Path) -> None:
    group, seen = tmp_path / "autogroup", dict[str, int]()
    before = os.getpriority(os.PRIO_PROCESS, 0)

    def client() -> None:
        seen["allowed"] = go_first(group)
        seen["own"] = os.getpriority(os.PRIO_PROCESS, 0)
        asked = (sys.executable, "-c", "import os; print(os.getpriority(os.PRIO_PROCESS, 0))")
        seen["child"] = int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)

    thread = threading.Thread(target=client)
    thread.start()
    thread.join()
    assert seen["allowed"] or os.geteuid() != 0
    assert seen["own"] == (NICE if seen["allowed"] else before)
    assert seen["child"] == (0 if seen["allowed"] else before)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
    assert group.exists() == seen["allowed"]


def test_a_kernel_without_session_groups_does_not_mind(tmp_path: Path) -> None:
    thread = threading.Thread(target=lambda: go_first(tmp_path / "none" / "autogroup"))
    thread.start()
    thread.join()
    assert not (tmp_path / "none").exists()
