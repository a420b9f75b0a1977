"""The tables `[stores]` and `[connections]`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from completions_mw.settings.base import SettingsModel
from completions_mw.settings.secrets import MEMORY_ADDRESS, AdmissionAddress, CacheAddress, LedgerAddress
from completions_mw.settings.types import Count, Interval, Name, Seconds, Share, file_path


class StoreSettings(SettingsModel):
    """Addresses of the stores and policies for outages (docs/promises.md, Stores that fail). Addresses are secrets: they hold passwords."""

    admission: AdmissionAddress = MEMORY_ADDRESS
    """Store of limits: counters and leases. In memory, each process counts alone."""
    ledger: LedgerAddress | None = None
    """Database of keys, budgets and usage. By default `sqlite:///completions.db` if there is a budget, else none."""
    ledger_timeout: Annotated[Seconds, Field(le=60)] = 0.5
    """Seconds that a call to the ledger may take, from when it is sent, before the ledger counts as down. Reports may take a minute."""
    ledger_queue: Count = 5_000
    """Calls that may wait for the ledger in a process; a request that finds as many is refused as `overloaded`."""
    ledger_wait: Annotated[Seconds, Field(le=60)] = 5.0
    """Seconds for which a request waits until it is its turn at the ledger; then it is refused as `overloaded`."""
    ledger_share: Share = 0.5
    """Part of the places of `ledger_queue` that one caller may have; a request that finds its caller's taken is refused as `overloaded`."""
    cache: CacheAddress = MEMORY_ADDRESS
    """Store of cached answers, if the table `[cache]` or a model enables caching. In memory, each process has its own."""
    namespace: Name = "completions_mw"
    """Prefix of all names in Redis: the same for all workers of an app, and different for each app."""
    strict: bool = False
    """Whether the stores are reached and checked when the gateway is built, and not only at the first request."""
    admission_failure: Literal["local", "closed", "open"] = "local"
    """Policy while the store of limits is down: each process admits its share of the limits, no request is admitted, or all are."""
    workers: Count = 1
    """Processes that share the store of limits. During an outage each of them admits the limit divided by this number."""
    lease_ttl: Annotated[Seconds, Field(ge=1, le=3600)] = 30.0
    """Seconds after which the leases and reservations of a dead worker are released."""
    key_cache: Annotated[Interval, Field(le=5)] = 1.0
    """Seconds for which looked-up keys are cached: the longest time until a revocation takes effect."""
    spool: Annotated[str, AfterValidator(file_path)] | None = None
    """File that keeps settlements during an outage of the ledger, also if the process ends. Relative to the folder of the settings file."""
    retention_days: Annotated[Count, Field(le=36_500)] | None = None
    """Days for which the rows of requests are kept; None for ever."""


class Connections(SettingsModel):
    """Pool of connections to upstreams, one for each process and event loop."""

    max: Count = 100
    """Connections to each upstream."""
    wait: Seconds = 3.0
    """Seconds for which a request waits for a free connection; then it is refused as `overloaded`."""
    share: Share = 0.5
    """Part of the connections, and of `model_threads`, that one caller may have; its further requests wait, and callers that
    wait are served in turn. Where there can be no other caller, with one key and neither a ledger nor a login of the app, it may have
    all."""
    keep_alive: Interval = 4.0
    """Seconds for which an idle connection is kept."""
