"""The table of a provider at Azure OpenAI."""

import os
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator

from completions_mw.settings.providers.base import UpstreamSettings
from completions_mw.settings.types import base_url, matching

_ENDPOINT: Final = "AZURE_OPENAI_ENDPOINT"

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
    key_variable: ClassVar = "AZURE_OPENAI_API_KEY"

    api: Literal["azure"]
    resource: Resource | None = None
    """Name of the resource, in place of the `base_url` `https://{resource}.openai.azure.com`. Without either, the address comes from the
    environment variable `AZURE_OPENAI_ENDPOINT`, as for Microsoft's own tools."""
    api_version: ApiVersion = "v1"
    """Version of the API: `v1`, which needs no date, `preview` for its previews, or a date, with which each deployment has its own path."""

    def default_base_url(self, name: str) -> str:
        """Return the base URL of the resource.

        Raises:
            ValidationError: neither the settings nor the environment name one.
        """
        if self.resource is not None:
            return f"https://{self.resource}.openai.azure.com"
        try:
            return base_url(os.environ.get(_ENDPOINT, ""))
        except ValueError as error:
            text = f"is missing, and the environment variable {_ENDPOINT} {error if os.environ.get(_ENDPOINT) else 'is not set'}"
            raise self.fault(name, "resource", text) from None
