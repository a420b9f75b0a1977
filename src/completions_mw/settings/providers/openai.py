"""The table of a provider that speaks OpenAI's API."""

from typing import ClassVar, Literal

from completions_mw.settings.compatible import OPENAI, address_of, resembles_service, safe_params_at, service_at, service_named
from completions_mw.settings.providers.base import UpstreamSettings
from completions_mw.settings.types import Identifier


class OpenAISettings(UpstreamSettings):
    """A provider that speaks OpenAI's chat completions API: OpenAI itself, and every compatible server."""

    own_headers: ClassVar = frozenset({"openai-organization", "openai-project"})

    api: Literal["openai"]
    stream_options: bool = True
    """Whether streams are asked for their usage with `stream_options`, which some servers refuse."""
    organization: Identifier | None = None
    project: Identifier | None = None

    def default_base_url(self, name: str) -> str:
        """Return the base URL of the known service called `name`, else that of OpenAI.

        Raises:
            ValidationError: the name is like that of another service, or the service has no one address.
        """
        try:
            service = service_named(name)
            if service is None and resembles_service(name):
                raise ValueError("is missing, and the provider's name is like that of a service other than OpenAI")
            return address_of(service or OPENAI)
        except ValueError as error:
            raise self.fault(name, "base_url", str(error)) from None

    @property
    def lacks_key(self) -> bool:
        """Whether requests go to a service that needs a key, and have none."""
        service = service_at(self.base_url)
        return service is not None and service.needs_key and self.has_no_credentials

    @property
    def safe_params(self) -> frozenset[str]:
        """Parameters of vendors that change only how the model writes; none at OpenAI and Azure, which refuse them."""
        return safe_params_at(self.base_url)
