"""The three ways in which a request can end without success."""


class Refused(Exception):
    """The request is wrong and repeating it will not help; `status` is the HTTP status (4xx)."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Unavailable(Exception):
    """Nobody could answer in time; the same request may succeed a little later."""


class Indeterminate(Exception):
    """A commit whose durability is unknown: it must not be acknowledged, only repeated."""
