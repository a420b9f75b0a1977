"""Stores of limits, budgets and keys, from the settings, with their policies for outages (docs/promises.md, Stores that fail)."""

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Final

from completions_mw.backends.admission import CheckedAdmissionStore
from completions_mw.backends.memory.admission import MemoryAdmission
from completions_mw.backends.memory.key_cache import CachedKeys
from completions_mw.backends.memory.responses import MemoryResponses
from completions_mw.core.budgets.guarded_ledger import GuardedLedger
from completions_mw.core.budgets.spool import Spool
from completions_mw.core.cache.guarded_store import GuardedResponses
from completions_mw.core.charging.maintenance import REAP_SECONDS
from completions_mw.core.keys.guarded_store import GuardedKeys
from completions_mw.core.keys.service import KeyService, Unsupported, everything_is_supported
from completions_mw.core.limits.guarded_store import GuardedAdmission
from completions_mw.core.ports import AdmissionStore, Background, Clock, KeyStore, Ledger, SharedResponseStore, StoreError
from completions_mw.core.resilience.store_health import StoreHealth, StoreSnapshot
from completions_mw.errors import ConfigurationError
from completions_mw.gateway.backends import Backends
from completions_mw.gateway.last_rows import LastRows
from completions_mw.settings import Settings, StoreSettings
from completions_mw.settings.secrets import MEMORY_ADDRESS

if TYPE_CHECKING:
    from completions_mw.backends.sql.database import Database


FULL_ADMISSION_ADDRESSES: Final = (MEMORY_ADDRESS.get_secret_value(), "redis://", "rediss://")
"""Beginnings of the addresses of stores that can count tokens and concurrent requests, and not only requests."""


