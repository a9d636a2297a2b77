"""The API: JSON in, JSON out; every failure is {"error": reason}."""

from dataclasses import asdict

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from .checkout import number_from, order_from
from .errors import Refused
from .parts import shop_of

BODY_BYTES_MAX = 64 * 1024
PAGE_MAX = 1000
ID_MAX = 2**63 - 1
BEST_SELLERS = 10


async def body_of(request: Request) -> bytes:
    """The request's body; raises Refused (413) when it is too long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Refused(413, f"the body is longer than {BODY_BYTES_MAX} bytes")
    return body


async def place_order(request: Request) -> Response:
    shop = shop_of(request)
    order = order_from(await body_of(request), request.headers.get("Idempotency-Key"))
    placed, known = await shop.orders.place(order)
    headers = {"Location": f"/api/orders/{placed['id']}"}
    if known:
        return JSONResponse(placed, 201, headers | {"Idempotent-Replayed": "true"})
    return JSONResponse(placed, 201, headers, background=BackgroundTask(shop.announce, placed))


async def get_order(request: Request) -> Response:
    order = await shop_of(request).orders.get(request.path_params["id"])
    if order is None:
        raise Refused(404, "there is no such order")
    return JSONResponse(order)


async def list_orders(request: Request) -> Response:
    query = request.query_params
    after = number_from(query.get("after"), 0, high=ID_MAX, what="after")
    limit = number_from(query.get("limit"), 100, high=PAGE_MAX, what="limit")
    orders = await shop_of(request).orders.page(after, limit)
    return JSONResponse({"orders": orders, "next": orders[-1]["id"] if orders else None})


async def list_products(request: Request) -> Response:
    found = await shop_of(request).catalogue.products()
    products = [asdict(product) for product in found.value.values()]
    return JSONResponse({"products": products, "source": found.source, "stale": found.stale})


async def get_product(request: Request) -> Response:
    found = await shop_of(request).catalogue.products()
    product = found.value.get(request.path_params["id"])
    if product is None:
        raise Refused(404, "there is no such product")
    return JSONResponse({**asdict(product), "source": found.source, "stale": found.stale})


async def best_sellers(request: Request) -> Response:
    found = await shop_of(request).catalogue.best_sellers(BEST_SELLERS)
    best = [{"product_id": product_id, "sold": sold} for product_id, sold in found.value]
    return JSONResponse({"best_sellers": best, "source": found.source, "stale": found.stale})


async def feed(request: Request) -> Response:
    last = request.headers.get("Last-Event-ID", "")
    after = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else 0
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(shop_of(request).feed.stream(after), media_type="text/event-stream", headers=headers)


async def healthz(request: Request) -> Response:
    status, body = shop_of(request).health.report()
    return JSONResponse(body, status, {"Cache-Control": "no-store"})


ROUTES = [
    Route("/api/orders", place_order, methods=["POST"]),
    Route("/api/orders", list_orders),
    Route("/api/orders/{id:int}", get_order),
    Route("/api/products", list_products),
    Route("/api/products/{id:int}", get_product),
    Route("/api/best-sellers", best_sellers),
    Route("/api/feed", feed),
    Route("/healthz", healthz),
]
