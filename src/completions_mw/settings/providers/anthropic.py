"""The table of a provider that speaks Anthropic's Messages API."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator

from completions_mw.settings.providers.base import UpstreamSettings
from completions_mw.settings.types import matching

Version = Annotated[str, AfterValidator(matching(r"\d{4}-\d{2}-\d{2}", "a version of the API, such as 2026-10-21"))]


class AnthropicSettings(UpstreamSettings):
    """A provider that speaks Anthropic's Messages API: Anthropic itself, and servers that have it beside OpenAI's."""

    own_headers: ClassVar = frozenset({"x-api-key", "anthropic-version"})
    key_variable: ClassVar = "ANTHROPIC_API_KEY"

    api: Literal["anthropic"]
    auth: Literal["x-api-key", "bearer"] = "x-api-key"
    """How the API key is sent: in the header `x-api-key`, or as a bearer token, which access tokens and some gateways need."""
    version: Version = "2026-10-21"
    """Version of the API. Up to `2023-06-01` it has `temperature`, `top_p` and `top_k`, which models since Claude 4.7 refuse."""

    def default_base_url(self, name: str) -> str:
        """Return the base URL of Anthropic's own API."""
        return "https://api.anthropic.com/v1"