class Stores:
    """The stores of one gateway. They are opened at the first request.

    Args:
        settings: all settings.
        backends: makes the backends.
        clock: tells the time.

    Raises:
        ConfigurationError: a store needs a package that is not installed, or cannot count a limit in the settings.
    """

    def __init__(self, settings: Settings, backends: Backends, clock: Clock) -> None:
        stores = settings.stores
        self.ttl_ms = int(stores.lease_ttl * 1000)
        self.background = backends.background()
        self._health: list[StoreHealth] = []
        self._shared: CheckedAdmissionStore | None = None
        self._shared_responses: SharedResponseStore | None = None
        self._database: Database | None = None
        self._clock = clock
        unsupported = _unsupported_by(stores.admission.get_secret_value())
        _check_limits(settings, unsupported)
        self.admission = self._admission(stores, backends)
        self.guarded_ledger: GuardedLedger | None = None
        self.key_store: KeyStore | None = None
        if stores.ledger is not None:
            from completions_mw.backends.sql import ledger_on
            from completions_mw.backends.sql.key_store import SqlKeyStore

            self._database = database = backends.database(stores.ledger.get_secret_value(), clock, stores)
            spool = Spool(clock, file=backends.spool_file(stores.spool) if stores.spool else None)
            # In half a lease, and never more than twice the interval of renewals, all processes have renewed what runs.
            ledger = ledger_on(database, hold=min(stores.lease_ttl / 2, 2 * REAP_SECONDS))
            self.guarded_ledger = GuardedLedger(ledger, spool, self._watched("ledger"), int(stores.lease_ttl * 1000))
            self._last_rows = LastRows(self.guarded_ledger, stores, clock)
            self.key_store = CachedKeys(GuardedKeys(SqlKeyStore(database), self._watched("keys")), clock, stores.key_cache)
        self._unsupported = unsupported
        self.responses: GuardedResponses | None = None
        if caches_answers(settings):
            self.responses = self._responses(settings, backends)

    @property
    def ledger(self) -> Ledger:
        """The ledger, for reports.

        Raises:
            ConfigurationError: the settings name no ledger.
        """
        if self.guarded_ledger is None:
            raise no_ledger_error()
        return self.guarded_ledger

    @property
    def keys(self) -> KeyService:
        """The service for keys in the ledger's database.

        Raises:
            ConfigurationError: the settings name no ledger.
        """
        if self.key_store is None:
            raise no_ledger_error()
        return KeyService(self.key_store, self._clock, self._unsupported)

    @property
    def warnings(self) -> Callable[[], Awaitable[list[str]]] | None:
        """Function that returns warnings about the setup of the store of limits; None if limits are in memory."""
        return None if self._shared is None else self._shared.check

    @property
    def completing(self) -> Background | None:
        """Background that completes calls to stores after their request was cancelled; None if all stores are in memory, and never wait."""
        return None if self._shared is None and self._database is None else self.background

    def snapshots(self) -> tuple[StoreSnapshot, ...]:
        """Return the state of each store."""
        return tuple(health.snapshot() for health in self._health)

    async def check(self, ledger_text: Callable[[StoreError], str] = str) -> list[str]:
        """Reach every store, and return what is wrong with each: that it does not answer, or how it is set up.

        Args:
            ledger_text: returns the text of an error of the ledger.
        """
        faults: list[str] = []
        for setting, check in self._checks():
            try:
                faults += await check()
            except StoreError as error:
                faults.append(f"stores.{setting}: {ledger_text(error) if setting == 'ledger' else error}")
        return faults

    async def aclose(self) -> None:
        await self.background.aclose()
        if self.responses is not None:
            await self.responses.aclose()
        await self.admission.aclose()
        if self.guarded_ledger is not None:
            await self.guarded_ledger.aclose()

    def _checks(self) -> Iterator[tuple[str, Callable[[], Awaitable[list[str]]]]]:
        if self._database is not None:
            yield "ledger", self._check_database
        if self._shared is not None:
            yield "admission", self._shared.check
        if self._shared_responses is not None:
            yield "cache", self._shared_responses.check

    async def _check_database(self) -> list[str]:
        if self._database is not None:
            await self._database.fetch("check")
        return []

    def _admission(self, stores: StoreSettings, backends: Backends) -> AdmissionStore:
        if stores.admission == MEMORY_ADDRESS:
            return MemoryAdmission(self._clock)
        store = backends.admission(stores.admission.get_secret_value(), stores.namespace, self._clock)
        self._shared = store
        health = self._watched("admission")
        return GuardedAdmission(store, stores.admission_failure, MemoryAdmission(self._clock), stores.workers, health)

    def _responses(self, settings: Settings, backends: Backends) -> GuardedResponses:
        memory = MemoryResponses(self._clock, settings.cache.memory_bytes)
        if settings.stores.cache == MEMORY_ADDRESS:
            return GuardedResponses(memory, None, self._watched("cache"))
        max_bytes = max(settings.cache.max_entry_bytes, *(model.cache.max_entry_bytes or 0 for model in settings.models.values()), 0)
        address, namespace = settings.stores.cache.get_secret_value(), settings.stores.namespace
        self._shared_responses = shared = backends.responses(address, namespace, settings.cache, max_bytes)
        return GuardedResponses(memory, shared, self._watched("cache"), int(settings.cache.memory_ttl * 1000))

    def _watched(self, name: str) -> StoreHealth:
        health = StoreHealth(name, self._clock)
        self._health.append(health)
        return health


def caches_answers(settings: Settings) -> bool:
    """Return whether the settings enable caching, for all models or for one."""
    return settings.cache.enabled or any(model.cache.enabled for model in settings.models.values())


def _unsupported_by(address: str) -> Unsupported:
    if address.startswith(FULL_ADMISSION_ADDRESSES):
        return everything_is_supported
    from completions_mw.backends.limits_storage import unsupported

    return unsupported


def _check_limits(settings: Settings, unsupported: Unsupported) -> None:
    limits = {f"keys.{id}": key.limits for id, key in settings.keys.items()}
    limits |= {f"tenants.{name}": tenant.limits for name, tenant in settings.tenants.items()}
    limits |= {f"models.{name}": model.limits for name, model in settings.models.items()}
    limits["callers"] = settings.callers.limits
    if faults := [f"{path}.limits: {fault}" for path, limit in limits.items() if (fault := unsupported(limit))]:
        raise ConfigurationError("\n".join(faults))


def no_ledger_error() -> ConfigurationError:
    """Return the error of calls that need a ledger if the settings name none."""
    return ConfigurationError('stores.ledger: is needed for this, as "sqlite:///completions.db"')
