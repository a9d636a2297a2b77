"""Orders: placing one exactly once, and reading them back."""

import asyncio
import logging
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from .checkout import Line, NewOrder
from .db import AWAY, Database, Session
from .errors import Indeterminate, Refused, Unavailable
from .retry import delays_s, retry_reason

log = logging.getLogger("shop.orders")

# One attempt may outlast a short stall of the standby, but not eat the whole budget on a dead connection.
ATTEMPT_TIMEOUT_S = 4.0
READ_TIMEOUT_S = 2.0

# The second arrival of a key is not only read: it writes too, see Orders._attempt.
_CLAIM = """
    INSERT INTO orders (key, customer, fingerprint) VALUES (%s, %s, %s)
    ON CONFLICT (key) DO UPDATE SET attempts = orders.attempts + 1
    RETURNING id, attempts, fingerprint
"""
_GOODS = "SELECT id, name, stock FROM products WHERE id = ANY(%s::int[])"
_LOCK = "SELECT FROM products WHERE id = ANY(%s::int[]) ORDER BY id FOR NO KEY UPDATE"
_TAKE = """
    WITH wanted AS (SELECT * FROM unnest(%s::int[], %s::int[]) AS line (id, quantity)),
    taken AS (
        UPDATE products p SET stock = p.stock - wanted.quantity, sold = p.sold + wanted.quantity
        FROM wanted WHERE p.id = wanted.id RETURNING p.id, wanted.quantity, p.price_cents
    )
    INSERT INTO order_items (order_id, product_id, quantity, price_cents)
    SELECT %s, id, quantity, price_cents FROM taken
"""
_ONE = """
    SELECT o.id, o.key, o.customer, o.created_at, i.items
    FROM (SELECT * FROM orders WHERE id = %s) o
"""
_PAGE = """
    SELECT o.id, o.key, o.customer, o.created_at, i.items
    FROM (SELECT * FROM orders WHERE id > %s ORDER BY id LIMIT %s) o
"""
_LATEST = """
    SELECT o.id, o.key, o.customer, o.created_at, i.items
    FROM (SELECT * FROM orders ORDER BY id DESC LIMIT %s) o
"""
_ITEMS = """
    CROSS JOIN LATERAL (
        SELECT json_agg(json_build_object('product_id', p.id, 'name', p.name, 'quantity', l.quantity,
                                          'price_cents', l.price_cents) ORDER BY p.id) AS items
        FROM order_items l JOIN products p ON p.id = l.product_id WHERE l.order_id = o.id
    ) i ORDER BY o.id
"""


def order_view(row: Mapping[str, Any]) -> dict[str, Any]:
    """An order as the API shows it."""
    items = row["items"] or []
    return {
        "id": row["id"],
        "idempotency_key": row["key"],
        "customer": row["customer"],
        "created_at": row["created_at"].isoformat(timespec="milliseconds"),
        "items": items,
        "total_cents": sum(item["quantity"] * item["price_cents"] for item in items),
    }


