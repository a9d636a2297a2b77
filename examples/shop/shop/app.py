"""The application: routes, what holds for every answer, and how failures look."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import api, pages
from .errors import Refused, Unavailable
from .parts import Shop

STATIC = Path(__file__).with_name("static")
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class Envelope:
    """Adds what every answer has: security headers, who answered, and the farewell while draining."""

    def __init__(self, app: ASGIApp, shop: Shop) -> None:
        self._app = app
        self._shop = shop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_envelope(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                headers["X-Served-By"] = self._shop.settings.hostname
                if self._shop.health.draining:
                    headers["Connection"] = "close"
            await send(message)

        await self._app(scope, receive, send_in_envelope if scope["type"] == "http" else send)


def application(shop: Shop) -> ASGIApp:
    """The whole shop as one ASGI application."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with shop.running():
            yield

    app = Starlette(
        routes=[*api.ROUTES, *pages.ROUTES, Mount("/static", StaticFiles(directory=STATIC))],
        exception_handlers={
            Refused: _on_refused,
            Unavailable: _on_unavailable,
            HTTPException: _on_http,
            Exception: _on_mistake,
        },
        lifespan=lifespan,
    )
    app.state.shop = shop
    return Envelope(app, shop)


def _failure(request: Request, status: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    if request.url.path.startswith(("/api/", "/healthz")):
        return JSONResponse({"error": reason}, status, headers)
    return pages.error_page(request, status, reason, headers)


async def _on_refused(request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, Refused) else 400
    return _failure(request, status, str(error))


async def _on_unavailable(request: Request, error: Exception) -> Response:
    return _failure(request, 503, str(error), {"Retry-After": "2"})


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _failure(request, error.status_code, error.detail, error.headers)


async def _on_mistake(request: Request, error: Exception) -> Response:
    return _failure(request, 500, "the shop made a mistake; its log says which")
