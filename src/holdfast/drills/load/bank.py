"""The bank: transfers in transactions between accounts, whose sum never changes."""

import random
import time
from functools import partial
from typing import LiteralString

from holdfast.drills.check.values import BankHistory, BankRead
from holdfast.drills.history import Kind
from holdfast.drills.load.base import Clock, LoadPace, UndoneError
from holdfast.drills.load.sql import FINAL_LIMIT_S, READ_TIMEOUT_S, SqlDoor, SqlLoad, at_leader, read_only, told
from holdfast.wire.base import RefusedError, UnansweredError
from holdfast.wire.sql import SqlSession

TRANSFER, READ = "transfer", "bank read"
ACCOUNTS, DEPOSIT = 5, 100
MOST = 5
TABLES: tuple[LiteralString, ...] = (
    "CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL CHECK (balance >= 0))",
    "INSERT INTO account SELECT id, 100 FROM generate_series(0, 4) AS id",
)
BEGIN: LiteralString = "BEGIN"
ADD: LiteralString = "UPDATE account SET balance = balance + %s WHERE id = %s"
COMMIT: LiteralString = "COMMIT"
BEGIN_READ: LiteralString = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
BALANCES: LiteralString = "SELECT balance, host(inet_server_addr()) FROM account ORDER BY id"

Balances = tuple[tuple[int, ...], str]


async def _transfer(session: SqlSession, changes: tuple[tuple[int, int], ...], timeout_s: float) -> bool:
    try:
        await session.ask(BEGIN, timeout_s=timeout_s)
        for account, amount in changes:
            await session.ask(ADD, (amount, account), timeout_s=timeout_s)
    except (RefusedError, UnansweredError) as error:
        # No COMMIT was sent, so nothing of it can ever hold.
        raise UndoneError(str(error)) from error
    answer = await told(session, COMMIT, timeout_s=timeout_s)
    if answer.tag != "COMMIT":
        raise UndoneError(f"the answer to COMMIT was {answer.tag}")
    return True


async def _balances(session: SqlSession) -> Balances:
    await session.ask(BEGIN_READ, timeout_s=READ_TIMEOUT_S)
    rows = (await session.ask(BALANCES, timeout_s=READ_TIMEOUT_S)).rows
    await session.ask(COMMIT, timeout_s=READ_TIMEOUT_S)
    return tuple(int(balance) for balance, _ in rows), str(rows[0][1]) if rows else ""


class Bank(SqlLoad):
    """Transfers of small amounts between accounts, and reads of all balances in one transaction.

    ``seed``: the same accounts and amounts in the same order.
    """

    def __init__(self, door: SqlDoor, pace: LoadPace, run: str, clock: Clock = time.monotonic, seed: int = 0) -> None:
        super().__init__(door, pace, run, clock)
        self._dice = random.Random(seed)  # noqa: S311  # No secret: it must be the same again.
        self._reads: list[BankRead] = []
        self._transfers_ok = 0
        self._final: tuple[int, ...] = ()

    @property
    def history(self) -> BankHistory:
        """What the clients saw."""
        return BankHistory(ACCOUNTS * DEPOSIT, self._transfers_ok, tuple(self._reads), self._final)

    async def start(self, begun_s: float) -> None:
        """Begin; see `Load.start`. The sessions are open already, the tables are there."""
        self._issuer.begin(self._pace.transfers_per_s, self._pay, begun_s)
        self._issuer.begin(self._pace.bank_reads_per_s, self._read, begun_s)

    async def _pay(self, number: int, intended_s: float) -> None:
        if (seat := self.taken(number)) is None:
            return
        source, target = self._dice.sample(range(ACCOUNTS), 2)
        changes = transfer(source, target, self._dice.randint(1, MOST))
        started_s = self._clock()
        done = await self._seats.use(seat, partial(_transfer, changes=changes, timeout_s=self._pace.patience_s))
        self._transfers_ok += bool(done.value)
        self.note(Kind.WRITE, TRANSFER, intended_s, started_s, done)

    async def _read(self, number: int, intended_s: float) -> None:
        if (seat := self.taken(number)) is None:
            return
        session, started_s = seat.session, self._clock()
        done = read_only(await self._seats.use(seat, _balances))
        balances, address = done.value or ((), "")
        node = self._door.places.node(address)
        ended_s = self.note(Kind.READ, READ, intended_s, started_s, done, host=node)
        if done.value is not None:
            self._reads.append(BankRead(session, started_s, ended_s, balances, node))

    async def read_back(self) -> None:
        """Read all balances at the leader. Raises LoadError."""
        self._final, _ = await at_leader(self._door, _balances, FINAL_LIMIT_S)


def transfer(source: int, target: int, amount: int) -> tuple[tuple[int, int], ...]:
    """Return the changes of a transfer, account and amount, in the order of accounts: so none waits in a circle."""
    return tuple(sorted(((source, -amount), (target, amount))))
