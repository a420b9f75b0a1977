"""The tables `[retries]` and `[breaker]`, and the values of `fallback_on` (docs/routing.md)."""

from typing import Annotated, Literal

from pydantic import Field

from completions_mw.settings.base import SettingsModel
from completions_mw.settings.types import Count, Interval, Ratio, Seconds, Share

FallbackOn = Literal["timeout", "context_length", "content_filter"]
"""Failures after which the next target is asked only where a model's `fallback_on` has them."""


class RetrySettings(SettingsModel):
    """Retries: a target that failed is asked once more if no other target is left, and the failure may pass."""

    attempts: Annotated[Count, Field(le=10)] = 2
    """Times that a target is asked for one request at most; 1 for no retries."""
    max_wait: Annotated[Interval, Field(le=60)] = 5.0
    """Longest wait for another attempt, in seconds. If the upstream advises a longer one, the client gets the advice instead."""
    maybe_billed: bool = False
    """Whether requests are repeated that the provider may bill already, as after a timeout."""
    ratio: Ratio = 0.2
    """Retries of a target at most, as a part of its requests in the last 10 seconds."""
    min_per_second: Annotated[Interval, Field(le=300)] = 10.0
    """Retries of a target each second that are allowed in any case."""


class BreakerSettings(SettingsModel):
    """Circuit breakers: a target that keeps failing is not asked for a while, then by one request, until it answers."""

    enabled: bool = True
    failures: Count = 5
    """Failures in a row, within 10 seconds, that open the breaker of a target."""
    failure_rate: Share = 0.5
    """Part of the requests of the last 10 seconds whose failure opens the breaker too."""
    min_requests: Count = 20
    """Minimum of requests in the last 10 seconds for `failure_rate` to count."""
    reset_timeout: Seconds = 4.0
    """Seconds between the requests that probe a target whose breaker is open."""
