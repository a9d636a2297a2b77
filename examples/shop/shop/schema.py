"""The tables and the goods. Made by whichever process comes first; the others find them."""

import json
from pathlib import Path

from .db import Database

PRODUCTS = Path(__file__).with_name("products.json")
# Any number will do, as long as all processes of the shop use the same.
_LOCK_ID = 7_305_412
# Large, so that a load test does not sell out; finite, so that overselling would show.
_STOCK = 1_000_000_000
# fillfactor: every checkout updates its products' rows; the free room keeps those updates within the page.
_TABLES = (
    """CREATE TABLE IF NOT EXISTS products (
        id int PRIMARY KEY, slug text NOT NULL UNIQUE, name text NOT NULL, category text NOT NULL,
        blurb text NOT NULL, price_cents int NOT NULL CHECK (price_cents > 0),
        stock bigint NOT NULL CHECK (stock >= 0), sold bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50)""",
    """CREATE TABLE IF NOT EXISTS orders (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL UNIQUE, customer text NOT NULL,
        fingerprint text NOT NULL, attempts int NOT NULL DEFAULT 1, created_at timestamptz NOT NULL DEFAULT now()
    )""",
    """CREATE TABLE IF NOT EXISTS order_items (
        order_id bigint NOT NULL REFERENCES orders, product_id int NOT NULL REFERENCES products,
        quantity int NOT NULL CHECK (quantity > 0), price_cents int NOT NULL, PRIMARY KEY (order_id, product_id)
    )""",
)
_READY = "SELECT to_regclass('order_items') IS NOT NULL AND to_regclass('products') IS NOT NULL AS ready"
_SEED = """
    INSERT INTO products (id, slug, name, category, blurb, price_cents, stock)
    SELECT id, slug, name, category, blurb, price_cents, %s
    FROM json_to_recordset(%s::json)
        AS p (id int, slug text, name text, category text, blurb text, price_cents int)
    ON CONFLICT DO NOTHING
"""


async def ensure_schema(primary: Database) -> None:
    """Create what is missing, under a lock; raises psycopg.Error or OSError while there is no leader."""
    goods = json.dumps(json.loads(PRODUCTS.read_text()))
    async with primary.session(timeout_s=5) as session:
        # Tables and goods come in one transaction: where the tables are, the goods are.
        if (await session.rows(_READY))[0]["ready"]:
            return
        async with session.connection.transaction():
            await session.connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_ID,))
            for table in _TABLES:
                await session.connection.execute(table)
            await session.connection.execute(_SEED, (_STOCK, goods))