class Orders:
    """The order book. Checkout and accounting go to the leader; showing one order may ask a replica."""

    def __init__(self, primary: Database, replica: Database, budget_s: float) -> None:
        self._primary = primary
        self._replica = replica
        self._budget_s = budget_s

    async def place(self, order: NewOrder) -> tuple[dict[str, Any], bool]:
        """Place an order; returns it, and whether it had been placed before.

        Every failure that may pass is repeated for at most the budget: the idempotency key makes the
        repeat harmless, whatever became of the attempt before. Raises Refused, or Unavailable after the budget.
        """
        deadline_s = time.monotonic() + self._budget_s
        reason: str | None = None
        for attempt, pause_s in enumerate(delays_s(random.random)):
            try:
                placed = await self._attempt(order, deadline_s - time.monotonic(), fresh=attempt > 0)
            except psycopg.errors.CheckViolation:
                raise Refused(409, "somebody else was quicker: not enough of it left") from None
            except (Indeterminate, psycopg.Error, OSError) as error:
                reason = _reason(error)
                if reason is None:
                    raise
            else:
                if reason is not None:
                    log.info("an order needed %d attempts: %s", attempt + 1, reason)
                return placed
            if time.monotonic() + pause_s >= deadline_s:
                log.warning("an order was given up after %d attempts: %s", attempt + 1, reason)
                raise Unavailable("the database cannot confirm the order at the moment")
            await asyncio.sleep(pause_s)
        raise AssertionError("the pauses have no end")

    async def _attempt(self, order: NewOrder, timeout_s: float, *, fresh: bool) -> tuple[dict[str, Any], bool]:
        """One transaction, acknowledged only if its commit is known to be on a synchronous standby too.

        Two traps of synchronous replication lie here:
        - If the wait for the standby is cancelled, PostgreSQL reports COMMIT as done, with no more than a
          WARNING that "the transaction has already committed locally, but might not have been replicated".
          A failover now would lose it. So a commit that came with any warning is not acknowledged.
        - The repeat then finds the row under its key, committed on this server but perhaps nowhere else.
          So finding it is not enough: _CLAIM writes to it, which makes this transaction's commit wait for the
          standby in its turn, and what is replicated is replicated with all the log before it.
        A connection lost during COMMIT says nothing either way; the repeat finds out.
        """
        async with self._primary.session(min(timeout_s, ATTEMPT_TIMEOUT_S), fresh=fresh) as session:
            try:
                placed = await _transact(session, order)
            except Refused:
                await session.connection.rollback()
                raise
            if session.warnings:
                raise Indeterminate(session.warnings[0])
        return placed

    async def get(self, order_id: int) -> dict[str, Any] | None:
        """One order, or None. A replica may lag behind, so only the leader can say that there is none."""
        try:
            found = await self._replica.rows(_ONE + _ITEMS, (order_id,), timeout_s=0.8)
        except AWAY:
            found = []
        if not found:
            found = await self._from_leader(_ONE + _ITEMS, (order_id,))
        return order_view(found[0]) if found else None

    async def page(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Orders with an id above `after`, in the order of ids, from the leader: what was acknowledged is there.

        Ids are handed out before the commit, so while checkouts run an order may appear below an id that a
        reader has already passed. Who counts orders does it when the writers have stopped, or overlaps pages.
        """
        return [order_view(row) for row in await self._from_leader(_PAGE + _ITEMS, (after, limit))]

    async def latest(self, limit: int) -> list[dict[str, Any]]:
        """The newest orders, newest first, from a replica (they may lag) or else from the leader."""
        try:
            rows = await self._replica.rows(_LATEST + _ITEMS, (limit,), timeout_s=0.8)
        except AWAY:
            rows = await self._from_leader(_LATEST + _ITEMS, (limit,))
        return [order_view(row) for row in reversed(rows)]

    async def _from_leader(self, sql: Any, parameters: tuple[object, ...]) -> list[dict[str, Any]]:
        """Ask the leader, for as long as a planned change of leader may take; raises Unavailable."""
        deadline_s = time.monotonic() + READ_TIMEOUT_S
        for pause_s in delays_s(random.random):
            # A pause may outlast the deadline on a computer that is too busy.
            if (left_s := deadline_s - time.monotonic()) <= 0:
                break
            try:
                return await self._primary.rows(sql, parameters, timeout_s=left_s)
            except AWAY:
                if time.monotonic() + pause_s >= deadline_s:
                    break
            await asyncio.sleep(pause_s)
        raise Unavailable("the database's leader does not answer at the moment")


async def _transact(session: Session, order: NewOrder) -> tuple[dict[str, Any], bool]:
    """Write an order in two trips to the server; raises Refused inside the open transaction.

    The second trip takes the stock and commits in one go. A popular product is one row: what its lock is held for
    bounds the orders of a second, and must not contain this process' own waits for its turn on a busy computer.
    So the stock is looked at before, without a lock, and that it cannot fall below zero is the table's own rule.
    """
    ask, ids = session.connection.execute, [line.product_id for line in order.lines]
    async with session.connection.pipeline():
        await ask("BEGIN")
        claims = await ask(_CLAIM, (order.key, order.customer, order.fingerprint()))
        goods = await ask(_GOODS, (ids,))
        (claim,) = await claims.fetchall()
        if claim["fingerprint"] != order.fingerprint():
            raise Refused(422, "this Idempotency-Key was used before, for a different order")
        known = claim["attempts"] > 1
        if not known:
            _check_stock(order.lines, await goods.fetchall())
            # Locked in the order of their ids, so that no two orders can deadlock.
            await ask(_LOCK, (ids,))
            await ask(_TAKE, (ids, [line.quantity for line in order.lines], claim["id"]))
        views = await ask(_ONE + _ITEMS, (claim["id"],))
        await ask("COMMIT")
    (row,) = await views.fetchall()
    return order_view(row), known


def _check_stock(lines: tuple[Line, ...], goods: Sequence[Mapping[str, Any]]) -> None:
    found = {row["id"]: row for row in goods}
    for line in lines:
        if line.product_id not in found:
            raise Refused(422, f"there is no product {line.product_id}")
        if found[line.product_id]["stock"] < line.quantity:
            raise Refused(409, f"not enough of {found[line.product_id]['name']} left")


def _reason(error: Exception) -> str | None:
    if isinstance(error, Indeterminate):
        return f"the commit may not be replicated: {error}"
    sqlstate = error.sqlstate if isinstance(error, psycopg.Error) else None
    return retry_reason(sqlstate, connection_lost=isinstance(error, AWAY))
