"""The hole that the fence closes: provoked without it, acknowledged writes are lost."""

import pytest

from holdfast.drills.record import Verdict
from lab.cluster import LabCluster
from lab.figures import Measured
from lab.hole import Parts, Seen, falsely_acknowledged, parts_of, provoked

pytestmark = pytest.mark.lab


def tell(measured: Measured, seen: Seen) -> None:
    measured("the winner was promoted after the cut (s)", seen.promoted_s)
    measured("acknowledged on the old leader's side after that", seen.acknowledged_after)
    measured("lost", f"{seen.lost}: {seen.verdict}")


def second_fault(cluster: LabCluster, parts: Parts) -> tuple[Seen, bool]:
    """Provoke the hole without a fence, and let the voter come back to the new leader before it is rewound."""
    told: list[bool] = []
    seen = provoked(cluster, parts, fence=False, aftermath=lambda: told.append(falsely_acknowledged(cluster, parts)))
    return seen, told[0]


def test_a_leader_deposed_without_a_fence_loses_what_a_voter_acknowledges(
    cluster: LabCluster, measured: Measured
) -> None:
    seen, false = second_fault(cluster, parts_of(cluster))
    tell(measured, seen)
    measured("a replica ahead of the new leader acknowledges what it does not have", false)
    assert not false, "the new leader had begun a new segment of its log"
    assert seen.acknowledged_after > 0, "the voter did not acknowledge any more: nothing was provoked"
    assert seen.verdict is Verdict.BROKEN, seen.reason
    assert seen.lost == seen.acknowledged_after
    assert next(each for each in seen.findings if each.rule == "lost").verdict is Verdict.BROKEN
