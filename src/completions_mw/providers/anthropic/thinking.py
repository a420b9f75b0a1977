"""How much a model thinks, which each generation of Claude takes in another form.

Sources: https://platform.claude.com/docs/en/build-with-claude/thinking, which lists what each model takes under "Troubleshooting", and
https://platform.claude.com/docs/en/build-with-claude/effort.
"""

import re
from typing import Any, Final

from completions_mw.providers.untranslatable import untranslatable

_EFFORTS: Final = {"minimal": "low"}
"""Efforts of OpenAI's API that Anthropic's does not have."""
_SHARES: Final = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.9, "max": 0.95}
"""Parts of the maximum of tokens that thoughts may have, where a model takes a budget instead of an effort."""
_MIN_BUDGET: Final = 1024
"""Tokens that a budget must have at least."""
_has_budget: Final = re.compile(r"^(?!.*claude)|claude-[123](?!\d)|claude-instant|-4-[015](?!\d)|-4(@|-20|$)").search
"""Matches models before Claude 4.6, and models of other vendors, whose servers know the older form."""
_is_always_on: Final = re.compile(r"opus-5-5|fable|mythos").search
_is_between_tools: Final = re.compile(r"sonnet-5-5").search


def thinking_members(model: str, effort: str, max_tokens: int) -> dict[str, Any]:
    """Return the members of a request that say how much a model should think.

    Args:
        model: name of the model.
        effort: `reasoning_effort` of OpenAI's API.
        max_tokens: maximum of tokens of the answer, of which thoughts are a part.

    Raises:
        InvalidRequestError: the model does not take this effort.
    """
    if effort == "none":
        if _is_always_on(model):
            raise untranslatable("reasoning_effort", "lets this model think always: 'low' is the least")
        return {"thinking": {"type": "between_tools" if _is_between_tools(model) else "disabled"}}
    if not _has_budget(model):
        # Newer models leave their thoughts out unless they are asked for.
        thinking = {"type": "adaptive", "display": "summarized"}
        return {"thinking": thinking, "output_config": {"effort": _EFFORTS.get(effort, effort)}}
    if max_tokens <= _MIN_BUDGET:
        raise untranslatable("reasoning_effort", f"needs a maximum of completion tokens above {_MIN_BUDGET} for it")
    return {"thinking": {"type": "enabled", "budget_tokens": max(_MIN_BUDGET, int(max_tokens * _SHARES[effort]))}}
