"""From settings to stores: counters, money and keys, each with its policy for the time when it is down (docs/promises.md)."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from completions_mw.backends.admission import CheckedAdmissionStore
from completions_mw.backends.memory.admission import MemoryAdmission
from completions_mw.backends.memory.key_cache import CachedKeys
from completions_mw.blocking import run_sync
from completions_mw.core.budgets.guarded_ledger import GuardedLedger
from completions_mw.core.budgets.spool import Spool
from completions_mw.core.keys.guarded_store import GuardedKeys
from completions_mw.core.keys.service import KeyService, Unsupported, everything_is_supported
from completions_mw.core.limits.guarded_store import GuardedAdmission
from completions_mw.core.ports import AdmissionStore, Background, Clock, KeyStore, Ledger, StoreError
from completions_mw.core.resilience.store_health import StoreHealth, StoreSnapshot
from completions_mw.errors import ConfigurationError
from completions_mw.gateway.backends import Backends, BlockingBackends
from completions_mw.gateway.setup_warnings import ledger_fault
from completions_mw.settings import Settings, StoreSettings
from completions_mw.settings.secrets import MEMORY

if TYPE_CHECKING:
    from completions_mw.backends.sql.database import Database


COUNTS_EVERYTHING: Final = (MEMORY.get_secret_value(), "redis://", "rediss://")
"""Stores of limits that know tokens and concurrency."""


class Stores:
    """The stores of one gateway. Nothing is opened before the first request.

    Args:
        settings: the whole tree.
        kit: makes the backends.
        clock: tells the time.

    Raises:
        ConfigurationError: a store needs a package that is not installed.
    """

    def __init__(self, settings: Settings, kit: Backends, clock: Clock) -> None:
        stores = settings.stores
        self.ttl_ms = int(stores.lease_ttl * 1000)
        self.background = kit.background()
        self._health: list[StoreHealth] = []
        self._shared: CheckedAdmissionStore | None = None
        self._database: Database | None = None
        self._clock = clock
        unsupported = _unsupported_by(stores.admission.get_secret_value())
        _refuse_what_cannot_be_counted(settings, unsupported)
        self.admission = self._admission(stores, kit)
        self.guarded_ledger: GuardedLedger | None = None
        self.key_store: KeyStore | None = None
        if stores.ledger is not None:
            from completions_mw.backends.sql import ledger_on
            from completions_mw.backends.sql.key_store import SqlKeyStore

            self._database = database = kit.database(stores.ledger.get_secret_value(), clock, stores.ledger_timeout)
            spool = Spool(clock, file=kit.spool_file(stores.spool) if stores.spool else None)
            self.guarded_ledger = GuardedLedger(ledger_on(database), spool, self._watched("ledger"))
            self.key_store = CachedKeys(GuardedKeys(SqlKeyStore(database), self._watched("keys")), clock, stores.key_cache)
        self._unsupported = unsupported

    @property
    def ledger(self) -> Ledger:
        """The ledger of operators.

        Raises:
            ConfigurationError: there is none.
        """
        if self.guarded_ledger is None:
            raise no_ledger_error()
        return self.guarded_ledger

    @property
    def keys(self) -> KeyService:
        """The stored keys of operators.

        Raises:
            ConfigurationError: there is no place for them.
        """
        if self.key_store is None:
            raise no_ledger_error()
        return KeyService(self.key_store, self._clock, self._unsupported)

    @property
    def warnings(self) -> Callable[[], Awaitable[list[str]]] | None:
        """What asks the store of limits about itself, where it is a shared one."""
        return None if self._shared is None else self._shared.check

    @property
    def completing(self) -> Background | None:
        """What completes the work on stores that a cancelled request has begun; None where they are all in memory, and wait for nothing."""
        return None if self._shared is None and self._database is None else self.background

    def snapshots(self) -> tuple[StoreSnapshot, ...]:
        """Return how the stores are doing."""
        return tuple(health.snapshot() for health in self._health)

    async def check(self) -> list[str]:
        """Reach every store, and return what the operator should know of them.

        Raises:
            StoreError: one of them does not answer.
        """
        if self._database is not None:
            await self._database.fetch("check")
        return await self._shared.check() if self._shared is not None else []

    async def aclose(self) -> None:
        await self.background.aclose()
        await self.admission.aclose()
        if self.guarded_ledger is not None:
            await self.guarded_ledger.aclose()

    def _admission(self, stores: StoreSettings, kit: Backends) -> AdmissionStore:
        if stores.admission == MEMORY:
            return MemoryAdmission(self._clock)
        store = kit.admission(stores.admission.get_secret_value(), stores.namespace, self._clock)
        self._shared = store
        health = self._watched("admission")
        return GuardedAdmission(store, stores.admission_failure, MemoryAdmission(self._clock), stores.workers, health)

    def _watched(self, name: str) -> StoreHealth:
        health = StoreHealth(name, self._clock)
        self._health.append(health)
        return health


def _unsupported_by(address: str) -> Unsupported:
    if address.startswith(COUNTS_EVERYTHING):
        return everything_is_supported
    from completions_mw.backends.limits_storage import unsupported

    return unsupported


def _refuse_what_cannot_be_counted(settings: Settings, unsupported: Unsupported) -> None:
    limits = {f"keys.{id}": key.limits for id, key in settings.keys.items()}
    limits |= {f"tenants.{name}": tenant.limits for name, tenant in settings.tenants.items()}
    limits |= {f"models.{name}": model.limits for name, model in settings.models.items()}
    limits["callers"] = settings.callers.limits
    if faults := [f"{at}.limits: {fault}" for at, one in limits.items() if (fault := unsupported(one))]:
        raise ConfigurationError("\n".join(faults))


def check_stores(settings: Settings, clock: Clock) -> None:
    """Reach every store that the settings name, and leave no connection behind that a fork could share.

    Raises:
        ConfigurationError: one does not answer, or is not as it should be.
    """
    if reason := ledger_fault(settings):
        raise ConfigurationError(f"stores.ledger: {reason}")
    stores = Stores(settings, BlockingBackends(), clock)
    try:
        faults = run_sync(stores.check())
    except StoreError as error:
        faults = [f"stores: {error}"]
    finally:
        run_sync(stores.aclose())
    if settings.stores.spool and not os.access(Path(settings.stores.spool).absolute().parent, os.W_OK):
        faults.append("stores.spool: its folder is not there, or cannot be written to")
    if faults:
        raise ConfigurationError("\n".join(faults))


def no_ledger_error() -> ConfigurationError:
    """Return the error for those who ask for what is kept where nothing is."""
    return ConfigurationError('stores.ledger: is needed for this, as "sqlite:///completions.db"')
