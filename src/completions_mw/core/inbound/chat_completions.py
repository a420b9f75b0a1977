"""OpenAI's chat completions: requests and answers as clients send and read them (docs/contract.md, Requests)."""

from typing import Any, Final

from completions_mw.core.inbound.openai_dialect import OpenAIDialect
from completions_mw.core.routes import CHAT_COMPLETIONS
from completions_mw.core.validation.request import Chat, validate
from completions_mw.core.validation.vendor_params import ParamPolicy


class ChatCompletions(OpenAIDialect[Chat]):
    """The dialect of `POST {prefix}/chat/completions`, and of direct calls for chat completions."""

    path: Final = CHAT_COMPLETIONS

    def _validated(self, fields: dict[str, Any], policy: ParamPolicy) -> Chat:
        return validate(fields, policy=policy)
