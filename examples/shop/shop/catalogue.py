"""The catalogue and the best-sellers: cache first, then a replica, then the leader, then the last copy."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, LiteralString, TypeVar

from .cache import Cache
from .readthrough import Reading, ReadThrough, Source

T = TypeVar("T")
Rows = Iterable[Mapping[str, Any]]
Reader = Callable[[LiteralString], Awaitable[Rows]]

PRODUCTS_KEY = "shop:products"
PRODUCTS_TTL_S = 30
SOLD_KEY = "shop:sold"
# The live scores follow every order, best effort; this often the database's own count sets them right.
SOLD_TTL_S = 120
_PRODUCTS = "SELECT id, slug, name, category, blurb, price_cents, stock > 0 AS available FROM products ORDER BY id"
_SOLD = "SELECT id, sold FROM products"


@dataclass(frozen=True, slots=True)
class Product:
    """Something to buy."""

    id: int
    slug: str
    name: str
    category: str
    blurb: str
    price_cents: int
    available: bool


Products = dict[int, Product]
Best = list[tuple[int, int]]


def products_from(rows: Rows) -> Products:
    """Products by id; raises TypeError when the rows are something else."""
    return {row["id"]: Product(**row) for row in rows}


def sold_from(rows: Rows) -> dict[int, int]:
    return {row["id"]: row["sold"] for row in rows}


def best_of(sold: Mapping[int, int], count: int) -> Best:
    """The highest scores, best first; of equals the lower id first."""
    return sorted(((product_id, pieces) for product_id, pieces in sold.items() if pieces > 0), key=_rank)[:count]


def _rank(pair: tuple[int, int]) -> tuple[int, int]:
    return -pair[1], pair[0]


@dataclass(frozen=True, slots=True)
class Readers:
    """How rows come from the replicas and from the leader, and the exceptions when they do not."""

    replica: Reader
    primary: Reader
    away: tuple[type[Exception], ...]

    def sources(self, sql: LiteralString, parse: Callable[[Rows], T]) -> list[Source[T]]:
        async def load(read: Reader) -> T:
            return parse(await read(sql))

        return [
            Source("replica", lambda: load(self.replica), self.away),
            Source("primary", lambda: load(self.primary), self.away),
        ]


class Catalogue:
    """What the shop sells and what sells best. Reading it never needs the leader."""

    def __init__(self, cache: Cache, readers: Readers, clock: Callable[[], float]) -> None:
        self._cache = cache
        self._products = ReadThrough(readers.sources(_PRODUCTS, products_from), clock)
        self._sold = ReadThrough(readers.sources(_SOLD, sold_from), clock)

    @property
    def filled(self) -> bool:
        """Whether the shop has something to show, whatever fails from now on."""
        return self._products.filled

    async def products(self) -> Reading[Products]:
        """All products by id; raises Unavailable when no source ever answered."""
        cached = await self._cached_products()
        if cached is not None:
            self._products.remember(cached)
            return Reading(cached, "cache")
        found = await self._products.read()
        if not found.stale:
            rows = [asdict(product) for product in found.value.values()]
            await self._cache.set(PRODUCTS_KEY, rows, PRODUCTS_TTL_S)
        return found

    async def best_sellers(self, count: int) -> Reading[Best]:
        """The ids of the `count` best-selling products with the pieces sold, best first."""
        top = await self._cache.top(SOLD_KEY, count)
        if top is not None:
            return Reading([pair for pair in top if pair[1] > 0], "cache")
        found = await self._sold.read()
        if not found.stale:
            await self._cache.replace_scores(SOLD_KEY, found.value, SOLD_TTL_S)
        return Reading(best_of(found.value, count), found.source, found.age_s)

    async def _cached_products(self) -> Products | None:
        # The cache may hold what another release of the shop has put there.
        rows = await self._cache.get(PRODUCTS_KEY)
        try:
            return products_from(rows) if rows else None
        except (TypeError, KeyError):
            return None
