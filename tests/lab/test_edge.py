"""An application host dies while customers read: none of them may notice, and it comes back by itself, slowly."""

import asyncio

import pytest
from benchmarks.edge import measure

from lab.cluster import LabCluster
from lab.figures import Measured

pytestmark = pytest.mark.lab

# A minute: half of it is left after the power is back, and the host needs a part of that to start.
REQUESTS, PER_S = 6000, 100.0
OUT_WITHIN_S = 1.0
# Connections to a dead host that nobody ends take 6 s. The figure itself is the benchmark's.
ADDED_S = 2.0


def test_no_reader_notices_the_death_of_an_application_host(cluster: LabCluster, measured: Measured) -> None:
    cluster.ready()
    found = asyncio.run(measure(cluster.folder, REQUESTS, PER_S, "/static/shop.css"))
    for figure in ("requests", "failed", "worst_ms", "added_s", "out_after_s"):
        measured(figure, found[figure])
    shares = found["share_after_return"]
    measured("share of the returned host, each 3 s", " ".join(map(str, shares)))
    with measured.in_time():
        assert found["wrong"] == {}
        assert found["added_s"] < ADDED_S
        assert found["out_after_s"] is not None
        assert found["out_after_s"] < OUT_WITHIN_S
        assert len(shares) >= 2, "it was not back in time"
        assert shares[0] < shares[-1], "it starts slowly"
