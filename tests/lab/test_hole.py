"""The hole that the fence closes: provoked without it, acknowledged writes are lost; with it, none is."""

import pytest

from holdfast.drills.record import Verdict
from lab.cluster import LabCluster
from lab.figures import Measured
from lab.hole import Seen, parts_of, provoked

pytestmark = pytest.mark.lab


def tell(measured: Measured, seen: Seen) -> None:
    measured("the winner was promoted after the cut (s)", seen.promoted_s)
    measured("acknowledged on the old leader's side after that", seen.acknowledged_after)
    measured("lost", f"{seen.lost}: {seen.verdict}")


def test_a_leader_deposed_without_a_fence_loses_what_a_voter_acknowledges(
    cluster: LabCluster, measured: Measured
) -> None:
    seen = provoked(cluster, parts_of(cluster), fence=False)
    tell(measured, seen)
    assert seen.acknowledged_after > 0, "the voter did not acknowledge any more: nothing was provoked"
    assert seen.verdict is Verdict.BROKEN, seen.reason
    assert seen.lost == seen.acknowledged_after
    assert next(each for each in seen.findings if each.rule == "lost").verdict is Verdict.BROKEN


def test_a_leader_deposed_behind_a_fence_loses_nothing(cluster: LabCluster, measured: Measured) -> None:
    seen = provoked(cluster, parts_of(cluster), fence=True)
    tell(measured, seen)
    assert seen.promoted_s < 10.0, "it was deposed early, not at the end of its lease"
    assert seen.verdict is Verdict.KEPT, seen.reason
    assert seen.lost == 0
