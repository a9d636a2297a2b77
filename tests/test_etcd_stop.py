"""A member of the dcs that stops: who leads after it."""

from typing import Any

import pytest

from holdfast.components.etcd.service.stop import STATUS, TRANSFER, hand_over

OWN, B, C = "https://a:2379", "https://b:2379", "https://c:2379"


class Members:
    """Members of a dcs by address: what each says of itself, and what was asked of whom."""

    def __init__(self, **leaders: str | None) -> None:
        self.leaders = {f"https://{name}:2379": leader for name, leader in leaders.items()}
        self.learners: set[str] = set()
        self.moved: list[tuple[str, Any]] = []

    def ask(self, url: str, path: str, body: dict[str, Any]) -> Any:
        leader = self.leaders[url]
        if leader is None:
            raise ConnectionRefusedError(url)
        if path == TRANSFER:
            self.moved.append((url, body["targetID"]))
            return {}
        assert path == STATUS
        own = {"header": {"member_id": f"number of {url}"}, "leader": f"number of https://{leader}:2379"}
        return own | ({"isLearner": True} if url in self.learners else {})


def test_the_lead_goes_to_the_first_that_follows() -> None:
    members = Members(a="a", b="a", c="a")
    assert hand_over(OWN, [B, C], members.ask) == f"the lead went to {B}"
    assert members.moved == [(OWN, f"number of {B}")]


@pytest.mark.parametrize("b", [None, "c"], ids=["is away", "follows another"])
def test_the_lead_does_not_go_to_one_that(b: str | None) -> None:
    members = Members(a="a", b=b, c="a")
    assert hand_over(OWN, [B, C], members.ask) == f"the lead went to {C}"


def test_the_lead_does_not_go_to_one_that_may_not_vote() -> None:
    members = Members(a="a", b="a")
    members.learners = {B}
    assert "no other member can lead" in hand_over(OWN, [B], members.ask)
    assert members.moved == []


def test_a_follower_has_nothing_to_hand_over() -> None:
    members = Members(a="b", b="b")
    assert hand_over(OWN, [B], members.ask) == "another member leads"
    assert members.moved == []


def test_a_member_that_does_not_answer_is_just_stopped() -> None:
    with pytest.raises(ConnectionRefusedError):
        hand_over(OWN, [B], Members(a=None, b="a").ask)
