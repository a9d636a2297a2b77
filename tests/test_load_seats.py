"""Sessions: who is free, what the limit refuses, and that no session outlives a doubt under its name."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from holdfast.drills.history import Outcome
from holdfast.drills.load.base import DoubtError
from holdfast.drills.load.seats import Done, Seat, Seats, Turns
from holdfast.wire.base import RefusedError, UnansweredError, WireError


@dataclass
class FakeLine:
    closed: bool = False
    broken: bool = False

    def hang_up(self) -> None:
        self.broken = True

    async def close(self) -> None:
        self.closed = True


@dataclass
class Host:
    """Opens lines; ``down``: it cannot, ``dead``: it does not answer."""

    lines: list[FakeLine] = field(default_factory=list)
    down: bool = False
    dead: bool = False

    async def open(self, _host: str) -> FakeLine:
        if self.dead:
            await asyncio.sleep(60)
        if self.down:
            raise WireError("no answer")
        self.lines.append(FakeLine())
        return self.lines[-1]


def seats(host: Host, each: int = 1, most: int = 2) -> Seats[FakeLine]:
    return Seats(("a", "b"), host.open, each, most, timeout_s=0.1)


def taken(found: Seats[FakeLine], host: str = "a") -> Seat[FakeLine]:
    seat = found.take(host)
    assert seat is not None
    return seat


async def fine(_line: FakeLine) -> str:
    return "done"


def fails(error: Exception) -> Callable[[FakeLine], Awaitable[str]]:
    async def work(_line: FakeLine) -> str:
        raise error

    return work


def used(found: Seats[FakeLine], seat: Seat[FakeLine], work: Callable[[FakeLine], Awaitable[str]]) -> Done[str]:
    return asyncio.run(found.use(seat, work))


def test_lines_are_open_before_the_first_operation_and_stay_open() -> None:
    host = Host()
    found = seats(host, each=2)
    asyncio.run(found.fill())
    assert len(host.lines) == 4
    names = set()
    for _ in range(4):
        seat = taken(found)
        names.add(seat.session)
        assert used(found, seat, fine) == Done(Outcome.OK, "done")
    assert len(host.lines) == 4
    assert len(names) == 2
    assert not any(line.closed for line in host.lines)


def test_a_busy_session_is_joined_by_another_up_to_the_limit() -> None:
    found = seats(Host(), each=1, most=2)
    first, second = taken(found), taken(found)
    assert first.session != second.session
    assert first.session.startswith("a.")
    assert found.take("a") is None
    assert found.take("b") is not None
    assert found.refused == 1


def test_nobody_begins_another_login_while_enough_are_under_way() -> None:
    async def play() -> tuple[int, int]:
        host = Host(dead=True)
        found = seats(host, each=1, most=8)
        first = asyncio.create_task(found.use(taken(found), fine))
        await asyncio.sleep(0.01)
        assert found.take("a") is None
        refused = found.refused
        await first
        host.dead = False
        await found.use(taken(found), fine)
        taken(found), taken(found)
        return refused, len([seat for seat in found.seats if seat.host == "a"])

    assert asyncio.run(play()) == (1, 2)


def test_a_session_in_doubt_ends_and_the_next_has_another_name() -> None:
    host = Host()
    found = seats(host)
    seat = taken(found)
    before, seat.asked = seat.session, 7
    done = used(found, seat, fails(UnansweredError("reset by peer")))
    assert (done.outcome, done.reason) == (Outcome.INDETERMINATE, "reset by peer")
    assert seat.session != before
    assert (seat.asked, seat.busy, seat.line) == (0, False, None)
    assert host.lines[0].broken
    assert host.lines[0].closed


def test_a_session_warned_of_changes_its_name_but_keeps_its_line() -> None:
    host = Host()
    found = seats(host)
    seat = taken(found)
    before = seat.session
    assert used(found, seat, fails(DoubtError("canceling wait"))).outcome is Outcome.INDETERMINATE
    assert seat.session != before
    assert seat.line is host.lines[0]
    assert not host.lines[0].closed


def test_a_refused_session_keeps_its_name_and_looks_for_another_server() -> None:
    host = Host()
    found = seats(host)
    seat = taken(found)
    before = seat.session
    assert used(found, seat, fails(RefusedError("25006", "read-only"))).outcome is Outcome.FAIL
    assert seat.session == before
    assert host.lines[0].closed
    assert used(found, seat, fine).outcome is Outcome.OK
    assert len(host.lines) == 2


def test_without_a_connection_nothing_was_sent() -> None:
    for host in (Host(down=True), Host(dead=True)):
        found = seats(host)
        seat = taken(found)
        done = used(found, seat, fine)
        assert done.outcome is Outcome.FAIL
        assert done.reason
        assert not seat.busy


def test_closing_breaks_only_busy_lines_first_and_closes_all() -> None:
    host = Host()
    found = seats(host)
    asyncio.run(found.fill())
    taken(found)
    found.hang_up()
    assert [line.broken for line in host.lines] == [True, False]
    asyncio.run(found.close())
    assert all(line.closed for line in host.lines)


def test_logins_by_one_way_take_turns_and_those_by_another_do_not_wait() -> None:
    async def scene() -> list[str]:
        turns, said = Turns(turn_s=5), list[str]()

        async def login(way: str, name: str) -> None:
            async with turns.one(way):
                said.append(f"{name} in")
                await asyncio.sleep(0.02)
                said.append(f"{name} out")

        await asyncio.gather(login("a", "1"), login("a", "2"), login("b", "3"))
        return said

    said = asyncio.run(scene())
    assert said.index("1 out") < said.index("2 in")
    assert said.index("3 in") < said.index("1 out")


def test_a_login_that_fails_or_is_given_up_makes_room_once() -> None:
    async def scene() -> int:
        turns, inside, most = Turns(turn_s=5), 0, 0

        async def login(*, fail: bool) -> None:
            nonlocal inside, most
            async with turns.one("a"):
                inside, most = inside + 1, max(most, inside + 1)
                try:
                    await asyncio.sleep(0.01)
                    if fail:
                        raise WireError("refused")
                finally:
                    inside -= 1

        given_up = asyncio.create_task(login(fail=False))
        await asyncio.sleep(0)
        waits = asyncio.create_task(login(fail=False))
        await asyncio.sleep(0)
        given_up.cancel()
        waits.cancel()
        await asyncio.gather(
            given_up, waits, *(login(fail=number % 2 == 0) for number in range(6)), return_exceptions=True
        )
        return most

    assert asyncio.run(scene()) == 1


def test_a_login_that_is_not_answered_keeps_its_turn_for_a_while_only() -> None:
    async def scene() -> None:
        turns = Turns(turn_s=0.05)
        answered, done = asyncio.Event(), 0

        async def login(until: asyncio.Event | None) -> None:
            nonlocal done
            async with turns.one("a"):
                if until:
                    await until.wait()
            done += 1

        hangs = asyncio.create_task(login(answered))
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await asyncio.gather(login(None), login(None))
        assert done == 2
        answered.set()
        await hangs
        # Its turn was over already: it must not be given back a second time.
        again = asyncio.create_task(login(answered := asyncio.Event()))
        await asyncio.sleep(0)
        other = asyncio.create_task(login(None))
        await asyncio.sleep(0.01)
        assert done == 3
        answered.set()
        await asyncio.gather(again, other)

    asyncio.run(scene())
