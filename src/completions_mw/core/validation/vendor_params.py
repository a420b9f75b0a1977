"""Parameters that OpenAI's API does not have: who takes them, and what happens to them (docs/contract.md, Requests)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from completions_mw.schemas.parameters import StreamOptions
from completions_mw.schemas.request import ChatRequest

UnknownParams = Literal["reject", "forward", "ignore"]
"""Treatment of fields that OpenAI's API does not have (docs/contract.md, Requests)."""

_PART_TYPES: Final = frozenset({"text", "image_url", "input_audio", "file", "refusal"})
_AUDIO_FORMATS: Final = frozenset({"wav", "mp3"})
_TOOL_TYPES: Final = frozenset({"function", "custom"})
_SERVICE_TIERS: Final = frozenset({"auto", "default", "fast", "flex", "priority", "scale"})
_VENDORS_TIERS: Final = frozenset({"on_demand", "performance"})
"""Service tiers of Groq."""
_NO_TEXT: Final = {"type": "text", "text": ""}


@dataclass(frozen=True, slots=True)
class ParamPolicy:
    """What happens to the parameters of one model's requests that OpenAI's API does not have."""

    unknown: UnknownParams = "reject"
    forwarded: frozenset[str] = frozenset()
    """Names that are forwarded whatever `unknown` says. Parts of parameters have a path, as `stream_options.continuous_usage_stats`."""

    def forwards(self, name: str) -> bool:
        """Return whether the parameter or part of one goes to the target."""
        return self.unknown == "forward" or name in self.forwarded


ParamPolicies = Callable[[str], ParamPolicy]
"""Function from the name of a model to its policy."""
REJECT: Final = ParamPolicy()


def hint(name: str) -> str:
    """Return what helps a developer who has sent a parameter of another vendor; empty for a name that nobody knows."""
    who = _VENDORS.get(name)
    return f" (HINT: {who} takes it. The operator of this server can forward it to such a provider with 'forward_params'.)" if who else ""


_VENDORS: Final = {
    name: who
    for who, names in {
        "vLLM": "best_of use_beam_search min_tokens stop_token_ids ignore_eos length_penalty skip_special_tokens guided_json guided_regex "
        "guided_choice guided_grammar structured_outputs chat_template chat_template_kwargs add_generation_prompt continue_final_message "
        "documents include_stop_str_in_output prompt_logprobs truncate_prompt_tokens mm_processor_kwargs spaces_between_special_tokens",
        "vLLM, SGLang or llama.cpp": "min_p repetition_penalty",
        "llama.cpp": "cache_prompt grammar id_slot mirostat mirostat_eta mirostat_tau n_probs repeat_penalty samplers timings_per_token "
        "typical_p tfs_z dry_multiplier xtc_probability reasoning_format",
        "SGLang": "regex ebnf separate_reasoning stream_reasoning",
        "Ollama": "options keep_alive format think",
        "OpenRouter": "models plugins provider transforms route include_reasoning top_a fallbacks",
        "Groq": "search_settings compound_custom exclude_domains include_domains",
        "Mistral": "safe_prompt random_seed prompt_mode",
        "DeepSeek or Anthropic": "thinking",
        "Qwen": "enable_thinking thinking_budget enable_search",
        "xAI": "search_parameters deferred",
        "Cerebras or Fireworks": "disable_reasoning prompt_truncate_len context_length_exceeded_behavior",
    }.items()
    for name in names.split()
}


def for_validation(fields: Mapping[str, Any], policy: ParamPolicy) -> dict[str, Any]:
    """Return fields without the vendors' own values in OpenAI's parameters that the policy forwards, so that the rest can be validated."""
    known = dict(fields)
    if isinstance(options := known.get("stream_options"), dict):
        known["stream_options"] = {
            name: value
            for name, value in options.items()
            if name in StreamOptions.model_fields or not policy.forwards(f"stream_options.{name}")
        }
    if isinstance(messages := known.get("messages"), list):
        known["messages"] = [_known_parts(message, policy) for message in messages]
    if isinstance(tools := known.get("tools"), list) and policy.forwards("tools.type"):
        known["tools"] = [tool for tool in tools if not _is_other(tool, "type", _TOOL_TYPES)]
        if not known["tools"] and tools:
            del known["tools"]
            if _is_choice(known.get("tool_choice")):
                del known["tool_choice"]
    if _forwards_tier(known.get("service_tier"), policy):
        del known["service_tier"]
    return known


def _is_choice(value: object) -> bool:
    """Return whether a value may be a vendor's choice of its own tools: a word, or an object with a type."""
    return isinstance(value, str) or (isinstance(value, dict) and isinstance(value.get("type"), str))


def _forwards_tier(tier: object, policy: ParamPolicy) -> bool:
    if not isinstance(tier, str) or tier in _SERVICE_TIERS:
        return False
    return policy.unknown == "forward" or (tier in _VENDORS_TIERS and policy.forwards("service_tier"))


def without_ignored(fields: dict[str, Any], policy: ParamPolicy) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return fields without those that OpenAI's API does not have and the policy does not forward, and the names of these."""
    ignored = [name for name in fields if name not in ChatRequest.model_fields and not policy.forwards(name)]
    kept = {name: value for name, value in fields.items() if name not in ignored}
    if isinstance(options := kept.get("stream_options"), dict):
        unknown = [name for name in options if name not in StreamOptions.model_fields and not policy.forwards(f"stream_options.{name}")]
        ignored += [f"stream_options.{name}" for name in unknown]
        kept["stream_options"] = {name: value for name, value in options.items() if name not in unknown} if unknown else options
    return kept, tuple(ignored)


def _known_parts(message: Any, policy: ParamPolicy) -> Any:
    content = message.get("content") if isinstance(message, dict) else None
    return {**message, "content": [_known_part(part, policy) for part in content]} if isinstance(content, list) else message


def _known_part(part: Any, policy: ParamPolicy) -> Any:
    if _is_other(part, "type", _PART_TYPES):
        return _NO_TEXT if policy.forwards(f"content.{part['type']}") else part
    audio: Any = part.get("input_audio") if isinstance(part, dict) else None
    if _is_other(audio, "format", _AUDIO_FORMATS) and policy.forwards("input_audio.format"):
        return {**part, "input_audio": {**audio, "format": "wav"}}
    return part


def _is_other(value: Any, name: str, known: frozenset[str]) -> bool:
    """Return whether the member `name` of an object is a string that OpenAI does not know."""
    return isinstance(value, dict) and isinstance(found := value.get(name), str) and found not in known
