"""The cart: a cookie with product ids and quantities, and the idempotency key of its checkout.

The key belongs to the content: it changes with every change of the cart and stays through reloads and
failed checkouts, so that pressing "buy" again after an error page can never buy twice.
"""

import re
from dataclasses import dataclass

from .checkout import Line

LINES_MAX = 20
QUANTITY_MAX = 99
_COOKIE = re.compile(r"([0-9a-f]{32})~([0-9]{1,9}:[0-9]{1,2}(?:\.[0-9]{1,9}:[0-9]{1,2})*)\Z")


@dataclass(frozen=True, slots=True)
class Cart:
    """What lies in a customer's cart, in the order in which it was put there."""

    key: str = ""
    lines: tuple[Line, ...] = ()

    @property
    def pieces(self) -> int:
        return sum(line.quantity for line in self.lines)

    def with_quantity(self, product_id: int, quantity: int, key: str) -> "Cart":
        """The cart with exactly so many pieces of a product (0 takes it out), under a new key."""
        wanted = {line.product_id: line.quantity for line in self.lines}
        wanted[product_id] = min(quantity, QUANTITY_MAX)
        lines = tuple(Line(product, count) for product, count in wanted.items() if count > 0)
        return Cart(key, lines[:LINES_MAX])

    def with_more(self, product_id: int, quantity: int, key: str) -> "Cart":
        """The cart with so many more pieces of a product, under a new key."""
        present = {line.product_id: line.quantity for line in self.lines}.get(product_id, 0)
        return self.with_quantity(product_id, present + quantity, key)

    def cookie(self) -> str:
        """The cookie's value; empty for an empty cart."""
        items = ".".join(f"{line.product_id}:{line.quantity}" for line in self.lines)
        return f"{self.key}~{items}" if items else ""


def cart_from(cookie: str | None) -> Cart:
    """The cart in a cookie. A customer can write anything there: what is not a cart is an empty cart."""
    match = _COOKIE.match(cookie or "")
    if match is None:
        return Cart()
    pairs = [tuple(map(int, item.split(":"))) for item in match[2].split(".")]
    wanted = {product_id: quantity for product_id, quantity in pairs if product_id > 0 and quantity > 0}
    lines = tuple(Line(product_id, quantity) for product_id, quantity in wanted.items())
    return Cart(match[1], lines[:LINES_MAX])
