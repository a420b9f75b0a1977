"""The caching policy of a model: which requests may be answered from the cache, and which answers are stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from completions_mw.core.cache.directives import CacheControl
from completions_mw.core.cache.key import content_of, digest_of, model_prefix
from completions_mw.core.cache.known import KnownRequest
from completions_mw.core.cache.scopes import Sharing, sharing_label
from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.keys.caller import Caller
from completions_mw.core.ports import CacheKey, FoundAnswer
from completions_mw.core.validation.valid_request import ValidRequest
from completions_mw.settings import CacheSettings, ModelCacheSettings, When

COMPLETE_REASONS: Final = frozenset({"stop", "tool_calls"})
"""Reasons with which a complete answer ends."""
TRUNCATED_REASONS: Final = COMPLETE_REASONS | {"length"}


@dataclass(frozen=True, slots=True)
class CachePlan:
    """What the cache may do for one request."""

    key: CacheKey
    policy: "CachePolicy"
    control: CacheControl

    def accepts(self, found: FoundAnswer) -> bool:
        """Return whether the client accepts a stored answer of this age."""
        return self.control.max_age is None or found.age_ms <= self.control.max_age * 1000


@dataclass(frozen=True, slots=True, eq=False)
class CachePolicy:
    """Which requests for one model may be answered from the cache, and which answers are stored."""

    model: str
    """Model name that clients send."""
    prefix: bytes
    """Part of a key that all requests for the model share."""
    ttl_ms: int
    when: When
    sharing: Sharing
    charge_hits: bool
    """Whether a stored answer is charged like a new one."""
    max_bytes: int
    """Maximum of bytes of a stored answer."""
    reasons: frozenset[str]
    """Values of `finish_reason` with which every choice of a stored answer ended."""

    def plan(self, request: ValidRequest | KnownRequest, caller: Caller | None, control: CacheControl, cap: int | None) -> CachePlan | None:
        """Return the plan of a request; None if the cache may not be used for it.

        Args:
            request: the request.
            caller: the caller; None for the host app itself.
            control: what the client wants of the cache.
            cap: maximum of completion tokens that the gateway sets for the upstream; None where it sets none.
        """
        is_covered = self.when == "always" or (control.asks if self.when == "asked" else request.is_deterministic)
        if control.no_store or not is_covered:
            return None
        content = request.content if isinstance(request, KnownRequest) else content_of(request.fields)
        return _plan_of(self, control, sharing_label(caller, self.sharing), content, cap)

    def stores(self, reasons: Sequence[str | None], n: int) -> bool:
        """Return whether an answer is complete, so that it may be stored.

        Args:
            reasons: `finish_reason` of each choice of the answer.
            n: number of choices that were asked for.
        """
        return len(reasons) == n and self.reasons.issuperset(reasons)


@lru_cache(maxsize=4096)
def _plan_of(policy: CachePolicy, control: CacheControl, scope: str, content: bytes, cap: int | None) -> CachePlan:
    """Return a plan; the same one for equal requests of a scope, since requests that are worth caching come again."""
    return CachePlan(CacheKey(digest_of(policy.prefix, scope, content, cap), scope, policy.model), policy, control)


def policy_of(general: CacheSettings, own: ModelCacheSettings, model: CatalogModel, *, is_function: bool) -> CachePolicy | None:
    """Return the caching policy of a model; None if its answers are not cached.

    Args:
        general: the table `[cache]`.
        own: the table of the model.
        model: the model.
        is_function: whether the model is a Python function, which may answer each caller differently.
    """
    is_enabled = general.enabled and not is_function if own.enabled is None else own.enabled
    if not is_enabled:
        return None
    merged = general.model_copy(update={name: value for name, value in own if value is not None})
    return CachePolicy(
        model.name,
        model_prefix(model.name, (f"{target.name} {target.variant}" for target in model.targets)),
        int(merged.ttl * 1000),
        merged.when,
        merged.scope,
        merged.charge_hits,
        merged.max_entry_bytes,
        TRUNCATED_REASONS if merged.truncated else COMPLETE_REASONS,
    )
