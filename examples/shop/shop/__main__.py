"""`python3 -m shop`: serve until SIGTERM or SIGINT."""

import asyncio
import logging
import os
import socket
import sys
from types import FrameType

import uvicorn

from .app import application
from .parts import Shop
from .settings import SettingsError, settings_from

# Requests get this long to finish after the drain; the proxy in front sends no new ones.
GRACE_S = 3
LAST_WORDS_S = 0.2
# Longer than any proxy keeps an idle connection: then it is never the shop that closes one under a request.
KEEP_ALIVE_S = 75


class Server(uvicorn.Server):
    """A server that says farewell before it goes: for a moment it serves on, but asks everybody to leave."""

    def __init__(self, config: uvicorn.Config, shop: Shop) -> None:
        super().__init__(config)
        self._shop = shop
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the door first and the connections a little later: who came in last still gets an answer."""
        for server in self.servers:
            server.close()
        await asyncio.sleep(LAST_WORDS_S)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._loop is None or self._shop.health.draining:
            super().handle_exit(sig, frame)
            return
        self._loop.call_soon_threadsafe(self._shop.drain)
        self._loop.call_soon_threadsafe(
            self._loop.call_later, self._shop.settings.drain_s, super().handle_exit, sig, frame
        )


def main() -> int:
    """Exit status 2 when the environment is wrong."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    # It tells of each hang-up a second time; what failed is told, or repeated, by who asked.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    try:
        settings = settings_from(os.environ)
    except SettingsError as error:
        print(f"shop: {error}", file=sys.stderr)
        return 2
    shop = Shop(settings)
    config = uvicorn.Config(
        application(shop),
        host=settings.host,
        port=settings.port,
        access_log=False,  # the edge writes one
        server_header=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    asyncio.run(Server(config, shop).serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
