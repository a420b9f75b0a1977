"""The table of a provider that speaks Google's Gemini API."""

from typing import ClassVar, Literal

from completions_mw.settings.providers.base import UpstreamSettings


class GeminiSettings(UpstreamSettings):
    """A provider that speaks the Gemini API (docs/providers/gemini.md)."""

    own_headers: ClassVar = frozenset({"x-goog-api-key"})
    key_variable: ClassVar = "GEMINI_API_KEY"

    api: Literal["gemini"]

    def default_base_url(self, name: str) -> str:
        """Return the base URL of the API with its version."""
        return "https://generativelanguage.googleapis.com/v1beta"
