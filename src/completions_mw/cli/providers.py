"""The command `completions-mw providers`."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final, NamedTuple

from completions_mw.cli.options import JsonOption
from completions_mw.cli.output import write_json, write_table
from completions_mw.settings import AnthropicSettings, AzureSettings, BedrockSettings, GeminiSettings, UpstreamSettings
from completions_mw.settings.capabilities import Capabilities
from completions_mw.settings.compatible import SERVICES

_MICROSOFT: Final = "https://learn.microsoft.com/azure/ai-foundry/openai"
_AWS: Final = "https://docs.aws.amazon.com/bedrock/latest/APIReference"


class _Row(NamedTuple):
    """A provider that the settings know."""

    name: str
    """Name of the provider, or value of `api` for one that may have any name."""
    api: str
    base_url: str
    key_variable: str | None
    """Environment variable with the API key of a provider that has no table in the settings; None where a table is needed, or no key."""
    page: str
    capabilities: Capabilities


def providers(as_json: JsonOption = False) -> None:
    """Show the services and APIs that are known; with --json also what they do not take of OpenAI's parameters.

    Reads no settings and calls nobody.
    """
    rows = sorted(_rows())
    if as_json:
        write_json([_document(row) for row in rows])
    else:
        cells = [(row.name, row.api, row.base_url, _key(row)) for row in rows]
        write_table(("name", "api", "address", "key"), cells, whole=("name", "api"))


def not_taken(capabilities: Capabilities) -> list[str]:
    """Return the parameters and values that a service does not take, in words."""
    counts = {"n": capabilities.max_choices, "stop": capabilities.max_stop}
    return [
        # Where a stream cannot be asked for its usage, the usage is estimated.
        *sorted(capabilities.unsupported - {"stream_options"}),
        *(f"{name} above {most}" for name, most in counts.items() if most is not None),
        *(f"{name} {value}" for name, values in sorted(capabilities.refused.items()) for value in sorted(values)),
        *(f"{name} outside {capabilities.range_text(name)}" for name in sorted(capabilities.ranges)),
    ]


def _rows() -> Iterator[_Row]:
    for service in SERVICES:
        if service.name:
            yield _Row(service.name, "openai", service.base_url, service.key_variable, service.page, service.capabilities)
    from completions_mw.providers import anthropic, azure, bedrock, gemini

    # Of the defaults: the settings of a real provider may change what its API supports.
    claude, deployments = AnthropicSettings.model_construct(api="anthropic"), AzureSettings.model_construct(api="azure")
    google, aws = GeminiSettings.model_construct(api="gemini"), BedrockSettings.model_construct(api="bedrock")
    yield _api_row(
        claude, claude.default_base_url(""), "https://platform.claude.com/docs/en/api/messages", anthropic.capabilities_of(claude)
    )
    yield _api_row(deployments, "https://{resource}.openai.azure.com", f"{_MICROSOFT}/reference", azure.capabilities_of(deployments))
    yield _api_row(google, google.default_base_url(""), "https://ai.google.dev/api/generate-content", gemini.capabilities_of(google))
    yield _api_row(aws, "https://bedrock-runtime.{region}.amazonaws.com", f"{_AWS}/API_runtime_Converse.html", bedrock.capabilities_of(aws))


def _api_row(table: UpstreamSettings, base_url: str, page: str, capabilities: Capabilities) -> _Row:
    return _Row(table.api, table.api, base_url, table.key_variable, page, capabilities)


def _key(row: _Row) -> str:
    if row.key_variable is None:
        return "-"
    return f"{row.key_variable} (set)" if os.environ.get(row.key_variable) else row.key_variable


def _document(row: _Row) -> dict[str, Any]:
    capabilities = asdict(row.capabilities)
    return {
        **row._asdict(),
        "key_is_set": row.key_variable is not None and bool(os.environ.get(row.key_variable)),
        "does_not_take": not_taken(row.capabilities),
        "capabilities": {name: _plain(value) for name, value in capabilities.items()},
    }


def _plain(value: object) -> object:
    """Return a value of `Capabilities` as JSON has it, sets in a fixed order."""
    if isinstance(value, frozenset):
        return sorted(value)
    return {name: _plain(item) for name, item in value.items()} if isinstance(value, dict) else value
