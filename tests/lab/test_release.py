"""Releases while customers shop: not one request may fail."""

import re

import pytest

from lab.cluster import LabCluster
from lab.customers import Customers
from lab.figures import Measured

pytestmark = pytest.mark.lab

BANNER = "examples/shop/shop/templates/base.html"
READS_PER_S, WRITES_PER_S = 40.0, 10.0


def paint(cluster: LabCluster, mark: str) -> None:
    """Give the pages of the shop's source a new mark."""
    page = cluster.folder / BANNER
    text = re.sub(r"<!-- release \w+ -->\n", "", page.read_text())
    page.write_text(text + f"<!-- release {mark} -->\n")


def shown(cluster: LabCluster) -> set[str]:
    """Return the marks that the shop shows on every host, asked there without the edge."""
    ask = "import os,urllib.request as u;print(u.urlopen(f'http://{os.environ[\"AT\"]}:8000/',timeout=5).read().decode())"
    addresses = {host.name: host.address for host in cluster.design.spec.hosts}
    pages = [cluster.inside(host, "env", f"AT={at}", "python3", "-c", ask) for host, at in addresses.items()]
    return {mark for page in pages for mark in re.findall(r"<!-- release (\w+) -->", page) or ["none"]}


def assert_no_request_failed(shop: Customers, measured: Measured) -> None:
    """Note the count of requests; none may have failed, and no order may be lost."""
    measured("failed requests", shop.failures())
    measured("longest gap between reads (s)", shop.reads_gap_s())
    measured("longest gap between acknowledged orders (s)", shop.writes_gap_s())
    shop.assert_nothing_lost()
    with measured.in_time():
        assert shop.failed_requests() == {}


def test_a_release_and_its_rollback_fail_no_request(cluster: LabCluster, measured: Measured) -> None:
    before = shown(cluster)
    paint(cluster, "painted")
    with cluster.customers(READS_PER_S, WRITES_PER_S) as shop:
        shop.shop_calmly()
        cluster.holdfast("release", "-y")
        assert shown(cluster) == {"painted"}
        cluster.holdfast("release", "rollback", "-y")
        assert shown(cluster) == before
        shop.shop_calmly()
    assert_no_request_failed(shop, measured)
    assert cluster.data("plan")["changes"] == []


def test_a_sick_release_goes_back_by_itself(cluster: LabCluster, measured: Measured) -> None:
    before = shown(cluster)
    paint(cluster, "sick")
    main = cluster.folder / "examples/shop/shop/__main__.py"
    sound = main.read_text()
    main.write_text("raise SystemExit('this release cannot start')\n")
    with cluster.customers(READS_PER_S, WRITES_PER_S) as shop:
        shop.shop_calmly()
        refused = cluster.holdfast("release", "-y", "--timeout", "8", expect=1)
        shop.shop_calmly()
    main.write_text(sound)
    assert "this release cannot start" in refused.stderr
    assert "going back to" in refused.stderr
    assert shown(cluster) == before
    assert_no_request_failed(shop, measured)
    assert cluster.data("plan")["changes"] == []
    assert cluster.drained() == ""
