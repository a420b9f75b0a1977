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
    """An API key that clients send. Of its secret only the digest is kept."""

    secret: ClientSecret | None = Field(default=None, exclude=True, repr=False)
    """Only read: None once the key is built."""
    secret_sha256: Sha256 = Field(default="", repr=False)
    """In hexadecimal, lower case."""
    tenant: Name = ""
    """The cache and shared limits are scoped by it; the key's own id unless given."""
    models: Annotated[tuple[ModelName, ...], NOT_EMPTY] | None = None
    """The names it may use; None for all."""
    expires_at: Instant | None = None
    disabled: bool = False
    limits: Limits = Field(default_factory=Limits)
    budget: Budget | None = None
    max_cost: Amount | None = None
    """USD that one request may cost at most; the general one by default."""
    metadata: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _keep_only_the_digest(self) -> Self:
        if (self.secret is None) == (not self.secret_sha256):
            raise ValueError("should have exactly one of `secret` and `secret_sha256`")
        if self.secret is not None:
            digest = hashlib.sha256(self.secret.get_secret_value().encode()).hexdigest()
            # Frozen for everybody else: the plain secret must not outlive this line.
            self.__dict__.update(secret=None, secret_sha256=digest)
        return self
