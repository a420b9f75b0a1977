"""The table of a provider at Azure OpenAI."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator

from completions_mw.settings.providers.base import UpstreamSettings
from completions_mw.settings.types import matching

ApiVersion = Annotated[
    str, AfterValidator(matching(r"v1|preview|\d{4}-\d{2}-\d{2}(-preview)?", "v1, preview, or a version such as 2024-10-21"))
]
Resource = Annotated[
    str, AfterValidator(matching(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", "the name of a resource: letters, digits and `-`"))
]


class AzureSettings(UpstreamSettings):
    """A provider at Azure OpenAI in Microsoft Foundry. The models of its targets are the names of deployments.

    A token of Microsoft Entra ID in place of the API key comes from the option `credentials` of the gateway (docs/providers/azure.md).
    """

    own_headers: ClassVar = frozenset({"api-key"})

    api: Literal["azure"]
    resource: Resource | None = None
    """Name of the resource, in place of the `base_url` `https://{resource}.openai.azure.com`."""
    api_version: ApiVersion = "v1"
    """Version of the API: `v1`, which needs no date, `preview` for its previews, or a date, with which each deployment has its own path."""

    @property
    def lacks_key(self) -> bool:
        """Whether requests have no API key. A token of Entra ID comes from outside the settings."""
        return self.has_no_credentials

    def default_base_url(self, name: str) -> str:
        """Return the base URL of the resource.

        Raises:
            ValidationError: the settings name no resource.
        """
        if self.resource is None:
            raise self.fault(name, "resource", "is missing, and there is no `base_url`")
        return f"https://{self.resource}.openai.azure.com"
