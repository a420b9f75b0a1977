"""Simon Willison's `llm`, by the model class of its OpenAI plugin."""

from typing import Any

from tests.clients.frameworks.base import Framework, Weather, get_weather


class Llm(Framework):
    def _model(self, model: str) -> Any:
        from llm.default_plugins.openai_models import Chat

        make: Any = Chat
        return make(model, key=self.endpoint.api_key, api_base=self.endpoint.base_url, supports_tools=True, supports_schema=True)

    def ask(self, model: str, text: str) -> str:
        answer: str = self._model(model).prompt(text, stream=False, key=self.endpoint.api_key).text()
        return answer

    def stream(self, model: str, text: str) -> list[str]:
        return [piece for piece in self._model(model).prompt(text, key=self.endpoint.api_key) if piece]

    def use_tool(self, model: str, text: str) -> str:
        answer: str = self._model(model).chain(text, tools=[get_weather], stream=False, key=self.endpoint.api_key).text()
        return answer

    def structured(self, model: str, text: str) -> Weather:
        answer = self._model(model).prompt(text, schema=Weather, stream=False, key=self.endpoint.api_key)
        return Weather.model_validate_json(answer.text())

    def leave(self, model: str, text: str) -> None:
        pieces = iter(self._model(model).prompt(text, key=self.endpoint.api_key))
        next(pieces)
        pieces.close()
