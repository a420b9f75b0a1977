"""Services and servers that speak OpenAI's API, one row for each: name, address, key and what they support.

A row says what the page of the service says that it names. Parameters that only some models of a service ignore are not in it.
"""

import os
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from completions_mw.settings.capabilities import Capabilities
from completions_mw.settings.safe_params import SAFE_PARAMS
from completions_mw.settings.types import base_url as checked_url

_ALL: Final = Capabilities()
_variable: Final = re.compile(r"\{([A-Z_]+)\}")


@dataclass(frozen=True, slots=True)
class Service:
    """A service that the settings know by its name, by its host or by both."""

    name: str
    """Name of the provider that needs no `base_url`, as in `[providers.groq]`; empty for an address that is known by its host only."""
    base_url: str
    """Base URL of the service, in which `{NAME}` stands for an environment variable; without a name, any URL on the domain of the hosts."""
    page: str
    """Page of the service's documentation that the row is from."""
    key_variable: str | None = None
    """Environment variable with the API key of a provider that has no table in the settings; None for a service without keys."""
    key_is_optional: bool = False
    """Whether the service works without a key: a server of one's own."""
    capabilities: Capabilities = _ALL

    @property
    def needs_key(self) -> bool:
        """Whether the service refuses requests without a key."""
        return self.key_variable is not None and not self.key_is_optional

    def serves(self, base_url: str) -> bool:
        """Return whether `base_url` is on the host of this service or on a subdomain of it, and on its port if the row names one."""
        if self.base_url.startswith("{"):
            return False
        own, other = urlsplit(self.base_url), urlsplit(base_url)
        return own.port in (None, other.port) and f".{other.hostname}".endswith(f".{own.hostname}")


def _without(*unsupported: str, **more: Any) -> Capabilities:
    """Return the capabilities of a service that does not support some parameters."""
    return Capabilities(unsupported=frozenset(unsupported), **more)


_MODERN: Final = _without("top_k", max_tokens="max_completion_tokens", developer_role=True, takes_additions=False)
"""Of OpenAI, whose reasoning models refuse `max_tokens`, the older name, which all other services support."""
_ANY_TOP_K: Final = Capabilities(min_top_k=-1)
"""Of servers that take all parameters of OpenAI's API, and `top_k` as vLLM and llama.cpp have it. Also of a server that has no row."""
_TOGETHER: Final = _without("logprobs", "top_logprobs")
"""Its `logprobs` is a number, and what it answers has another form than OpenAI's."""

