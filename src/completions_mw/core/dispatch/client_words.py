"""Errors of an upstream in the words of the client: they name no parameter that the client did not send."""

import re
from collections.abc import Mapping
from itertools import permutations
from typing import Final

from completions_mw.core.validation.request import Chat
from completions_mw.errors import GatewayError

_MAXIMUMS: Final = ("max_tokens", "max_completion_tokens")
_ADDED: Final = frozenset({*_MAXIMUMS, "stream_options"})
"""Parameters that the gateway adds to requests."""


def put_in_client_words(error: GatewayError, chat: Chat, renamed: Mapping[str, str]) -> None:
    """Change the `param` and the message of an error that names a parameter which the gateway has sent in place of the client's.

    Args:
        error: error of the upstream.
        chat: the client's request.
        renamed: names at the upstream of parameters that it calls otherwise than OpenAI.
    """
    sent = chat.asked
    pairs = (*renamed.items(), *permutations(_MAXIMUMS))
    replaced = {theirs: ours for ours, theirs in pairs if ours in sent and theirs not in sent}
    for theirs, ours in replaced.items():
        error.message = re.sub(rf"\b{theirs}\b", ours, error.message)
        error.args = (error.message,)
        error.param = ours if error.param == theirs else error.param
    if error.param is not None and re.split(r"[.\[]", error.param)[0] in _ADDED - sent:
        error.param = None
