"""PostgreSQL for several hosts."""

import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol
from weakref import WeakSet

import anyio
import psycopg
from anyio import to_thread
from anyio.lowlevel import RunVar
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8Dumper

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.sql.database import REPORT_TIMEOUT, TIMEOUT, Rows, Step
from completions_mw.backends.sql.postgres_failures import named_failures
from completions_mw.backends.sql.postgres_schema import MIGRATION_TIMEOUT, bring_up_to_date, is_up_to_date
from completions_mw.backends.sql.postgres_wire import AsyncWire, BlockingWire, Wire, connect, conninfo, is_usable
from completions_mw.backends.sql.statements import statement
from completions_mw.core.ports import StoreTimeoutError
from completions_mw.errors import ConfigurationError

DIALECT: Final = "postgres"
CONNECTIONS: Final = 8
"""At most, of a process (and of each of its event loops)."""


class _Postgres:
    """What both kinds have in common: connections that are opened when they are needed, and kept."""

    def __init__(self, address: str) -> None:
        try:
            self._conninfo = conninfo(address)
        except psycopg.Error:
            raise ConfigurationError("stores.ledger: is not an address that PostgreSQL's driver can read") from None
        self._idle: deque[Wire] = deque()
        _databases.add(self)

    async def fetch(self, name: str, /, **params: Any) -> Rows:
        async with self._wire(TIMEOUT) as wire:
            return await wire.run(statement(DIALECT, name), params)

    async def transaction(self, steps: Sequence[Step], /) -> list[Rows]:
        async with self._wire(TIMEOUT) as wire:
            await wire.run("BEGIN")
            rows = [await wire.run(statement(DIALECT, step.statement), step.params) for step in steps]
            await wire.run("COMMIT")
            return rows

    async def report(self, name: str, /, **params: Any) -> Rows:
        async with self._wire(REPORT_TIMEOUT) as wire:
            await wire.run("BEGIN READ ONLY")
            await wire.run(f"SET LOCAL statement_timeout = {int(REPORT_TIMEOUT * 1000)}")
            rows = await wire.run(statement(DIALECT, name), params)
            await wire.run("COMMIT")
            return rows

    async def aclose(self) -> None:
        while self._idle:
            self._idle.pop().pgconn.finish()
