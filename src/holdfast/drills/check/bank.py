"""Rules for the bank: money moves between accounts, none is made and none is lost."""

from collections.abc import Iterator

from holdfast.drills.check.values import BankHistory
from holdfast.drills.check.words import at, judged, unknown
from holdfast.drills.record import Finding


def check_bank(history: BankHistory) -> tuple[Finding, ...]:
    """Judge a bank: one total in every read and in the end, and no negative balance."""
    seen = tuple(_answers(history))
    if not seen:
        return unknown("bank total", "No balance was ever read."), unknown(
            "bank negative", "No balance was ever read."
        )
    end = "the end among them" if history.final else "but nothing could be read in the end"
    return (
        judged(
            "bank total",
            [
                f"{sum(each)} instead of {history.total}: {where}"
                for where, each in seen
                if sum(each) != history.total
            ],
            f"The total was {history.total} in each of {len(seen)} reads ({end}), "
            f"after {history.transfers_ok} acknowledged transfers.",
            f"{{count}} of {len(seen)} reads saw another total than {history.total}.",
        ),
        judged(
            "bank negative",
            [f"a balance of {min(each)}: {where}" for where, each in seen if min(each) < 0],
            f"No balance was negative in any of {len(seen)} reads ({end}).",
            f"{{count}} of {len(seen)} reads saw a negative balance.",
        ),
    )


def _answers(history: BankHistory) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Return where balances were read, and which; a read without any account is one that lost them all."""
    for each in history.reads:
        where = f" on {each.node}" if each.node else ""
        yield f"read by {each.session}{where} at {at(each.started_s)}", each.balances or (0,)
    if history.final:
        yield "in the end", history.final
