"""LiteLLM as a client."""

import json
from typing import Any

from tests.clients.frameworks.base import Framework, Weather, get_weather

TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"text": {"type": "string"}}}},
}


class LiteLLM(Framework):
    def _complete(self, model: str, said: str | list[Any], **more: Any) -> Any:
        import litellm

        # It would print where to get help, between our lines.
        litellm.suppress_debug_info = True
        messages = [{"role": "user", "content": said}] if isinstance(said, str) else said
        own = {"api_base": self.endpoint.base_url, "api_key": self.endpoint.api_key}
        return litellm.completion(model=f"openai/{model}", messages=messages, **own, **more)

    def ask(self, model: str, text: str) -> str:
        answer: str = self._complete(model, text).choices[0].message.content
        return answer

    def stream(self, model: str, text: str) -> list[str]:
        chunks = self._complete(model, text, stream=True)
        return [piece for chunk in chunks if chunk.choices and (piece := chunk.choices[0].delta.content)]

    def use_tool(self, model: str, text: str) -> str:
        asked = self._complete(model, text, tools=[TOOL]).choices[0].message
        [call] = asked.tool_calls
        result = {"role": "tool", "tool_call_id": call.id, "content": get_weather(**json.loads(call.function.arguments))}
        answered = self._complete(model, [{"role": "user", "content": text}, asked, result], tools=[TOOL])
        answer: str = answered.choices[0].message.content
        return answer

    def structured(self, model: str, text: str) -> Weather:
        return Weather.model_validate_json(self._complete(model, text, response_format=Weather).choices[0].message.content)

    def leave(self, model: str, text: str) -> None:
        chunks = self._complete(model, text, stream=True)
        next(chunks)
        # Its own wrapper cannot be closed.
        chunks.completion_stream.close()
