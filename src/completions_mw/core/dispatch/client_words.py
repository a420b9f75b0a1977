"""Errors of an upstream in the words of the client: they name no parameter that the client did not send."""

import re
from typing import Final

from completions_mw.core.validation.request import Chat
from completions_mw.errors import GatewayError

_MAXIMUMS: Final = frozenset({"max_tokens", "max_completion_tokens"})
_ADDED: Final = _MAXIMUMS | {"stream_options"}
"""Parameters that the gateway adds to requests."""


def put_in_client_words(error: GatewayError, chat: Chat) -> None:
    """Change the `param` and the message of an error that names a parameter which the gateway has sent in place of the client's.

    Args:
        error: error of the upstream.
        chat: the client's request.
    """
    sent = chat.asked
    for name in _MAXIMUMS - sent:
        [other] = _MAXIMUMS - {name}
        if other in sent:
            error.message = re.sub(rf"\b{name}\b", other, error.message)
            error.args = (error.message,)
            error.param = other if error.param == name else error.param
    if error.param is not None and re.split(r"[.\[]", error.param)[0] in _ADDED - sent:
        error.param = None
