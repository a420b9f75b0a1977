"""The tables `[keys.<name>]`."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from completions_mw.settings.base import SettingsModel
from completions_mw.settings.limits import Budget, Limits
from completions_mw.settings.secrets import ClientSecret
from completions_mw.settings.types import NOT_EMPTY, Amount, Instant, ModelName, Name, Sha256


class KeySettings(SettingsModel):
    """An API key that clients send. Only the digest of its secret is kept."""

    secret: ClientSecret | None = Field(default=None, exclude=True, repr=False)
    """The secret that clients send. Only read: None once the settings are built."""
    secret_sha256: Sha256 = Field(default="", repr=False)
    """SHA-256 digest of the secret, in hexadecimal and lower case."""
    tenant: Name | None = None
    """Tenant of the key, with which it shares limits and budgets; None for none."""
    models: Annotated[tuple[ModelName, ...], NOT_EMPTY] | None = None
    """Models that the key may use; None for all."""
    expires_at: Instant | None = None
    disabled: bool = False
    limits: Limits = Field(default_factory=Limits)
    budget: Budget | None = None
    max_cost: Amount | None = None
    """USD that one request may cost at most; by default the general `max_cost`."""
    metadata: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _keep_only_the_digest(self) -> Self:
        if (self.secret is None) == (not self.secret_sha256):
            raise ValueError("should have exactly one of `secret` and `secret_sha256`")
        if self.secret is not None:
            digest = hashlib.sha256(self.secret.get_secret_value().encode()).hexdigest()
            # The model is frozen, and the plain secret must not be kept.
            self.__dict__.update(secret=None, secret_sha256=digest)
        return self
