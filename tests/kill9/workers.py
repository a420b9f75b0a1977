"""What runs in the processes that are killed: a gateway in use, all the time."""

import json
import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple, cast

from completions_mw import BudgetExceededError, Caller, Gateway, RateLimitError, Settings
from completions_mw.backends import sql
from completions_mw.core.ports import Account, BudgetChange, Entry, Ledger, Outcome, Refusal, Tokens
from completions_mw.schemas import ChatRequest
from completions_mw.settings import Budget, Limits

THREADS: Final = 3
WORD: Final = "word"
MOST_TOKENS: Final = 512
"""A word each."""
STREAMS_OF_BUDGET: Final = 20
EACH: Final = MOST_TOKENS * 1000
"""Nano-dollars that a stream costs at most."""
PRICES: Final = {"input": "0", "output": "1"}
PLACES: Final = 10
AGAIN_SECONDS: Final = 0.01


class Job(NamedTuple):
    """What a worker needs."""

    settings: dict[str, Any]
    acks: str
    """A file of its own, for what stores have confirmed."""
    batch: str


def words(request: ChatRequest) -> Iterator[str]:
    """Be a model: as many words as the message says."""
    for _ in range(int(request.messages[-1].text)):
        yield WORD


def spend(job: Job, told: Connection) -> None:
    """Stream on budgets that are soon used up; write down what the ledger has confirmed."""
    acks = Acks(job.acks, told)
    ledger_on = sql.ledger_on
    vars(sql).update(ledger_on=lambda database, **more: Acknowledged(ledger_on(database, **more), acks))
    gateway = Gateway(Settings.from_mapping(job.settings), models={"words": words})
    _in_threads(lambda: _stream_on(gateway, job.batch))


def _stream_on(gateway: Gateway, batch: str) -> None:
    budget = 0
    while True:
        amount = Budget.model_validate({"usd": f"0.{EACH * STREAMS_OF_BUDGET:09}", "period": "total"})
        count = random.randint(1, MOST_TOKENS)
        message = {"role": "user", "content": str(count)}
        caller = Caller(f"{batch}-{budget}", budget=amount)
        try:
            with gateway.stream(model="words", messages=[message], max_tokens=MOST_TOKENS, caller=caller) as stream:
                for _ in stream:
                    pass
        except BudgetExceededError:
            budget += 1


def take_places(job: Job, told: Connection) -> None:
    """Ask for one of few places, again and again."""
    gateway = Gateway(Settings.from_mapping(job.settings))
    lock = threading.Lock()

    def answered() -> None:
        with lock:
            told.send_bytes(b".")

    _in_threads(lambda: _ask_on(gateway, answered))


def _ask_on(gateway: Gateway, answered: Callable[[], None]) -> None:
    caller = Caller("crowd", limits=Limits(concurrency=PLACES))
    later = threading.Event()
    while True:
        try:
            gateway.complete(model="paced", messages=[{"role": "user", "content": "hello"}], caller=caller)
        except RateLimitError:
            later.wait(AGAIN_SECONDS)
        else:
            answered()


def _in_threads(work: Callable[[], None]) -> None:
    """Let several threads work until one fails, which ends the process."""
    failed = threading.Event()

    def guarded() -> None:
        try:
            work()
        finally:
            failed.set()

    for _ in range(THREADS):
        threading.Thread(target=guarded, daemon=True).start()
    failed.wait()
    os._exit(1)


class Acks:
    """Keeps lines, each on the disk before anybody goes on.

    Args:
        path: of the file.
        told: gets a byte for each line.
    """

    def __init__(self, path: str, told: Connection) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._told = told
        self._lock = threading.Lock()

    def write(self, kind: str, request_id: str, amount: int, tokens: Tokens) -> None:
        line = json.dumps([kind, request_id, amount, tokens.completion]).encode() + b"\n"
        with self._lock:
            os.write(self._file, line)
            os.fsync(self._file)
            self._told.send_bytes(b".")


class Acknowledged:
    """A ledger whose confirmations are written down."""

    def __init__(self, ledger: Ledger, acks: Acks) -> None:
        self._ledger = ledger
        self._acks = acks

    async def reserve(self, entry: Entry, amount: int, accounts: Sequence[Account], ttl_ms: int) -> Refusal | None:
        refusal = await self._ledger.reserve(entry, amount, accounts, ttl_ms)
        if refusal is None:
            self._acks.write("reserve", entry.request_id, 0, Tokens())
        return refusal

    async def checkpoint(self, request_id: str, amount: int, tokens: Tokens) -> None:
        await self._ledger.checkpoint(request_id, amount, tokens)
        self._acks.write("checkpoint", request_id, amount, tokens)

    async def settle(self, entry: Entry, outcome: Outcome, accounts: Sequence[Account] = ()) -> list[BudgetChange]:
        changes = await self._ledger.settle(entry, outcome, accounts)
        self._acks.write("settle", entry.request_id, outcome.cost, outcome.tokens)
        return changes

    def __getattr__(self, name: str) -> Any:
        return getattr(cast("Any", self._ledger), name)
