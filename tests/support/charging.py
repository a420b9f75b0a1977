"""The pipeline with all that charges its requests: real stores in memory, and a clock that moves when a test says so."""

from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, TypeVar
from weakref import WeakSet

from completions_mw import Caller, Settings
from completions_mw.backends.memory.admission import MemoryAdmission
from completions_mw.backends.sql import ledger_on, open_database
from completions_mw.blocking import run_sync
from completions_mw.core.budgets.budgets import Budgets, OnBudget
from completions_mw.core.budgets.guarded_ledger import GuardedLedger
from completions_mw.core.budgets.spool import Spool
from completions_mw.core.cache import ResponseCache
from completions_mw.core.charging.charges import Charges
from completions_mw.core.charging.maintenance import Maintenance
from completions_mw.core.charging.max_cost import MaxCost
from completions_mw.core.charging.used import UsedTokens
from completions_mw.core.costs.tokens import NO_ESTIMATE
from completions_mw.core.direct_calls import DirectCalls
from completions_mw.core.dispatch import Attempts, Catalog
from completions_mw.core.inbound import ChatCompletions, Dialect, Embeddings
from completions_mw.core.keys.authentication import Authenticator
from completions_mw.core.keys.owners import owners_of
from completions_mw.core.limits.guarded_store import GuardedAdmission
from completions_mw.core.limits.limiter import RateLimiter
from completions_mw.core.pipeline import Pipeline
from completions_mw.core.ports import Balance, ModelFunction, Stopping, UsageQuery, UsageRow, Watched
from completions_mw.core.resilience.store_health import StoreHealth
from completions_mw.core.steps import Steps
from completions_mw.core.streaming.body import ChunkSource
from completions_mw.core.streaming.rules import StreamRules
from completions_mw.core.telemetry.observer import Observer
from completions_mw.core.telemetry.request_log import RequestLog
from completions_mw.core.validation.json_body import Bounds
from completions_mw.core.validation.vendor_params import REJECT
from completions_mw.gateway.backends import BlockingBackends
from completions_mw.gateway.models import ModelRegistry
from completions_mw.providers.base import Completion
from tests.support.failing_calls import FailingCalls
from tests.support.fake_clock import FakeClock

T = TypeVar("T")
LEASE = 30.0
"""Seconds for which leases and reservations hold."""
HELLO = [{"role": "user", "content": "one two three"}]


class ByHand:
    """A `Background` whose work beside requests runs when a test says so."""

    def __init__(self) -> None:
        self.kept: list[tuple[float, Callable[[], Coroutine[Any, Any, None]]]] = []
        self.watched: WeakSet[Watched] = WeakSet()
        self.is_alive = True
        self.stopping: set[Stopping] = set()
        self.cancelled = 0
        """How often a request was cancelled."""

    async def complete(self, work: Coroutine[Any, Any, T]) -> T:
        return await work

    def keep(self, interval: float, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], bool]:
        if (interval, work) not in self.kept:
            self.kept.append((interval, work))
        return lambda: self.is_alive

    def watch(self, watched: Watched) -> None:
        self.watched.add(watched)

    def unwatch(self, watched: Watched) -> None:
        self.watched.discard(watched)

    def canceller(self) -> Callable[[], None]:
        return self._cancel

    def watch_server(self, stopping: Stopping) -> None:
        self.stopping.add(stopping)

    def is_stop(self, error: BaseException) -> bool:
        return False

    def _cancel(self) -> None:
        self.cancelled += 1

    async def aclose(self) -> None: ...


