"""The pages for people. They work without JavaScript; only the live feed needs it."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from .api import body_of
from .cart import QUANTITY_MAX, Cart, cart_from
from .catalogue import Product, Products
from .checkout import NewOrder, customer_from, key_from, lines_of, number_from
from .errors import Refused, Unavailable
from .parts import shop_of
from .readthrough import Reading

COOKIE = "cart"
COOKIE_AGE_S = 30 * 24 * 3600
BEST_SELLERS = 5
LATEST_ORDERS = 25


def money(cents: int) -> str:
    return f"€\u202f{cents // 100:,}.{cents % 100:02d}"


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True, undefined=StrictUndefined
)
_TEMPLATES.filters["money"] = money


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page of the shop, with the cart's size and the host's name on it."""
    values |= {"cart": cart_of(request), "hostname": shop_of(request).settings.hostname, "path": request.url.path}
    html = _TEMPLATES.get_template(template).render(**values)
    return HTMLResponse(html, status, {"Cache-Control": "private, no-cache"})


def error_page(request: Request, status: int, reason: str, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    answer = page(request, "error.html", status, code=status, reason=reason)
    answer.headers.update(headers or {})
    return answer


def cart_of(request: Request) -> Cart:
    return cart_from(request.cookies.get(COOKIE))


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form sent from one of the shop's own pages; raises Refused for any other.

    The cart's cookie is SameSite=Lax, so a foreign page cannot buy what lies in it; this keeps foreign
    pages from changing the cart too. Browsers set the header and pages cannot; other clients do not send it.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise Refused(403, "this form was sent from another site")
    try:
        fields = parse_qs((await body_of(request)).decode(), max_num_fields=20)
    except ValueError:
        raise Refused(400, "the form cannot be read") from None
    return {name: values[-1] for name, values in fields.items()}


def priced(cart: Cart, products: Products) -> list[tuple[Product, int]]:
    """The cart's lines with their products; what is no longer sold falls out."""
    return [(products[line.product_id], line.quantity) for line in cart.lines if line.product_id in products]


def total_cents(lines: list[tuple[Product, int]]) -> int:
    return sum(product.price_cents * quantity for product, quantity in lines)


async def product_of(request: Request) -> tuple[Product, Reading[Products]]:
    found = await shop_of(request).catalogue.products()
    product = found.value.get(request.path_params["id"])
    if product is None:
        raise Refused(404, "there is no such product")
    return product, found


async def home(request: Request) -> Response:
    catalogue = shop_of(request).catalogue
    found = await catalogue.products()
    categories: dict[str, list[Product]] = {}
    for product in found.value.values():
        categories.setdefault(product.category, []).append(product)
    top = await catalogue.best_sellers(BEST_SELLERS)
    best = [(found.value[product_id], sold) for product_id, sold in top.value if product_id in found.value]
    return page(request, "home.html", categories=categories, best=best, found=found)


async def show_product(request: Request) -> Response:
    product, found = await product_of(request)
    related = [other for other in found.value.values() if other.category == product.category and other != product]
    return page(request, "product.html", product=product, related=related[:4], found=found)


async def show_cart(request: Request) -> Response:
    found = await shop_of(request).catalogue.products()
    lines = priced(cart_of(request), found.value)
    return page(request, "cart.html", lines=lines, total=total_cents(lines), problem=None, customer="")


async def change_cart(request: Request) -> Response:
    form = await form_of(request)
    product_id = number_from(form.get("product_id"), 0, high=10**9 - 1, what="product_id")
    quantity = number_from(form.get("quantity"), 1, high=QUANTITY_MAX, what="quantity")
    if product_id not in (await shop_of(request).catalogue.products()).value:
        raise Refused(404, "there is no such product")
    cart, key = cart_of(request), uuid.uuid4().hex
    changed = cart.with_more if form.get("action") == "add" else cart.with_quantity
    return _with_cart(request, RedirectResponse("/cart", 303), changed(product_id, quantity, key))


async def checkout(request: Request) -> Response:
    """Buy the cart. Its key is the order's idempotency key: a second press of the button changes nothing."""
    shop, form, cart = shop_of(request), await form_of(request), cart_of(request)
    if not cart.lines or form.get("key") != cart.key:
        # The cart was bought or changed in another window: show it as it is now.
        return RedirectResponse("/cart", 303)
    name = form.get("customer", "")
    try:
        lines = lines_of({line.product_id: line.quantity for line in cart.lines})
        order, known = await shop.orders.place(NewOrder(key_from(cart.key), customer_from(name), lines))
    except (Refused, Unavailable) as error:
        return await _cart_again(request, error, name)
    if not known:
        await shop.announce(order)
    return _with_cart(request, RedirectResponse(f"/order/{order['id']}", 303), Cart())


async def _cart_again(request: Request, error: Refused | Unavailable, customer: str) -> Response:
    found = await shop_of(request).catalogue.products()
    lines = priced(cart_of(request), found.value)
    status = error.status if isinstance(error, Refused) else 503
    answer = page(
        request, "cart.html", status, lines=lines, total=total_cents(lines), problem=error, customer=customer
    )
    if status == 503:
        answer.headers["Retry-After"] = "2"
    return answer


def _with_cart(request: Request, answer: Response, cart: Cart) -> Response:
    # The edge ends TLS and says so here.
    secure = request.headers.get("X-Forwarded-Proto", request.url.scheme) == "https"
    if cart.lines:
        answer.set_cookie(COOKIE, cart.cookie(), max_age=COOKIE_AGE_S, httponly=True, samesite="lax", secure=secure)
    else:
        answer.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=secure)
    return answer


async def show_order(request: Request) -> Response:
    order = await shop_of(request).orders.get(request.path_params["id"])
    if order is None:
        raise Refused(404, "there is no such order")
    return page(request, "order.html", order=order)


async def show_orders(request: Request) -> Response:
    return page(request, "orders.html", orders=await shop_of(request).orders.latest(LATEST_ORDERS))


async def live(request: Request) -> Response:
    return page(request, "live.html")


ROUTES = [
    Route("/", home),
    Route("/product/{id:int}", show_product),
    Route("/cart", show_cart),
    Route("/cart", change_cart, methods=["POST"]),
    Route("/checkout", checkout, methods=["POST"]),
    Route("/orders", show_orders),
    Route("/order/{id:int}", show_order),
    Route("/live", live),
]
