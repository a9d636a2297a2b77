"""The sample shop's rules: what it accepts, what lies in a cart, when it repeats."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop.cart import Cart, cart_from
from shop.checkout import Line, NewOrder, key_from, number_from, order_from
from shop.errors import Refused
from shop.retry import delays_s, retry_reason
from shop.settings import SettingsError, settings_from

from shopkit import ORDER, body

# What may come in


def test_an_order_is_sorted_and_added_up() -> None:
    items = [{"product_id": 3, "quantity": 1}, {"product_id": 1, "quantity": 1}, {"product_id": 3, "quantity": 4}]
    order = order_from(body(items=items, customer=" Ann "), "k1")
    assert order == NewOrder("k1", "Ann", (Line(1, 1), Line(3, 5)))


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe{", "not JSON"),
        (b"[]", "JSON object"),
        (body(price=1), "unknown field 'price'"),
        (body(items=[]), "at least one"),
        (body(items="1"), "must be a list"),
        (body(items=[{"product_id": 1, "quantity": 1}] * 51), "more than 50"),
        (body(items=[{"product_id": 1}]), "item 1 must be an object"),
        (body(items=[{"product_id": True, "quantity": 1}]), "product_id must be a whole number"),
        (body(items=[{"product_id": 1, "quantity": 0}]), "quantity must be a whole number"),
        (body(items=[{"product_id": 1, "quantity": 1.0}]), "quantity must be a whole number"),
        (body(items=[{"product_id": 2**31, "quantity": 1}]), "product_id must be"),
        (body(items=[{"product_id": 1, "quantity": 600}] * 2), "not more than 1000"),
        (body(customer=None), "customer must be text"),
        (body(customer="a\0b"), "printable"),
        (body(customer="x" * 81), "printable"),
    ],
)
def test_a_wrong_order_is_refused_with_the_reason(sent: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason) as caught:
        order_from(sent, "k1")
    assert caught.value.status == 400


@pytest.mark.parametrize("key", [None, "", "a b", "ä", "x" * 101, "k\n"])
def test_a_wrong_key_is_refused(key: str | None) -> None:
    with pytest.raises(Refused):
        key_from(key)


def test_the_fingerprint_tells_orders_apart_but_not_their_keys() -> None:
    assert ORDER.fingerprint() == NewOrder("k2", ORDER.customer, ORDER.lines).fingerprint()
    assert ORDER.fingerprint() != NewOrder("k1", "Bea", ORDER.lines).fingerprint()
    assert ORDER.fingerprint() != NewOrder("k1", "Ann", ORDER.lines[:1]).fingerprint()


def test_numbers_of_a_query_are_checked() -> None:
    assert number_from(None, 100, high=1000, what="limit") == 100
    assert number_from("0", 100, high=1000, what="limit") == 0
    for text in ("-1", "1001", "1e3", "٣", "", "9" * 40):
        with pytest.raises(Refused, match="limit"):
            number_from(text, 100, high=1000, what="limit")


# The cart


def test_a_cart_survives_its_cookie_and_changes_its_key_with_its_content() -> None:
    cart = Cart().with_more(3, 2, "a" * 32).with_more(1, 1, "b" * 32).with_more(3, 98, "c" * 32)
    assert cart.lines == (Line(3, 99), Line(1, 1))
    assert cart_from(cart.cookie()) == cart
    assert cart.pieces == 100
    emptied = cart.with_quantity(3, 0, "d" * 32).with_quantity(1, 0, "e" * 32)
    assert emptied.cookie() == ""


@given(st.one_of(st.none(), st.text(), st.from_regex(r"[0-9a-f]{32}~[0-9:.]{0,40}", fullmatch=True)))
def test_no_cookie_breaks_the_cart(cookie: str | None) -> None:
    cart = cart_from(cookie)
    assert all(line.product_id > 0 and 0 < line.quantity <= 99 for line in cart.lines)
    assert len(cart.lines) <= 20


# Repeating


@pytest.mark.parametrize("sqlstate", ["25006", "40001", "40P01", "57P01", "57P03", "53300", "08006", "55P03"])
def test_what_passes_is_repeated(sqlstate: str) -> None:
    assert retry_reason(sqlstate, connection_lost=False)


@pytest.mark.parametrize("sqlstate", ["23505", "23514", "42601", "28P01", "22P02", "42501"])
def test_what_is_wrong_is_not_repeated(sqlstate: str) -> None:
    assert retry_reason(sqlstate, connection_lost=True) is None


def test_a_lost_connection_is_repeated_and_a_mistake_is_not() -> None:
    assert retry_reason(None, connection_lost=True)
    assert retry_reason(None, connection_lost=False) is None


def test_pauses_grow_to_a_limit_and_are_scattered() -> None:
    longest = list(itertools.islice(delays_s(lambda: 1.0), 6))
    assert longest == [0.05, 0.1, 0.2, 0.4, 0.4, 0.4]
    assert list(itertools.islice(delays_s(lambda: 0.0), 4)) == [0.025, 0.05, 0.1, 0.2]


# The environment


def test_settings_are_read_and_never_shown() -> None:
    settings = settings_from({"DATABASE_URL": "postgresql://shop:hush@localhost/shop", "PORT": "8001"})
    assert (settings.host, settings.port, settings.cache_url) == ("127.0.0.1", 8001, None)
    assert settings.replica_url == settings.database_url
    assert "hush" not in repr(settings)


@pytest.mark.parametrize("wrong", [{"PORT": "0"}, {"PORT": "x"}, {"CHECKOUT_BUDGET_S": "nan"}, {"DATABASE_URL": ""}])
def test_wrong_settings_are_named(wrong: dict[str, str]) -> None:
    environment = {"DATABASE_URL": "postgresql://localhost/shop", **wrong}
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        settings_from(environment)
