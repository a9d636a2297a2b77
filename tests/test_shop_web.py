"""The sample shop's API and pages, asked without a network and without servers behind it."""

import asyncio
from typing import Any, cast

import httpx
import pytest
from shop.app import application
from shop.cart import Cart, cart_from
from shop.catalogue import Catalogue
from shop.checkout import Line
from shop.errors import Unavailable
from shop.health import Health
from shop.orders import Orders
from shop.parts import Shop
from shop.settings import settings_from

from shopkit import Clock, FakeOrders, Servers, body, run


@pytest.fixture
def shop() -> Shop:
    settings = settings_from({"DATABASE_URL": "postgresql://shop:hush@localhost:1/shop"})
    with asyncio.Runner() as runner:
        shop = Shop(settings)
        shop.catalogue = Catalogue(shop.cache, Servers().readers(), Clock())
        shop.orders = cast(Orders, FakeOrders())
        shop.health = Health(shop.primary, shop.replica, shop.cache, shop.catalogue, "a")
        runner.run(shop.cache.close())
    return shop


def ask(shop: Shop, method: str, path: str, **options: Any) -> httpx.Response:
    async def scene() -> httpx.Response:
        transport = httpx.ASGITransport(application(shop))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return await client.request(method, path, **options)

    return run(scene())


def test_an_order_is_answered_with_201_and_its_place(shop: Shop) -> None:
    answer = ask(shop, "POST", "/api/orders", content=body(), headers={"Idempotency-Key": "k1"})
    assert (answer.status_code, answer.json()["id"], answer.headers["location"]) == (201, 7, "/api/orders/7")
    assert "idempotent-replayed" not in answer.headers


def test_a_repeated_order_is_answered_the_same_way(shop: Shop) -> None:
    cast(FakeOrders, shop.orders).known = True
    answer = ask(shop, "POST", "/api/orders", content=body(), headers={"Idempotency-Key": "k1"})
    assert (answer.status_code, answer.json()["id"]) == (201, 7)
    assert answer.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    ("content", "key", "status"), [(body(), None, 400), (b"{", "k", 400), (b" " * 70_000, "k", 413)]
)
def test_bad_requests_get_a_reason(shop: Shop, content: bytes, key: str | None, status: int) -> None:
    headers = {"Idempotency-Key": key} if key else {}
    answer = ask(shop, "POST", "/api/orders", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_an_unconfirmed_order_says_when_to_come_again(shop: Shop) -> None:
    cast(FakeOrders, shop.orders).error = Unavailable("not now")
    answer = ask(shop, "POST", "/api/orders", content=body(), headers={"Idempotency-Key": "k1"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


def test_pages_escape_what_customers_wrote_and_allow_no_inline_script(shop: Shop) -> None:
    answer = ask(shop, "GET", "/order/7")
    assert "&lt;b&gt;Ann&lt;/b&gt;" in answer.text
    assert "<b>Ann" not in answer.text
    assert "script-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/", "/product/1", "/cart", "/order/7", "/live", "/static/shop.css"])
def test_pages_are_there(shop: Shop, path: str) -> None:
    assert ask(shop, "GET", path).status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/product/99", "/order/8", "/api/orders/8", "/static/../app.py"])
def test_what_is_not_there_is_404(shop: Shop, path: str) -> None:
    assert ask(shop, "GET", path).status_code == 404


def test_a_cart_is_bought_with_its_own_key_only(shop: Shop) -> None:
    added = ask(shop, "POST", "/cart", data={"action": "add", "product_id": "1", "quantity": "2"})
    assert added.status_code == 303
    cookie = added.cookies["cart"]
    bought = {"customer": "Ann", "key": cart_from(cookie).key}
    headers = {"Cookie": f"cart={cookie}"}
    assert ask(shop, "POST", "/checkout", data=bought, headers=headers).headers["location"] == "/order/7"
    other = ask(shop, "POST", "/checkout", data={**bought, "key": "x"}, headers=headers)
    assert other.headers["location"] == "/cart"


def test_after_a_failed_checkout_the_page_keeps_cart_and_key(shop: Shop) -> None:
    cast(FakeOrders, shop.orders).error = Unavailable("not now")
    cart = Cart("a" * 32, (Line(1, 2),))
    headers = {"Cookie": f"cart={cart.cookie()}"}
    answer = ask(shop, "POST", "/checkout", data={"customer": '"Ann"', "key": cart.key}, headers=headers)
    assert answer.status_code == 503
    assert f'name="key" value="{cart.key}"' in answer.text
    assert "&#34;Ann&#34;" in answer.text


def test_a_form_from_another_site_is_refused(shop: Shop) -> None:
    answer = ask(shop, "POST", "/cart", data={"product_id": "1"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


def test_healthz_is_red_until_there_is_something_to_show_and_when_draining(shop: Shop) -> None:
    starting = ask(shop, "GET", "/healthz")
    assert (starting.status_code, starting.json()["status"]) == (503, "starting")
    run(shop.catalogue.products())
    serving = ask(shop, "GET", "/healthz")
    # No leader, no replica, no cache: the goods can be shown all the same.
    assert (serving.status_code, serving.json()["status"]) == (200, "degraded")
    assert serving.json()["database"]["primary"]["reachable"] is False
    shop.drain()
    draining = ask(shop, "GET", "/healthz")
    assert (draining.status_code, draining.headers["connection"]) == (503, "close")
