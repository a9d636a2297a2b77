"""What this process knows of its surroundings. Asking it costs nothing: a watch keeps it up to date."""

import asyncio
import logging
import os
import time
from dataclasses import dataclass
from typing import Any

import psycopg

from .cache import Cache
from .catalogue import Catalogue
from .db import Database
from .errors import Unavailable
from .schema import ensure_schema

log = logging.getLogger("shop.health")

PERIOD_S = 1.0
_WHO = """
    SELECT host(inet_server_addr()) AS address, inet_server_port() AS port,
           nullif(current_setting('cluster_name'), '') AS cluster_name, NOT pg_is_in_recovery() AS leader
"""


@dataclass(frozen=True, slots=True)
class Sight:
    """The last thing seen of the server behind one address."""

    reachable: bool = False
    server: dict[str, Any] | None = None
    seen_s: float | None = None

    def view(self, now_s: float) -> dict[str, Any]:
        age_s = None if self.seen_s is None else round(now_s - self.seen_s, 1)
        server = self.server or {"address": None, "port": None, "cluster_name": None, "leader": None}
        return {"reachable": self.reachable, **server, "age_s": age_s}


class Health:
    """Looks around once a second, makes the tables when there is a leader, and warms the catalogue."""

    def __init__(
        self, primary: Database, replica: Database, cache: Cache, catalogue: Catalogue, hostname: str
    ) -> None:
        self._databases = {"primary": primary, "replica": replica}
        self._cache = cache
        self._catalogue = catalogue
        self._hostname = hostname
        self._sights = {"primary": Sight(), "replica": Sight()}
        self._schema_known = False
        self.draining = False

    def report(self) -> tuple[int, dict[str, Any]]:
        """HTTP status and body of /healthz.

        Green means: send customers here. That needs something to show, not a leader: while one is being
        elected the shop goes on showing its goods, and taking it out of service would only make that worse.
        """
        status = self._status()
        now_s = time.monotonic()
        body = {
            "status": status,
            "host": self._hostname,
            "pid": os.getpid(),
            "database": {name: sight.view(now_s) for name, sight in self._sights.items()},
            "cache": {"configured": self._cache.present, "reachable": self._cache.answers},
        }
        return (200 if status in ("ok", "degraded") else 503), body

    def _status(self) -> str:
        if self.draining:
            return "draining"
        if not self._catalogue.filled:
            return "starting"
        primary = self._sights["primary"]
        writable = primary.reachable and bool((primary.server or {}).get("leader"))
        whole = writable and self._sights["replica"].reachable and (self._cache.answers or not self._cache.present)
        return "ok" if whole else "degraded"

    async def watch(self) -> None:
        """Look around for ever. The two addresses apart: a slow one does not age the other."""
        async with asyncio.TaskGroup() as group:
            for name in self._databases:
                group.create_task(self._every_second(self._look, name))
            group.create_task(self._every_second(self._prepare))

    async def _every_second(self, action: Any, *arguments: Any) -> None:
        while True:
            await action(*arguments)
            await asyncio.sleep(PERIOD_S)

    async def _look(self, name: str) -> None:
        database = self._databases[name]
        try:
            (server,) = await database.rows(_WHO, timeout_s=1.0)
            sight = Sight(True, dict(server), time.monotonic())
        except (psycopg.Error, OSError):
            sight = Sight(False, self._sights[name].server, self._sights[name].seen_s)
        if sight.server != self._sights[name].server or sight.reachable != self._sights[name].reachable:
            log.info("%s database: %s", name, sight.server if sight.reachable else "out of reach")
        self._sights[name] = sight
        await database.prune()

    async def _prepare(self) -> None:
        await self._cache.ping()
        if not self._schema_known:
            try:
                await ensure_schema(self._databases["primary"])
                self._schema_known = True
            except (psycopg.Error, OSError) as error:
                log.info("the tables cannot be looked after yet: %s", type(error).__name__)
        if not self._catalogue.filled:
            try:
                await self._catalogue.products()
            except Unavailable:
                log.info("nothing to show yet: no database answers")