OPENAI: Final = Service(
    "openai", "https://api.openai.com/v1", "https://platform.openai.com/docs/api-reference/chat", "OPENAI_API_KEY", capabilities=_MODERN
)
SERVICES: Final = (
    OPENAI,
    Service("", "https://openai.azure.com", "https://learn.microsoft.com/azure/ai-foundry/openai/reference", capabilities=_MODERN),
    Service(
        "cerebras",
        "https://api.cerebras.ai/v1",
        "https://inference-docs.cerebras.ai/resources/openai",
        "CEREBRAS_API_KEY",
        capabilities=_without(
            "frequency_penalty", "logit_bias", "parallel_tool_calls", "presence_penalty", "service_tier", takes_additions=False
        ),
    ),
    Service(
        "cloudflare",
        "https://api.cloudflare.com/client/v4/accounts/{CLOUDFLARE_ACCOUNT_ID}/ai/v1",
        "https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility",
        "CLOUDFLARE_API_KEY",
    ),
    Service(
        "cohere",
        "https://api.cohere.ai/compatibility/v1",
        "https://docs.cohere.com/docs/compatibility-api",
        "COHERE_API_KEY",
        capabilities=_without(
            "audio",
            "logit_bias",
            "logprobs",
            "metadata",
            "modalities",
            "parallel_tool_calls",
            "prediction",
            "service_tier",
            "store",
            "top_logprobs",
            refused={"reasoning_effort": frozenset({"minimal", "low", "medium", "xhigh"})},
            max_choices=1,
        ),
    ),
    Service(
        "databricks",
        "{DATABRICKS_HOST}/serving-endpoints",
        "https://docs.databricks.com/machine-learning/foundation-model-apis/api-reference",
        "DATABRICKS_TOKEN",
    ),
    Service(
        "deepseek",
        "https://api.deepseek.com/v1",
        "https://api-docs.deepseek.com/api/create-chat-completion",
        "DEEPSEEK_API_KEY",
        capabilities=_without(
            "logit_bias",
            "seed",
            "top_k",
            refused={"response_format": frozenset({"json_schema"})},
            max_choices=1,
        ),
    ),
    Service(
        "fireworks",
        "https://api.fireworks.ai/inference/v1",
        "https://docs.fireworks.ai/tools-sdks/openai-compatibility",
        "FIREWORKS_API_KEY",
    ),
    Service(
        "groq",
        "https://api.groq.com/openai/v1",
        "https://console.groq.com/docs/openai",
        "GROQ_API_KEY",
        capabilities=_without("logit_bias", "logprobs", "top_logprobs", max_choices=1, takes_additions=False),
    ),
    Service("huggingface", "https://router.huggingface.co/v1", "https://huggingface.co/docs/inference-providers", "HF_TOKEN"),
    Service(
        "litellm",
        "http://localhost:4000/v1",
        "https://docs.litellm.ai/docs/proxy/user_keys",
        "LITELLM_API_KEY",
        key_is_optional=True,
    ),
    Service(
        "llama.cpp",
        "http://localhost:8080/v1",
        "https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
        "LLAMA_API_KEY",
        key_is_optional=True,
        capabilities=_ANY_TOP_K,
    ),
    Service(
        "lmstudio",
        "http://localhost:1234/v1",
        "https://lmstudio.ai/docs/developer/openai-compat",
        "LM_API_TOKEN",
        key_is_optional=True,
    ),
    Service(
        "mistral",
        "https://api.mistral.ai/v1",
        "https://docs.mistral.ai/api/endpoint/chat",
        "MISTRAL_API_KEY",
        capabilities=_without(
            "audio",
            "function_call",
            "functions",
            "logit_bias",
            "logprobs",
            "modalities",
            "service_tier",
            "store",
            "stream_options",
            "top_k",
            "top_logprobs",
            "user",
            "verbosity",
            "web_search_options",
            ranges={"temperature": (0, 1.5)},
            renamed={"seed": "random_seed"},
            takes_additions=False,
        ),
    ),
    Service("nvidia", "https://integrate.api.nvidia.com/v1", "https://docs.api.nvidia.com/nim/reference/llm-apis", "NVIDIA_API_KEY"),
    Service(
        "ollama",
        "http://localhost:11434/v1",
        "https://docs.ollama.com/api/openai-compatibility",
        "OLLAMA_API_KEY",
        key_is_optional=True,
        capabilities=_without("logit_bias", "tool_choice", "top_k", "user", max_choices=1),
    ),
    Service("openrouter", "https://openrouter.ai/api/v1", "https://openrouter.ai/docs/api-reference/parameters", "OPENROUTER_API_KEY"),
    Service(
        "perplexity",
        "https://api.perplexity.ai",
        "https://docs.perplexity.ai/docs/sonar/openai-compatibility",
        "PERPLEXITY_API_KEY",
        capabilities=_without("logit_bias", "logprobs", "seed", "top_logprobs", max_choices=1),
    ),
    Service("sglang", "http://localhost:30000/v1", "https://docs.sglang.ai/basic_usage/openai_api_completions", capabilities=_ANY_TOP_K),
    Service(
        "together",
        "https://api.together.xyz/v1",
        "https://docs.together.ai/docs/inference/openai-compatibility",
        "TOGETHER_API_KEY",
        capabilities=_TOGETHER,
    ),
    Service("", "https://api.together.ai", "https://docs.together.ai/docs/inference/openai-compatibility", capabilities=_TOGETHER),
    Service(
        "vllm",
        "http://localhost:8000/v1",
        "https://docs.vllm.ai/en/latest/serving/openai_compatible_server",
        "VLLM_API_KEY",
        key_is_optional=True,
        capabilities=_ANY_TOP_K,
    ),
    Service(
        "xai",
        "https://api.x.ai/v1",
        "https://docs.x.ai/docs/api-reference",
        "XAI_API_KEY",
        capabilities=_without("logit_bias", "top_k"),
    ),
)
_NAMED: Final = {service.name: service for service in SERVICES if service.name}


def service_named(name: str) -> Service | None:
    """Return the service called `name`, in any case: the API key of a service is never sent to another one."""
    return _NAMED.get(name.lower())


def resembles_service(name: str) -> bool:
    """Return whether `name` has the name of a service in it, as `groq-eu` and `my_mistral`, so that it is hardly meant for OpenAI."""
    return bool(_NAMED.keys() & set(re.split(r"[-_.]", name.lower())) - {OPENAI.name})


def address_of(service: Service) -> str:
    """Return the base URL of a service, with the environment variables in it.

    Raises:
        ValueError: a variable is not set, or they make no URL. The text goes on after the name of the field `base_url`.
    """
    missing = [name for name in _variable.findall(service.base_url) if not os.environ.get(name)]
    if missing:
        raise ValueError(f"is missing, and the environment variable {missing[0]} is not set")
    try:
        return checked_url(_variable.sub(lambda found: os.environ[found[1]].rstrip("/"), service.base_url))
    except ValueError as error:
        raise ValueError(f"is missing, and {service.base_url} {error}") from None


def service_at(base_url: str) -> Service | None:
    """Return the service that has a host at `base_url`; None for any other server."""
    return next((service for service in SERVICES if service.serves(base_url)), None)


def capabilities_at(base_url: str) -> Capabilities:
    """Return the capabilities of the service at `base_url`."""
    service = service_at(base_url)
    return _ANY_TOP_K if service is None else service.capabilities


def safe_params_at(base_url: str) -> frozenset[str]:
    """Return the parameters of vendors that requests to `base_url` may have: none at OpenAI and Azure, which refuse them."""
    return frozenset() if capabilities_at(base_url).developer_role else SAFE_PARAMS
