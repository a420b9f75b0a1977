"""The tables `[stores]` and `[connections]`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from completions_mw.settings.base import SettingsModel
from completions_mw.settings.secrets import MEMORY, AdmissionAddress, LedgerAddress
from completions_mw.settings.types import Count, Interval, Name, Seconds, file_path


class StoreSettings(SettingsModel):
    """Where state is kept, and what happens when it is down (docs/promises.md). Addresses are secrets, because they hold passwords."""

    admission: AdmissionAddress = MEMORY
    """Counters and leases. In memory each process has its own."""
    ledger: LedgerAddress | None = None
    """Keys, money and usage. Without one: `sqlite:///completions.db` where there is a budget, else nothing is kept."""
    ledger_timeout: Annotated[Seconds, Field(le=60)] = 0.5
    """Seconds that a call to the ledger may take, with all that it waits for, before it counts as down; reports may take a minute."""
    namespace: Name = "completions_mw"
    """What the names in Redis start with: the same for all workers of an app, another one for another app."""
    strict: bool = False
    """Whether the stores are reached and checked when the gateway is built, instead of at the first request."""
    admission_failure: Literal["local", "closed", "open"] = "local"
    """While the admission store is down: each process has its share of the limits, nobody gets in, or everybody."""
    workers: Count = 1
    """Processes that share the admission store; the share is the limit divided by them."""
    lease_ttl: Annotated[Seconds, Field(ge=1, le=3600)] = 30.0
    """Seconds after which what a dead worker held is free again."""
    key_cache: Annotated[Interval, Field(le=5)] = 1.0
    """Seconds for which a key that was looked up is believed: the longest that a revocation takes."""
    spool: Annotated[str, AfterValidator(file_path)] | None = None
    """A file for settlements that the ledger could not take, so that they outlive the process; relative to the settings' folder."""
    retention_days: Annotated[Count, Field(le=36_500)] | None = None
    """For which rows of requests are kept; for ever by default."""


class Connections(SettingsModel):
    """The connections to upstreams, for each process and event loop."""

    max: Count = 100
    """Connections to each upstream."""
    wait: Seconds = 3.0
    """Seconds for which a request waits for one of them; then it is refused as `overloaded`."""
    keep_alive: Interval = 4.0
    """Seconds for which an idle connection is kept."""
