"""The table of a provider that speaks to the models of Amazon Bedrock."""

import os
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator

from completions_mw.settings.providers.base import AwsSignature, TimeoutSettings, UpstreamSettings
from completions_mw.settings.types import Identifier, matching

_checked_region: Final = matching(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}", "an AWS region such as `eu-central-1`")
_VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")


class BedrockSettings(UpstreamSettings):
    """A provider that speaks Bedrock's Converse API (docs/providers/bedrock.md).

    With an `api_key`, requests have it as a bearer token. Without one they are signed, with the credentials that botocore finds.
    """

    own_headers: ClassVar = frozenset({"x-amz-date", "x-amz-security-token"})
    key_variable: ClassVar = "AWS_BEARER_TOKEN_BEDROCK"
    key_is_optional: ClassVar = True

    api: Literal["bedrock"]
    region: Annotated[str, AfterValidator(_checked_region)] = ""
    """AWS region, such as `eu-central-1`; by default that of the environment, as AWS' own tools have it. Never empty once the settings are
    built."""
    profile: Identifier | None = None
    """Profile in AWS' configuration files with the credentials; by default botocore's choice."""

    def completed(self, name: str, general: TimeoutSettings) -> Self:
        """Return this table with its region, base URL and timeouts filled in.

        Args:
            name: the provider's name in the settings.
            general: the timeouts of all providers.

        Raises:
            ValidationError: there is no region; or a profile, whose credentials are of no use beside an API key.
        """
        if self.profile is not None and self.signature is None:
            raise self.fault(name, "profile", "is not used by a provider with an `api_key`")
        regions = [self.region, *(os.environ.get(variable) for variable in _VARIABLES)]
        try:
            found = _checked_region(next(filter(None, regions), ""))
        except ValueError as error:
            raise self.fault(name, "region", f"{error}, here or in the environment variable {_VARIABLES[0]}") from None
        return super(BedrockSettings, self.model_copy(update={"region": found})).completed(name, general)

    def default_base_url(self, name: str) -> str:
        """Return the base URL of the region."""
        return f"https://bedrock-runtime.{self.region}.amazonaws.com"

    @property
    def signature(self) -> AwsSignature | None:
        """How requests are signed; None for a provider with an API key."""
        has_key = self.api_key is not None or self.api_keys
        return None if has_key else AwsSignature("bedrock", self.region, self.profile)
