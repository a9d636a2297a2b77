"""From machines with nothing but Debian's base: apply installs everything by apt."""

import time
from pathlib import Path

import pytest

from lab.cluster import lab_cluster, spec_of
from lab.figures import Measured

pytestmark = pytest.mark.lab


def test_apply_installs_everything_on_bare_machines(tmp_path: Path, measured: Measured) -> None:
    with lab_cluster(tmp_path, spec_of("bare", "10.81.0"), "--bare") as cluster:
        assert not cluster.inside("a", "find", "/usr/sbin/nginx", check=False)
        begun = time.monotonic()
        cluster.holdfast("apply", "-y", timeout_s=500)
        cluster.ready()
        measured("installed, applied and healthy after (s)", time.monotonic() - begun)
        assert cluster.data("plan")["changes"] == []
        with cluster.customers() as shop:
            shop.shop_calmly()
        shop.assert_nothing_lost()
