"""LlamaIndex, by its client for servers like OpenAI's."""

import gc
from typing import Any

from tests.clients.frameworks.base import Framework, Weather, get_weather


class LlamaIndex(Framework):
    def _model(self, model: str) -> Any:
        from llama_index.llms.openai_like import OpenAILike

        own = {"api_base": self.endpoint.base_url, "api_key": self.endpoint.api_key, "max_retries": 1}
        return OpenAILike(model=model, is_chat_model=True, is_function_calling_model=True, **own)

    def ask(self, model: str, text: str) -> str:
        answer: str = self._model(model).complete(text).text
        return answer

    def stream(self, model: str, text: str) -> list[str]:
        return [piece.delta for piece in self._model(model).stream_complete(text) if piece.delta]

    def use_tool(self, model: str, text: str) -> str:
        from llama_index.core.llms import ChatMessage
        from llama_index.core.tools import FunctionTool

        llm, tool = self._model(model), FunctionTool.from_defaults(get_weather)
        asked = llm.chat_with_tools([tool], user_msg=text)
        [call] = llm.get_tool_calls_from_response(asked)
        result = ChatMessage(role="tool", content=str(tool(**call.tool_kwargs)), additional_kwargs={"tool_call_id": call.tool_id})
        answer: str = llm.chat([ChatMessage(role="user", content=text), asked.message, result]).message.content
        return answer

    def structured(self, model: str, text: str) -> Weather:
        answer: Weather = self._model(model).as_structured_llm(Weather).complete(text).raw
        return answer

    def leave(self, model: str, text: str) -> None:
        pieces = self._model(model).stream_complete(text)
        next(pieces)
        del pieces
        # What it wraps the stream in closes it no sooner.
        gc.collect()
