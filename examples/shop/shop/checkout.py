"""What may enter the shop: pure checks of everything a customer sends."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import Refused

LINES_MAX = 50
QUANTITY_MAX = 1000
CUSTOMER_CHARS_MAX = 80
ID_MAX = 2**31 - 1
_KEY = re.compile(r"[A-Za-z0-9._:-]{1,100}\Z")
_DIGITS = re.compile(r"[0-9]{1,18}\Z")


@dataclass(frozen=True, slots=True)
class Line:
    """So many pieces of one product."""

    product_id: int
    quantity: int


@dataclass(frozen=True, slots=True)
class NewOrder:
    """A checked order that nobody has placed yet. Lines are sorted, with one line for each product."""

    key: str
    customer: str
    lines: tuple[Line, ...]

    def fingerprint(self) -> str:
        """Tells whether a repeated key comes with the same order."""
        text = json.dumps([self.customer, [(line.product_id, line.quantity) for line in self.lines]])
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def order_from(body: bytes, key: str | None) -> NewOrder:
    """The order in a JSON request; raises Refused (400) with the reason."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(data, dict):
        raise Refused(400, "the body must be a JSON object")
    unknown = sorted(set(data) - {"items", "customer"})
    if unknown:
        raise Refused(400, f"unknown field {unknown[0]!r}: only items and customer are known")
    return NewOrder(key_from(key), customer_from(data.get("customer", "guest")), lines_from(data.get("items")))


def key_from(key: str | None) -> str:
    """A usable idempotency key; raises Refused (400)."""
    if not key:
        raise Refused(400, "the header Idempotency-Key is missing")
    if not _KEY.match(key):
        raise Refused(400, "Idempotency-Key takes 1 to 100 characters out of A-Z a-z 0-9 . _ : -")
    return key


def customer_from(value: object) -> str:
    """A customer's name, without blanks around it; raises Refused (400)."""
    if not isinstance(value, str):
        raise Refused(400, "customer must be text")
    name = value.strip()
    if not name or len(name) > CUSTOMER_CHARS_MAX or not name.isprintable():
        raise Refused(400, f"customer takes 1 to {CUSTOMER_CHARS_MAX} printable characters")
    return name


def lines_from(value: object) -> tuple[Line, ...]:
    """The lines of an order, repeated products added up; raises Refused (400)."""
    if not isinstance(value, list) or not value:
        raise Refused(400, "items must be a list with at least one item")
    if len(value) > LINES_MAX:
        raise Refused(400, f"items must not have more than {LINES_MAX} items")
    wanted: dict[int, int] = {}
    for number, item in enumerate(value, start=1):
        line = _line(item, number)
        wanted[line.product_id] = wanted.get(line.product_id, 0) + line.quantity
    return lines_of(wanted)


def lines_of(wanted: Mapping[int, int]) -> tuple[Line, ...]:
    """Lines sorted by product: every checkout takes its row locks in this order, so none can deadlock."""
    if max(wanted.values()) > QUANTITY_MAX:
        raise Refused(400, f"not more than {QUANTITY_MAX} pieces of one product")
    return tuple(Line(product_id, wanted[product_id]) for product_id in sorted(wanted))


def _line(item: object, number: int) -> Line:
    if not isinstance(item, dict) or set(item) != {"product_id", "quantity"}:
        raise Refused(400, f"item {number} must be an object with product_id and quantity")
    return Line(
        _whole(item["product_id"], ID_MAX, f"item {number}: product_id"),
        _whole(item["quantity"], QUANTITY_MAX, f"item {number}: quantity"),
    )


def _whole(value: object, high: int, what: str) -> int:
    # bool is an int in Python, but `true` is not a quantity.
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= high:
        raise Refused(400, f"{what} must be a whole number from 1 to {high}")
    return value


def number_from(text: str | None, default: int, *, high: int, what: str) -> int:
    """A number of a query string, at most `high`; raises Refused (400)."""
    if text is None:
        return default
    if not _DIGITS.match(text) or int(text) > high:
        raise Refused(400, f"{what} must be a whole number from 0 to {high}")
    return int(text)
