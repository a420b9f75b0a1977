"""What an upstream supports of OpenAI's API."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


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
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Names at the service of parameters that it calls otherwise than OpenAI, as `{"seed": "random_seed"}`."""
    developer_role: bool = False
    """Whether the service knows the role `developer`; otherwise such messages are sent as `system`."""
    takes_additions: bool = True
    """Whether the service takes members of messages that OpenAI's API does not have, as the thoughts of other vendors' models; otherwise
    they are left out."""
    min_top_k: int = 1
    """Smallest `top_k` that the service takes; a smaller one, which stands for no limit, is left out."""

    def range_text(self, name: str) -> str:
        """Return the range of a parameter in words, as `0 to 1.5`."""
        low, high = self.ranges[name]
        # 15 digits: whole numbers of 32 bits stay whole.
        return f"{low:.15g} to {high:.15g}"

    def without(self, *names: str) -> "Capabilities":
        """Return these capabilities without the parameters `names`."""
        return replace(self, unsupported=self.unsupported.union(names)) if not self.unsupported.issuperset(names) else self
