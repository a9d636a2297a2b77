"""Where loads go in: the routes on the hosts of applications, the members themselves, and the ways there."""

import asyncio
import contextlib
from dataclasses import dataclass
from itertools import groupby

from holdfast.design.design import Design
from holdfast.model.component import Tie
from holdfast.runner.fleet import Connect
from holdfast.wire.base import Wire, WireError

FAREWELL_S = 2.0


@dataclass(frozen=True, slots=True)
class Server:
    """One member that clients may be led to."""

    member: str
    host: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class SqlPlaces:
    """How applications reach the database: from which hosts, through which of their ports, as whom.

    ``secret``: the name of the password in the vault. ``servers``: the members themselves.
    """

    clients: tuple[str, ...]
    leader_port: int
    replica_port: int
    servers: tuple[Server, ...]
    database: str
    user: str
    secret: str

    def node(self, address: str) -> str:
        """Return the host that has an address, or the address itself."""
        return next((each.host for each in self.servers if each.address == address), address)


@dataclass(frozen=True, slots=True)
class CachePlaces:
    """How applications reach the cache: from which hosts, through which of their ports, as whom."""

    clients: tuple[str, ...]
    port: int
    user: str
    secret: str


def sql_places(design: Design, hosts: tuple[str, ...] = ()) -> SqlPlaces | None:
    """Return where SQL is spoken, None where the design has no such layer or no route to it.

    ``hosts``: the hosts of applications that clients sit on; none: all of them.
    """
    routes, servers = _servers(design, "local-sql"), _servers(design, "sql")
    clients = _chosen(routes, hosts)
    if not clients or not servers:
        return None
    terms = servers[0].offer.terms
    return SqlPlaces(
        clients=clients,
        leader_port=routes[0].offer.port,
        replica_port=int(routes[0].offer.terms["replica_port"]),
        servers=tuple(map(_server, servers)),
        database=terms["database"],
        user=terms["user"],
        secret=terms["secret"],
    )


def cache_places(design: Design, hosts: tuple[str, ...] = ()) -> CachePlaces | None:
    """Return where the cache is spoken to, None where the design has none or no route to it."""
    routes, servers = _servers(design, "local-cache"), _servers(design, "cache")
    clients = _chosen(routes, hosts)
    if not clients or not servers:
        return None
    terms = servers[0].offer.terms
    return CachePlaces(clients, routes[0].offer.port, terms["user"], terms["secret"])


def _servers(design: Design, kind: str) -> list[Tie]:
    ties = sorted((tie for tie in design.ties if tie.offer.kind == kind), key=lambda tie: tie.server)
    return [next(same) for _, same in groupby(ties, key=lambda tie: tie.server)]


def _server(tie: Tie) -> Server:
    return Server(tie.server.name, tie.host.name, tie.host.address, tie.offer.port)


def _chosen(routes: list[Tie], hosts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(each.host.name for each in routes if not hosts or each.host.name in hosts)


class Ways:
    """Ways from here to ports of hosts, by SSH connections of their own; one that broke is made anew.

    So every client runs here, on one clock, while its session comes from the host itself.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._wires: dict[str, asyncio.Task[Wire]] = {}

    async def port(self, host: str, port: int, address: str = "127.0.0.1") -> int:
        """Return a port of this computer that leads to a port as the host reaches it. Raises WireError."""
        wire = await self._wire(host)
        try:
            return await wire.forward(port, address)
        except WireError:
            # It was good once, and has died with the host or its cable: make another, once.
            await self._forget(host, wire)
            return await (await self._wire(host)).forward(port, address)

    async def _wire(self, host: str) -> Wire:
        opening = self._wires.get(host)
        if opening is None or (opening.done() and not _good(opening)):
            opening = self._wires[host] = asyncio.ensure_future(self._open(host))
        # Several clients may wait for it: one that gives up must not take it away from the others.
        return await asyncio.shield(opening)

    async def _open(self, host: str) -> Wire:
        return await self._connect(host)

    async def _forget(self, host: str, wire: Wire) -> None:
        opening = self._wires.get(host)
        # Somebody else may have replaced it already.
        if opening and _good(opening) and opening.result() is wire:
            del self._wires[host]
            await _closed(opening)

    async def close(self) -> None:
        """Close all connections."""
        wires = list(self._wires.values())
        self._wires.clear()
        for opening in wires:
            if not opening.done():
                opening.cancel()
        await asyncio.gather(*(_closed(opening) for opening in wires), return_exceptions=True)


def _good(opening: asyncio.Task[Wire]) -> bool:
    return opening.done() and not opening.cancelled() and not opening.exception()


async def _closed(opening: asyncio.Task[Wire]) -> None:
    if _good(opening):
        with contextlib.suppress(TimeoutError, WireError):
            # The other side may be dead: nobody waits for its farewell.
            await asyncio.wait_for(opening.result().close(), FAREWELL_S)
