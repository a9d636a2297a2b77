"""The connections of the sample shop: who logs in, who waits, and for how long."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from shop.db import LOGINS_AT_ONCE, Database, Session, connect_parameters

from shopkit import run


def test_a_query_that_takes_too_long_is_hung_up_on() -> None:
    async def scene() -> bytes:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.setblocking(False)
            pgconn = SimpleNamespace(socket=ours.fileno())
            connection = SimpleNamespace(closed=False, pgconn=pgconn, add_notice_handler=lambda handler: None)
            with Session(cast(Any, connection), 0.0).limited(0.01):
                async with asyncio.timeout(2):
                    return await asyncio.get_running_loop().sock_recv(theirs, 1)

    assert run(scene()) == b""


def test_few_log_in_at_once_and_the_others_wait_no_longer_than_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    now, most = 0, 0

    async def connect(**_parameters: object) -> Any:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        try:
            await asyncio.sleep(0.02)
        finally:
            now -= 1
        return SimpleNamespace(add_notice_handler=lambda handler: None)

    async def scene(timeout_s: float) -> int:
        database = Database("postgresql://localhost", size=12, statement_timeout_ms=1000)
        logins = [database._connect(timeout_s) for _ in range(12)]
        outcomes = await asyncio.gather(*logins, return_exceptions=True)
        assert {type(each) for each in outcomes} <= {Session, TimeoutError}
        return sum(isinstance(each, Session) for each in outcomes)

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", staticmethod(connect))
    assert run(scene(5.0)) == 12
    assert most == LOGINS_AT_ONCE
    assert run(scene(0.03)) < 12


def test_who_hangs_while_logging_in_does_not_keep_the_next_ones_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        database = Database("postgresql://localhost", size=12, statement_timeout_ms=1000)
        others_are_in, begun = asyncio.Event(), 0

        async def connect(**_parameters: object) -> Any:
            nonlocal begun
            begun += 1
            if begun <= LOGINS_AT_ONCE:
                await others_are_in.wait()
            return SimpleNamespace(add_notice_handler=lambda handler: None)

        monkeypatch.setattr(psycopg.AsyncConnection, "connect", staticmethod(connect))
        logins = [asyncio.create_task(database._connect(30.0)) for _ in range(6)]
        await asyncio.gather(*logins[LOGINS_AT_ONCE:])
        assert not any(each.done() for each in logins[:LOGINS_AT_ONCE]), "who hangs is not hung up on"
        others_are_in.set()
        await asyncio.gather(*logins)
        assert database._logins._value == LOGINS_AT_ONCE

    monkeypatch.setattr("shop.db.TURN_S", 0.05)
    monkeypatch.setattr("shop.db.CONNECT_TIMEOUT_S", 30.0)
    run(scene())


@contextmanager
def sound_line() -> Iterator[Any]:
    """What a session needs of a connection that is idle and sound."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        status = psycopg.pq.TransactionStatus.IDLE
        pgconn = SimpleNamespace(socket=ours.fileno(), transaction_status=status)
        yield SimpleNamespace(closed=False, pgconn=pgconn, add_notice_handler=lambda handler: None)


def test_a_login_that_nobody_waits_for_is_finished_and_serves_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(line: Any) -> None:
        database = Database("postgresql://localhost", size=2, statement_timeout_ms=1000)
        may_end, begun = asyncio.Event(), 0

        async def connect(**_parameters: object) -> Any:
            nonlocal begun
            begun += 1
            await may_end.wait()
            return line

        monkeypatch.setattr(psycopg.AsyncConnection, "connect", staticmethod(connect))
        with pytest.raises(TimeoutError):
            async with database.session(0.05):
                raise AssertionError("there was no connection to lend")
        may_end.set()
        while database._unclaimed:
            await asyncio.sleep(0.01)
        async with database.session(1.0) as session:
            pass
        assert begun == 1
        assert database._logins._value == LOGINS_AT_ONCE
        # Who was let down by another session may use this one: it has served somebody since.
        served_s = session.proved_s
        assert database._take(served_s + 0.001) is None
        assert database._take(served_s) is session

    with sound_line() as line:
        run(scene(line))


def test_who_waits_for_a_login_takes_what_comes_back_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(line: Any) -> None:
        database = Database("postgresql://localhost", size=4, statement_timeout_ms=1000)
        for _ in range(LOGINS_AT_ONCE):
            await database._logins.acquire()
        waiting = asyncio.create_task(database._connect(1.0, time.monotonic()))
        await asyncio.sleep(0.01)
        back = Session(line, time.monotonic())
        await database._give_back(back)
        database._logins.release()
        assert await waiting is back
        assert database._logins._value == 1

    with sound_line() as line:
        run(scene(line))


def test_who_would_be_let_in_too_late_to_finish_goes_away() -> None:
    async def scene() -> float:
        database = Database("postgresql://localhost", size=1, statement_timeout_ms=1000)
        async with database._slots:
            begun_s = time.monotonic()
            with pytest.raises(TimeoutError):
                async with database.session(0.8):
                    raise AssertionError("there was no connection to lend")
            return time.monotonic() - begun_s

    assert 0.2 <= run(scene()) < 0.7


def test_every_wait_on_a_connection_is_bounded_and_the_address_may_say_otherwise() -> None:
    parameters = connect_parameters("postgresql://u:p@localhost:5000/shop?tcp_user_timeout=500", 3000)
    assert parameters["tcp_user_timeout"] == "500"
    assert "statement_timeout=3000" in parameters["options"]
    assert "lock_timeout=2000" in parameters["options"]
