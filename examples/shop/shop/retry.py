"""When a failed database transaction is repeated, and how soon. Pure: no driver, no clock."""

from collections.abc import Callable, Iterator

# Each of these says "not now" or "not here", never "not like this".
_STATES = {
    "25006": "the server is read-only: the route still led to a former leader",
    "25P03": "the server closed an idle transaction",
    "40001": "serialization failure",
    "40P01": "deadlock",
    "42P01": "the tables do not exist yet",
    "55P03": "a lock was not to be had in time: perhaps this order's first attempt still waits for a standby",
    "57014": "the statement took too long and was cancelled",
    "57P01": "the server is shutting down",
    "57P02": "the server crashed",
    "57P03": "the server is starting or stopping",
    "57P05": "the server closed an idle session",
}
_CLASSES = {"08": "connection failure", "53": "the server is out of a resource", "58": "the server's system failed"}


def retry_reason(sqlstate: str | None, *, connection_lost: bool) -> str | None:
    """Why a transaction that failed so may be repeated; None when it must not be."""
    if sqlstate is not None:
        return _STATES.get(sqlstate) or _CLASSES.get(sqlstate[:2])
    return "the connection was lost or refused" if connection_lost else None


def delays_s(random: Callable[[], float], first_s: float = 0.05, most_s: float = 0.4) -> Iterator[float]:
    """Pauses between attempts, without end: doubling from `first_s` to `most_s`, each scattered by half.

    The scatter keeps three hosts full of waiting customers from knocking on a new leader at one moment.
    """
    pause_s = first_s
    while True:
        yield pause_s * (0.5 + random() / 2)
        pause_s = min(pause_s * 2, most_s)
