"""Joins settings and backends to what answers requests: a pipeline for HTTP, and direct calls."""

from math import inf

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.ownership import PerProcess
from completions_mw.core.budgets.budgets import Budgets
from completions_mw.core.charging.charges import Charges
from completions_mw.core.charging.maintenance import Maintenance
from completions_mw.core.charging.max_cost import MaxCost
from completions_mw.core.charging.used import UsedTokens
from completions_mw.core.direct_calls import DirectCalls
from completions_mw.core.dispatch import Attempts, Catalog
from completions_mw.core.inbound import ChatCompletions, Embeddings
from completions_mw.core.keys.authentication import Authenticator
from completions_mw.core.keys.owners import owners_of
from completions_mw.core.limits.limiter import RateLimiter
from completions_mw.core.pipeline import Pipeline
from completions_mw.core.steps import Steps
from completions_mw.core.streaming import Finishing, StreamRules
from completions_mw.core.telemetry.request_log import RequestLog
from completions_mw.core.validation.json_body import Bounds
from completions_mw.gateway.backends import Backends
from completions_mw.gateway.caching import response_cache
from completions_mw.gateway.models import ModelRegistry
from completions_mw.gateway.options import GatewayOptions
from completions_mw.gateway.param_policies import param_policies
from completions_mw.gateway.setup_warnings import SetupReport
from completions_mw.gateway.store_checks import check_stores
from completions_mw.gateway.stores import Stores
from completions_mw.settings import Settings


class Wiring:
    """What answers the requests of a gateway, with the models, stores and maintenance that it uses.

    Opens no connection, unless `stores.strict` is set.

    Args:
        settings: all settings.
        backends: makes the backends, blocking or async.
        options: keyword arguments of the gateway.

    Raises:
        ConfigurationError: the settings or options cannot work; with `stores.strict`, also if a store does not answer.
    """

    def __init__(self, settings: Settings, backends: Backends, options: GatewayOptions) -> None:
        authenticate = options.get("authenticate")
        has_one_caller = len(settings.keys) <= 1 and settings.stores.ledger is None and authenticate is None
        share = 1.0 if has_one_caller else settings.connections.share
        self.models = ModelRegistry(settings, options, backends, share)
        self.finishing = Finishing() if settings.abandoned == "finish" else None
        """Answers that are read to their end without their clients; None where they are stopped."""
        self.stores = stores = Stores(settings, backends, SYSTEM_CLOCK)
        if settings.stores.strict:
            check_stores(settings, SYSTEM_CLOCK)
        observer = RequestLog()
        limiter = RateLimiter(stores.admission, settings, stores.ttl_ms)
        ledger = stores.guarded_ledger
        budgets = Budgets(ledger, settings, SYSTEM_CLOCK, stores.ttl_ms, options.get("on_budget"))
        maintenance = Maintenance(limiter, ledger, budgets, stores.background, SYSTEM_CLOCK, settings.stores, stores.warnings)
        self.maintenance = maintenance
        self._forked = _ForkedMaintenance(maintenance)
        self.cache = response_cache(settings, self.models.models, options, stores, backends, SYSTEM_CLOCK)
        policies, bounds = param_policies(settings), Bounds(settings.max_depth, settings.max_items, settings.max_messages)
        chat = ChatCompletions(policies, bounds, settings.keep_alive_form)
        embeddings = Embeddings(policies, bounds, settings.embeddings.max_inputs, settings.embeddings.max_tokens)
        authenticator = Authenticator(owners_of(settings.keys), SYSTEM_CLOCK, authenticate, stores.key_store)
        catalog = Catalog(self.models.models)
        streaming = StreamRules(SYSTEM_CLOCK, stores.background, settings.keep_alive or inf, settings.send_timeout, self.finishing)
        max_cost, used = MaxCost(settings), UsedTokens(settings.abandoned)
        charges = Charges(limiter, max_cost, used, budgets, ledger, maintenance, stores.completing, observer)
        attempts = Attempts(observer, backends.waiting(), settings.retries)
        steps = Steps(catalog, charges, SYSTEM_CLOCK, observer, attempts, self.cache)
        self.pipeline = Pipeline(settings, (chat, embeddings), authenticator, catalog, SYSTEM_CLOCK, observer, streaming, steps)
        debug = bool(settings.debug)
        self.direct_calls = DirectCalls(chat, embeddings, catalog, SYSTEM_CLOCK, observer, streaming, steps, debug=debug)
        self.setup = SetupReport(
            settings, self.models.models, has_login=authenticate is not None, with_tokens=options.get("credentials") or ()
        )

    async def aclose(self) -> None:
        """Close connections and models, and settle the requests that are deferred."""
        await self.models.aclose()
        await self.maintenance.settle_deferred()
        await self.stores.aclose()


class _ForkedMaintenance(PerProcess):
    """Resets the maintenance in a forked child, which would renew the leases of its parent's requests for ever."""

    def __init__(self, maintenance: Maintenance) -> None:
        self._maintenance = maintenance
        super().__init__()

    def reset(self) -> None:
        self._maintenance.reset()
