"""What both gateways share: everything but how they wait."""

from datetime import datetime
from functools import partial
from typing import Any, get_args

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.ownership import PerProcess
from completions_mw.core.budgets.budgets import Budgets
from completions_mw.core.charging.charges import Charges
from completions_mw.core.charging.maintenance import Maintenance
from completions_mw.core.charging.max_cost import MaxCost
from completions_mw.core.dispatch.catalog import Catalog
from completions_mw.core.inbound import ChatCompletions
from completions_mw.core.keys.authentication import Authenticator, missing_key_error
from completions_mw.core.keys.caller import Caller, CallerLike, to_caller
from completions_mw.core.keys.owners import Owners, SettingsKeys, StoredKeys
from completions_mw.core.limits.limiter import RateLimiter
from completions_mw.core.pipeline import Pipeline
from completions_mw.core.ports import Balance, UsageBy, UsageQuery, UsageRow
from completions_mw.core.resilience.store_health import StoreSnapshot
from completions_mw.core.streaming.chunks import ChunkStream
from completions_mw.core.streaming.reader import ChunkReader, as_gateway_errors, typed
from completions_mw.core.telemetry.request_log import RequestLog
from completions_mw.core.validation.json_body import Bounds
from completions_mw.core.validation.request import prepare
from completions_mw.gateway.backends import Backends
from completions_mw.gateway.models import ModelRegistry
from completions_mw.gateway.options import GatewayOptions, check_option_names
from completions_mw.gateway.setup_warnings import SetupReport, SetupWarning
from completions_mw.gateway.stores import Stores, check_stores
from completions_mw.schemas import ChatCompletion, ModelList
from completions_mw.settings import Settings

SCOPES = ("key", "caller", "tenant")


class GatewayBase:
    """What both gateways share: everything but how they wait."""

    def __init__(self, settings: Settings, kit: Backends, options: GatewayOptions) -> None:
        check_option_names(options)
        if not isinstance(settings, Settings):
            text = 'from a file by Settings.from_toml("completions.toml"), or from a mapping by Settings.from_mapping({...})'
            raise TypeError(f"`settings` should be a Settings, {text}, not {type(settings).__name__}")
        prepare()
        self.settings = settings
        self._models = ModelRegistry(settings, options.get("models") or {}, kit, options.get("transport"))
        self._stores = stores = Stores(settings, kit, SYSTEM_CLOCK)
        if settings.stores.strict:
            check_stores(settings, SYSTEM_CLOCK)
        observer = RequestLog()
        limiter = RateLimiter(stores.admission, settings, stores.ttl_ms)
        budgets = Budgets(stores.guarded_ledger, settings, SYSTEM_CLOCK, stores.ttl_ms, options.get("on_budget"))
        maintenance = Maintenance(
            limiter, stores.guarded_ledger, budgets, stores.background, SYSTEM_CLOCK, settings.stores, stores.warnings
        )
        self._maintenance = maintenance
        self._forked = _ForkedMaintenance(maintenance)
        bounds = Bounds(max_depth=settings.max_depth, max_items=settings.max_items, max_messages=settings.max_messages)
        owners: list[Owners] = [SettingsKeys(settings.keys)]
        if stores.key_store is not None:
            owners.append(StoredKeys(stores.key_store))
        self._pipeline = Pipeline(
            settings,
            ChatCompletions(settings.unknown_params, bounds),
            Authenticator(owners, SYSTEM_CLOCK, options.get("authenticate")),
            Catalog(self._models.models),
            Charges(limiter, MaxCost(settings), budgets, stores.guarded_ledger, maintenance, stores.completing, observer),
            SYSTEM_CLOCK,
            observer,
        )
        self._setup = SetupReport(settings, self._models.models, has_login=options.get("authenticate") is not None)

    @property
    def setup_warnings(self) -> tuple[SetupWarning, ...]:
        """Faults in the settings that stop no gateway; each is also logged when the gateway is built."""
        return self._setup.warnings

    def note_processes(self) -> None:
        """Log, once, that limits in memory are not shared; adapters call this where the server runs several processes."""
        self._setup.note_processes()

    @property
    def stores(self) -> tuple[StoreSnapshot, ...]:
        """How the stores are doing: for health pages and metrics."""
        return self._stores.snapshots()

    def owns(self, method: str, path: str) -> bool:
        """Tell whether a request is for this gateway; adapters pass all others on to the host app."""
        return self._pipeline.routes.owns(method, path)

    async def _caller(self, key: str | None, caller: CallerLike | None) -> Caller | None:
        if key is not None and caller is not None:
            raise TypeError("give either `key` or `caller`, not both")
        if key is not None:
            return await self._pipeline.authenticator.authenticate_key(key)
        found = to_caller(caller)
        if found is None and caller is not None:
            # None is the app itself, which may do everything; an empty id must not be.
            raise missing_key_error()
        return found

    async def _list(self, key: str | None, caller: CallerLike | None) -> ModelList:
        return self._pipeline.models(await self._caller(key, caller))

    async def _complete(self, fields: dict[str, Any], key: str | None, caller: CallerLike | None) -> ChatCompletion:
        if fields.get("stream"):
            raise TypeError("complete() gives whole answers: use stream() instead of `stream=True`")
        who = await self._caller(key, caller)
        with as_gateway_errors():
            completion = await self._pipeline.complete({**fields, "stream": False}, who)
            return typed(ChatCompletion, completion.data)

    async def _open(self, fields: dict[str, Any], key: str | None, caller: CallerLike | None) -> ChunkStream:
        who = await self._caller(key, caller)
        with as_gateway_errors():
            return await self._pipeline.stream(fields, who)

    def _reader(self, fields: dict[str, Any], key: str | None, caller: CallerLike | None) -> ChunkReader:
        return ChunkReader(partial(self._open, fields, key, caller))

    async def _usage(self, by: UsageBy, since: datetime | None, until: datetime | None, **only: str | None) -> list[UsageRow]:
        if by not in get_args(UsageBy):
            raise ValueError(f"`by` should be one of {', '.join(get_args(UsageBy))}")
        return await self._stores.ledger.usage(UsageQuery(by, _milliseconds(since), _milliseconds(until), **only))

    async def _balances(self, scope: str, id: str) -> list[Balance]:
        if scope not in SCOPES:
            raise ValueError(f"`scope` should be one of {', '.join(SCOPES)}")
        return await self._stores.ledger.balances(scope, id)

    async def _close(self) -> None:
        await self._models.aclose()
        await self._maintenance.settle_deferred()
        await self._stores.aclose()


class _ForkedMaintenance(PerProcess):
    """Lets a child process begin without the requests of its parent, whose leases it would renew for ever."""

    def __init__(self, maintenance: Maintenance) -> None:
        self._maintenance = maintenance
        super().__init__()

    def reset(self) -> None:
        self._maintenance.reset()


def _milliseconds(instant: datetime | None) -> int | None:
    if instant is not None and not isinstance(instant, datetime):
        raise TypeError(f"`since` and `until` should be datetimes, not {type(instant).__name__}")
    return None if instant is None else round(instant.timestamp() * 1000)
