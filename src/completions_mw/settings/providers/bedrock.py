"""The table of a provider that speaks to the models of Amazon Bedrock."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator

from completions_mw.settings.providers.base import AwsSignature, TimeoutSettings, UpstreamSettings
from completions_mw.settings.types import Identifier, matching

Region = Annotated[str, AfterValidator(matching(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}", "an AWS region such as `eu-central-1`"))]


class BedrockSettings(UpstreamSettings):
    """A provider that speaks Bedrock's Converse API (docs/providers/bedrock.md).

    With an `api_key`, requests have it as a bearer token. Without one they are signed, with the credentials that botocore finds.
    """

    own_headers: ClassVar = frozenset({"x-amz-date", "x-amz-security-token"})

    api: Literal["bedrock"]
    region: Region
    """AWS region, such as `eu-central-1`."""
    profile: Identifier | None = None
    """Profile in AWS' configuration files with the credentials; by default botocore's choice."""

    def completed(self, name: str, general: TimeoutSettings) -> Self:
        """Return this table with its base URL and timeouts filled in.

        Args:
            name: the provider's name in the settings.
            general: the timeouts of all providers.

        Raises:
            ValidationError: there is a profile, whose credentials are of no use beside an API key.
        """
        if self.profile is not None and self.signature is None:
            raise self.fault(name, "profile", "is not used by a provider with an `api_key`")
        return super().completed(name, general)

    def default_base_url(self, name: str) -> str:
        """Return the base URL of the region."""
        return f"https://bedrock-runtime.{self.region}.amazonaws.com"

    @property
    def signature(self) -> AwsSignature | None:
        """How requests are signed; None for a provider with an API key."""
        has_key = self.api_key is not None or self.api_keys
        return None if has_key else AwsSignature("bedrock", self.region, self.profile)
