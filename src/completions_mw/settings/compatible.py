"""Servers that speak OpenAI's API, one row for each: name, base URL and capabilities.

The settings read the base URLs, the providers read the capabilities.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a service or model supports of OpenAI's API.

    A wire format gets requests that fit these capabilities: `core.dispatch.parameters` refuses the others, or changes them as the setting
    `unsupported_params` says. So each parameter that a wire format does not translate is named in `unsupported`.
    """

    unsupported: frozenset[str] = frozenset()
    """Parameters that the service does not have. If `stream_options` is one, streams are not asked for usage."""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Smallest and largest value of numeric parameters, where the range is narrower than OpenAI's."""
    refused: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Values that the service does not take, by parameter, as `{"tool_choice": {"required"}}`. An object is named by its `type`."""
    max_choices: int | None = None
    """Largest `n`; None for that of OpenAI's API."""
    max_stop: int | None = None
    """Maximum of `stop` sequences; None for that of OpenAI's API."""
    needs_maximum: bool = False
    """Whether each request needs a maximum of completion tokens; it is the model's `max_output_tokens` if the client sets none."""
    max_tokens: str = "max_tokens"
    """Parameter in which the service takes a maximum of completion tokens."""
    developer_role: bool = False
    """Whether the service knows the role `developer`; otherwise such messages are sent as `system`."""
    min_top_k: int = 1
    """Smallest `top_k` that the service takes; a smaller one, which stands for no limit, is left out."""

    def without(self, *names: str) -> "Capabilities":
        """Return these capabilities without the parameters `names`."""
        return replace(self, unsupported=self.unsupported.union(names)) if not self.unsupported.issuperset(names) else self


SAFE_PARAMS: Final = frozenset(
    [
        "add_generation_prompt",
        "cache_prompt",
        "chat_template_kwargs",
        "continue_final_message",
        "documents",
        "dry_allowed_length",
        "dry_base",
        "dry_multiplier",
        "enable_thinking",
        "frequency_penalty_range",
        "grammar",
        "guided_choice",
        "guided_grammar",
        "guided_json",
        "guided_regex",
        "ignore_eos",
        "include_reasoning",
        "include_stop_str_in_output",
        "length_penalty",
        "min_p",
        "min_tokens",
        "mirostat",
        "mirostat_eta",
        "mirostat_tau",
        "mm_processor_kwargs",
        "prompt_mode",
        "random_seed",
        "reasoning",
        "reasoning_format",
        "repeat_last_n",
        "repeat_penalty",
        "repetition_penalty",
        "safe_prompt",
        "separate_reasoning",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "stop_token_ids",
        "structured_outputs",
        "tfs_z",
        "think",
        "thinking",
        "thinking_budget",
        "timings_per_token",
        "top_a",
        "typical_p",
        "xtc_probability",
        "xtc_threshold",
        "content.audio_url",
        "content.input_video",
        "content.video_url",
        "input_audio.format",
        "service_tier",
        "stream_options.chunk_include_usage",
        "stream_options.continuous_usage_stats",
        "tools.type",
    ]
)
"""Parameters of vendors that change only how the model writes. Not among them are those that name other models, addresses, keys or plugins,
or that make an answer cost more, as `models`, `provider`, `plugins`, `fallbacks`, `best_of` and `api_base`."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service that the settings know by its name, by its host or by both."""

    name: str
    """Name of the provider that needs no `base_url`, as in `[providers.groq]`; empty if every customer has a base URL of their own."""
    base_url: str
    """Base URL of the service; without a name, any URL on the domain of the customers' hosts."""
    capabilities: Capabilities = Capabilities()

    def serves(self, base_url: str) -> bool:
        """Return whether `base_url` is on the host of this service or on a subdomain of it, and on its port if the row names one."""
        own, other = urlsplit(self.base_url), urlsplit(base_url)
        return own.port in (None, other.port) and f".{other.hostname}".endswith(f".{own.hostname}")


OPENAI: Final = Service(
    "openai",
    "https://api.openai.com/v1",
    Capabilities(unsupported=frozenset({"top_k"}), max_tokens="max_completion_tokens", developer_role=True),
)
SERVICES: Final = (
    OPENAI,
    # OpenAI's reasoning models refuse `max_tokens`, the older name, which all other services support.
    Service("", "https://openai.azure.com", Capabilities(max_tokens="max_completion_tokens", developer_role=True)),
    Service("cerebras", "https://api.cerebras.ai/v1"),
    Service("deepseek", "https://api.deepseek.com/v1"),
    Service("fireworks", "https://api.fireworks.ai/inference/v1"),
    Service("groq", "https://api.groq.com/openai/v1"),
    Service("lmstudio", "http://localhost:1234/v1"),
    Service("mistral", "https://api.mistral.ai/v1"),
    Service("ollama", "http://localhost:11434/v1"),
    Service("openrouter", "https://openrouter.ai/api/v1"),
    Service("together", "https://api.together.xyz/v1"),
    Service("xai", "https://api.x.ai/v1"),
)
"""Base URLs and differences, from the documentation of each service."""
_OTHERS: Final = Capabilities(min_top_k=-1)
"""Of a server that has no row: all parameters of OpenAI's API, and `top_k`, as vLLM and llama.cpp have them."""


def known_base_url(name: str) -> str:
    """Return the base URL of the service called `name`, else that of OpenAI.

    The case of `name` does not matter, so that the API key of a service is never sent to OpenAI.
    """
    return next((service.base_url for service in SERVICES if service.name and service.name == name.lower()), OPENAI.base_url)


def capabilities_at(base_url: str) -> Capabilities:
    """Return the capabilities of the service at `base_url`."""
    return next((service.capabilities for service in SERVICES if service.serves(base_url)), _OTHERS)


def safe_params_at(base_url: str) -> frozenset[str]:
    """Return the parameters of vendors that requests to `base_url` may have: none at OpenAI and Azure, which refuse them."""
    return frozenset() if capabilities_at(base_url).developer_role else SAFE_PARAMS
