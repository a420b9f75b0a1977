"""The tables `[cache]` and `[models.<name>.cache]`."""

from typing import Annotated, Literal

from pydantic import Field

from completions_mw.settings.base import SettingsModel
from completions_mw.settings.types import Count, Interval, LifeTime, Seconds

When = Literal["deterministic", "always", "asked"]
"""Requests that are cached: those with temperature 0 or a seed, all, or those whose client asks by `Cache-Control: max-age`."""
Scope = Literal["tenant", "key", "global"]
"""Who shares answers: the callers of a tenant, each key or caller only with itself, or all callers."""


class CacheSettings(SettingsModel):
    """Caching of answers to identical requests (docs/caching.md)."""

    enabled: bool = False
    """Whether answers are cached, except those of Python functions, each of which is enabled by itself."""
    ttl: LifeTime = 300.0
    """Seconds for which an answer is served from the cache."""
    when: When = "deterministic"
    """Requests that are cached: `deterministic` (temperature 0 or a seed), `always`, or `asked` (by `Cache-Control: max-age=N`)."""
    scope: Scope = "tenant"
    """Who shares answers: the callers of a `tenant`, each `key` or caller only with itself, or all callers (`global`)."""
    truncated: bool = False
    """Whether answers that ended at their maximum of tokens (`finish_reason` is `length`) are cached."""
    charge_hits: bool = False
    """Whether a cached answer is charged tokens and money like a new one. It always counts against limits on requests."""
    max_entry_bytes: Count = 1_048_576
    """Bytes that a cached answer may have, in both of its forms together. A larger answer is not cached."""
    memory_bytes: Count = 67_108_864
    """Bytes of memory that cached answers may take in each process; the answers that were used least recently are dropped."""
    memory_ttl: Interval = 0.0
    """Seconds for which answers from Redis are also kept in memory, without asking Redis again; 0 for never."""
    compress_above: Annotated[int, Field(ge=0, le=2**31 - 1)] = 2048
    """Bytes above which an answer is compressed in Redis."""
    max_followers: Annotated[int, Field(ge=0, le=1_000_000)] = 1000
    """Requests that may wait in one process for the answer to an identical one. Further ones are sent to the upstream."""
    max_wait: Seconds = 600.0
    """Seconds for which a request waits for the answer to an identical one to begin, which a whole answer does at its end. Then it is sent
    to the upstream, as all that have waited so long; by default the time that an answer may take at all."""
    lease_ttl: Annotated[Seconds, Field(ge=1, le=300)] = 5.0
    """Seconds after which another process takes over from a dead one that was asking an upstream. Needs Redis."""


class ModelCacheSettings(SettingsModel):
    """Caching of a model's answers, where it differs from the table `[cache]`."""

    enabled: bool | None = None
    """Whether the model's answers are cached; None for the `enabled` of `[cache]`, which does not include Python functions."""
    ttl: LifeTime | None = None
    """Seconds for which an answer is served from the cache."""
    when: When | None = None
    """Requests that are cached."""
    scope: Scope | None = None
    """Who shares answers."""
    truncated: bool | None = None
    """Whether answers that ended at their maximum of tokens are cached."""
    charge_hits: bool | None = None
    """Whether a cached answer is charged tokens and money like a new one."""
    max_entry_bytes: Count | None = None
    """Bytes that a cached answer may have."""
