"""Loads on SQL with a database in memory: what is written into their histories."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.drills.check.values import PRIMARY, REPLICA
from holdfast.drills.history import Outcome
from holdfast.drills.load import bank, ledger, register
from holdfast.drills.load.bank import Bank, transfer
from holdfast.drills.load.base import LoadError, LoadPace
from holdfast.drills.load.ledger import Ledger
from holdfast.drills.load.places import Server, SqlPlaces, Ways
from holdfast.drills.load.register import Registers
from holdfast.drills.load.sql import POSITION, REPLAYED, SqlDoor, SqlLoad, at_leader, from_every_member
from holdfast.wire.base import NotSentError, RefusedError, UnansweredError, Wire, WireError
from holdfast.wire.sql import Rows, SqlSession

Rule = Callable[[str], Awaitable[str]]
SERVERS = (Server("db@a", "a", "10.0.0.1", 5432), Server("db@b", "b", "10.0.0.2", 5432))
PLACES = SqlPlaces(("a", "b"), 5000, 5001, SERVERS, "app", "app", "database/app")


async def no_rule(_statement: str) -> str:
    return ""


@dataclass
class Database:
    """One server. ``rule``, asked with every statement, may raise or sleep; what it returns is a warning."""

    rule: Rule = no_rule
    after: Rule = no_rule
    down: bool = False
    rows: list[tuple[str, str, int]] = field(default_factory=list)
    register: dict[str, tuple[str, int]] = field(default_factory=lambda: dict.fromkeys("xyz", ("0", 0)))
    balances: list[int] = field(default_factory=lambda: [100] * 5)
    replayed_after: int = 0
    opened: int = 0

    def answer(self, statement: str, values: tuple[Any, ...], pending: list[tuple[int, int]]) -> Rows:
        match statement:
            case ledger.INSERT:
                self.rows.append((values[0], values[1], values[2]))
                return Rows(((3, "10.0.0.1"),))
            case ledger.KEYS:
                return Rows(((" ".join(f"{run}/{name}/{seq}" for run, name, seq in self.rows), "10.0.0.2"),))
            case register.GET:
                return Rows((self.register[values[0]],))
            case register.CAS:
                return self.compare_and_set(*values)
            case register.ALL:
                return Rows(tuple((key, *each) for key, each in self.register.items()))
            case bank.ADD:
                pending.append((values[1], values[0]))
            case bank.COMMIT:
                for account, amount in pending:
                    self.balances[account] += amount
                pending.clear()
                return Rows(tag="COMMIT")
            case bank.BALANCES:
                return Rows(tuple((each, "10.0.0.1") for each in self.balances))
            case str() if statement == POSITION:
                return Rows((("0/30",),))
            case str() if statement == REPLAYED:
                self.replayed_after -= 1
                return Rows(((self.replayed_after < 0,),))
        return Rows()

    def compare_and_set(self, value: str, key: str, expected: str) -> Rows:
        if self.register[key][0] != expected:
            return Rows()
        self.register[key] = (value, self.register[key][1] + 1)
        return Rows(((self.register[key][1],),))


@dataclass
class Session:
    database: Database
    pending: list[tuple[int, int]] = field(default_factory=list)

    async def ask(self, statement: str, values: Any = (), *, timeout_s: float) -> Rows:
        try:
            async with asyncio.timeout(timeout_s):
                await self.database.rule(statement)
                answer = self.database.answer(statement, tuple(values), self.pending)
                warning = await self.database.after(statement)
        except TimeoutError as error:
            raise UnansweredError("no answer in time") from error
        return Rows(answer.rows, (warning,) if warning else (), answer.tag)

    def hang_up(self) -> None:
        pass

    async def close(self) -> None:
        self.pending.clear()


async def no_wire(host: str) -> Wire:
    raise WireError(f"{host}: no answer")


class FakeDoor(SqlDoor):
    """Leads to databases in memory, by host; the routes of every host lead to the first of them."""

    def __init__(self, *databases: Database) -> None:
        super().__init__(PLACES, Ways(no_wire), Path("ca.crt"), "hush")
        object.__setattr__(self, "databases", databases)

    def _session(self, number: int) -> SqlSession:
        databases: tuple[Database, ...] = getattr(self, "databases")  # noqa: B009
        database = databases[min(number, len(databases) - 1)]
        if database.down:
            raise NotSentError("connection refused")
        database.opened += 1
        return Session(database)

    async def leader(self, host: str) -> SqlSession:
        return self._session(0)

    async def replica(self, host: str) -> SqlSession:
        return self._session(1)

    async def member(self, server: Server) -> SqlSession:
        return self._session(SERVERS.index(server))


PACE = LoadPace(
    sql_writes_per_s=100,
    sql_reads_per_s=50,
    sql_replica_reads_per_s=50,
    sql_kept_reads_per_s=50,
    register_per_s=100,
    transfers_per_s=100,
    bank_reads_per_s=50,
    patience_s=0.2,
    grace_s=0.5,
)


async def played(load: SqlLoad, start: Callable[[float], Awaitable[None]], for_s: float) -> None:
    await load.fill()
    await start(asyncio.get_running_loop().time())
    await asyncio.sleep(for_s)
    await load.stop()
    await load.close()


def ledger_on(*databases: Database, for_s: float = 0.3, pace: LoadPace = PACE) -> Ledger:
    async def play() -> Ledger:
        load = Ledger(FakeDoor(*databases), pace, "run", asyncio.get_running_loop().time)
        await played(load, load.start, for_s)
        await load.read_back()
        return load

    return asyncio.run(play())


def only_on(statement: str, act: Callable[[], str]) -> Rule:
    async def rule(asked: str) -> str:
        return act() if asked == statement else ""

    return rule


def raising(error: Exception) -> Callable[[], str]:
    def act() -> str:
        raise error

    return act


# The ledger


def test_the_ledger_writes_down_keys_leaders_and_reads() -> None:
    database = Database()
    history = ledger_on(database, Database()).history(replica_bound_s=1.0)
    assert len(history.writes) >= 5
    assert {each.outcome for each in history.writes} == {Outcome.OK}
    assert {(each.timeline, each.node) for each in history.writes} == {(3, "a")}
    assert sorted(each.key for each in history.writes) == sorted("/".join(map(str, row)) for row in database.rows)
    assert {each.session[0] for each in history.writes} == {"a", "b"}
    assert {each.endpoint for each in history.reads} == {PRIMARY, REPLICA}
    writers = {each.session for each in history.writes}
    primary = {each.session for each in history.reads if each.endpoint == PRIMARY}
    kept = {each for each in primary if each.endswith(ledger.READ_KEPT)}
    assert primary - kept <= writers
    assert kept == {f"{host}.{number} of {ledger.READ_KEPT}" for host, number in (("a", 1), ("b", 2))}
    assert {each.session in writers for each in history.reads if each.endpoint == REPLICA} == {False}
    assert history.replica_bound_s == 1.0


def test_the_final_read_asks_every_member_and_says_which_did_not_answer() -> None:
    load = ledger_on(Database(), Database())
    history = load.history()
    assert set(history.final) == {"db@a", "db@b"}
    # In this fake the second member is no replica of the first, and that must show.
    assert history.final["db@b"] == ()
    assert load.present == {ledger.WRITE: frozenset()}


def test_an_acknowledgement_with_a_warning_is_in_doubt_and_ends_the_session() -> None:
    warned = Database(after=only_on(ledger.INSERT, lambda: "canceling wait for synchronous replication"))
    history = ledger_on(warned).history()
    assert {each.outcome for each in history.writes} == {Outcome.INDETERMINATE}
    assert len({each.session for each in history.writes}) == len(history.writes)
    # They are there nevertheless: nobody may call them failed.
    assert len(warned.rows) == len(history.writes)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RefusedError("25006", "read-only"), Outcome.FAIL),
        (RefusedError("57P01", "shutdown"), Outcome.INDETERMINATE),
        (UnansweredError("reset by peer"), Outcome.INDETERMINATE),
    ],
)
def test_errors_are_judged_by_what_they_say_about_the_effect(error: Exception, outcome: Outcome) -> None:
    history = ledger_on(Database(rule=only_on(ledger.INSERT, raising(error)))).history()
    assert {each.outcome for each in history.writes} == {outcome}
    assert {each.timeline for each in history.writes} == {None}
    assert history.reads


def test_a_database_that_refuses_connections_fails_every_operation() -> None:
    async def play() -> Ledger:
        load = Ledger(FakeDoor(Database(down=True)), PACE, "run", asyncio.get_running_loop().time)
        await played(load, load.start, 0.2)
        return load

    load = asyncio.run(play())
    assert {each.outcome for each in load.history().writes} == {Outcome.FAIL}
    assert load.history().reads == ()
    assert {each.reason for each in load.operations[ledger.WRITE]} == {"connection refused"}


def test_a_hanging_database_is_joined_by_more_sessions_until_the_limit_refuses() -> None:
    async def hang(statement: str) -> str:
        await asyncio.sleep(60 if statement == ledger.INSERT else 0)
        return ""

    # 20 are inside at any time, where 6 may be: the limit is met on the slowest computer too.
    load = ledger_on(Database(rule=hang), for_s=0.4, pace=replace(PACE, sessions_max=2))
    assert {each.outcome for each in load.history().writes} == {Outcome.INDETERMINATE}
    assert load.refused > 0
    latencies = [each.ended_s - each.intended_s for each in load.operations[ledger.WRITE]]
    assert min(latencies) >= 0.19


def test_a_session_that_only_reads_outlives_writes_that_hang() -> None:
    async def hang(statement: str) -> str:
        await asyncio.sleep(60 if statement == ledger.INSERT else 0)
        return ""

    load = ledger_on(Database(rule=hang), for_s=0.4)
    assert len({each.session for each in load.history().reads if each.session.endswith(ledger.READ_KEPT)}) == 2
    assert {each.outcome for each in load.operations[ledger.READ_KEPT]} == {Outcome.OK}


def test_a_replica_is_read_when_it_has_replayed_everything() -> None:
    slow = Database(replayed_after=2)

    async def play() -> tuple[dict[str, int], dict[str, str]]:
        return await from_every_member(FakeDoor(Database(), slow), number_of_rows, limit_s=10)

    found, missing = asyncio.run(play())
    assert set(found) == {"db@a", "db@b"}
    assert missing == {}
    assert slow.opened == 3


async def number_of_rows(session: SqlSession) -> int:
    return len((await session.ask(ledger.KEYS, timeout_s=1.0)).rows)


def test_a_member_that_does_not_answer_is_missing_with_the_reason() -> None:
    async def play() -> tuple[dict[str, int], dict[str, str]]:
        return await from_every_member(FakeDoor(Database(), Database(down=True)), number_of_rows, limit_s=0.1)

    found, missing = asyncio.run(play())
    assert set(found) == {"db@a"}
    assert "connection refused" in missing["db@b"]


def test_without_a_leader_nothing_can_be_read_back() -> None:
    with pytest.raises(LoadError, match="connection refused"):
        asyncio.run(at_leader(FakeDoor(Database(down=True)), number_of_rows, limit_s=0.1))


# The registers


def registers_on(database: Database, for_s: float = 0.3) -> Registers:
    async def play() -> Registers:
        load = Registers(FakeDoor(database), PACE, "run", asyncio.get_running_loop().time)
        await played(load, load.start, for_s)
        await load.read_back()
        return load

    return asyncio.run(play())


def test_registers_are_set_from_what_was_read() -> None:
    database = Database()
    history = registers_on(database).history
    set_well = [each for each in history.writes if each.outcome is Outcome.OK]
    assert set(history.initial) == set(history.final) == {each.key for each in set_well} == {"x", "y", "z"}
    assert all(each.version for each in set_well)
    assert len({each.value for each in history.writes}) == len(history.writes)
    assert history.final == database.register
    assert len({(each.key, each.version) for each in set_well}) == len(set_well)


def test_a_register_that_somebody_else_set_was_not_set() -> None:
    database = Database()

    async def other(statement: str) -> str:
        if statement == register.CAS:
            database.register = dict.fromkeys("xyz", ("somebody else's", 9))
        return ""

    database.rule = other
    history = registers_on(database).history
    assert {each.outcome for each in history.writes if each.expected == "0"} == {Outcome.FAIL}
    assert all(each.version is None for each in history.writes if each.outcome is Outcome.FAIL)


# The bank


def bank_on(database: Database, for_s: float = 0.3) -> Bank:
    async def play() -> Bank:
        load = Bank(FakeDoor(database), PACE, "run", asyncio.get_running_loop().time)
        await played(load, load.start, for_s)
        database.after = no_rule
        await load.read_back()
        return load

    return asyncio.run(play())


def test_transfers_leave_the_sum_alone() -> None:
    database = Database()
    load = bank_on(database)
    assert load.history.transfers_ok >= 5
    assert load.history.total == sum(load.history.final) == 500
    assert load.history.final != (100,) * 5
    assert {sum(each.balances) for each in load.history.reads} == {500}
    assert {each.node for each in load.history.reads} == {"a"}


def test_a_transfer_without_its_commit_has_failed() -> None:
    broken = UnansweredError("reset by peer")
    before = bank_on(Database(rule=only_on(bank.ADD, raising(broken))))
    assert {each.outcome for each in before.operations[bank.TRANSFER]} == {Outcome.FAIL}


def test_a_transfer_whose_commit_got_no_answer_is_in_doubt() -> None:
    broken = UnansweredError("reset by peer")
    during = bank_on(Database(after=only_on(bank.COMMIT, raising(broken))))
    assert {each.outcome for each in during.operations[bank.TRANSFER]} == {Outcome.INDETERMINATE}
    assert during.history.transfers_ok == 0
    assert sum(during.history.final) == 500


def test_accounts_are_always_locked_in_the_same_order() -> None:
    assert transfer(3, 1, 5) == ((1, 5), (3, -5))
    assert transfer(1, 3, 5) == ((1, -5), (3, 5))