class Charging:
    """A core that charges.

    Args:
        function: the model `m`, which costs $1 a thousand tokens of input, $2 of output.
        faults: of the stores.
        on_budget: the operator's hook.
        policy: for the time when the admission store is down.
        observer: told of each step; the log by default.
        cache: between admission and reservation.
        dialects: of further routes.
        **more: further settings.
    """

    def __init__(
        self,
        function: ModelFunction,
        *,
        faults: FailingCalls | None = None,
        on_budget: OnBudget | None = None,
        policy: Any = "local",
        observer: Observer | None = None,
        cache: ResponseCache | None = None,
        dialects: Sequence[Dialect] = (),
        **more: Any,
    ) -> None:
        self.time = FakeClock()
        self._probes = count()
        clock = self.time.clock()
        self.faults = faults or FailingCalls()
        model = {"prices": {"input": "1000", "output": "2000"}, "max_output_tokens": 100}
        settings = Settings.from_mapping({"models": {"m": model}, "stores": {"ledger": "memory://", "lease_ttl": LEASE}, **more})
        self.store = MemoryAdmission(clock)
        self.admission = GuardedAdmission(
            self.faults.around(self.store), policy, MemoryAdmission(clock), 1, StoreHealth("admission", clock)
        )
        self.books = ledger_on(open_database("memory://", blocking=True, clock=clock))
        self.ledger = GuardedLedger(self.faults.around(self.books), Spool(clock), StoreHealth("ledger", clock))
        self.background = ByHand()
        ttl_ms = int(LEASE * 1000)
        self.limiter = limiter = RateLimiter(self.admission, settings, ttl_ms)
        budgets = Budgets(self.ledger, settings, clock, ttl_ms, on_budget)
        self.maintenance = Maintenance(limiter, self.ledger, budgets, self.background, clock, settings.stores)
        observers = observer or RequestLog()
        chat = ChatCompletions(lambda _: REJECT, Bounds())
        embeddings = Embeddings(lambda _: REJECT, Bounds(), settings.embeddings.max_inputs, settings.embeddings.max_tokens)
        catalog = Catalog(ModelRegistry(settings, {"models": {"m": function}}, BlockingBackends()).models)
        used = UsedTokens(settings.abandoned)
        charges = Charges(limiter, MaxCost(settings), used, budgets, self.ledger, self.maintenance, self.background, observers)
        streaming = StreamRules(clock, self.background, settings.keep_alive, settings.send_timeout)
        attempts = Attempts(observers, BlockingBackends().waiting(), settings.retries)
        steps = Steps(catalog, charges, clock, observers, attempts, cache)
        authenticator = Authenticator(owners_of(settings.keys), clock)
        self.pipeline = Pipeline(settings, (chat, embeddings, *dialects), authenticator, catalog, clock, observers, streaming, steps)
        self.direct_calls = DirectCalls(chat, embeddings, catalog, clock, observers, streaming, steps)

    def complete(self, caller: Caller | None, **fields: Any) -> Completion:
        return run_sync(self.direct_calls.answer("chat", {"model": "m", "messages": HELLO, **fields}, caller))[0]

    def stream(self, caller: Caller | None, **fields: Any) -> ChunkSource:
        return run_sync(self.direct_calls.stream({"model": "m", "messages": HELLO, **fields}, caller))[0]

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass, and then the work beside requests be done."""
        self.time.advance(seconds)
        for _, work in self.background.kept:
            run_sync(work())
        for watched in tuple(self.background.watched):
            run_sync(watched.check())

    def balance(self, caller: Caller, scope: str = "caller") -> Balance:
        """Return how the only budget of a caller, or of its tenant, stands."""
        name = caller.tenant if scope == "tenant" else caller.id
        balances = run_sync(self.books.balances(scope, name)) or [Balance(scope, name, "", 0, 0, 0)]
        assert len(balances) == 1
        return balances[0]

    def usage(self, caller: Caller) -> UsageRow | None:
        """Return the sums over all requests of a caller that have ended."""
        rows = run_sync(
            self.ledger.usage(UsageQuery("key", key=caller.id) if caller.scope == "key" else UsageQuery("key", caller=caller.id))
        )
        return rows[0] if rows else None

    def free_places(self, caller: Caller) -> int:
        """Return how many requests more the caller may run at once; they have come and gone then."""
        limits = self.limiter.limits_of(caller, "m")
        assert limits is not None
        leases = limits.leases
        ids = [f"probe-{next(self._probes)}" for _ in range(leases[0].limit)]
        free = sum(run_sync(self.store.admit(id, (), leases, NO_ESTIMATE, 1000)).admitted for id in ids)
        for id in ids:
            run_sync(self.store.finish(id, None))
        return free


def read(stream: ChunkSource) -> int:
    """Read a stream to its end, close it, and return how many batches came."""
    batches = 0
    try:
        with suppress(StopAsyncIteration):
            while True:
                run_sync(stream.__anext__())
                batches += 1
    finally:
        run_sync(stream.aclose())
    return batches
