"""Instructor, whose answers are always in a form: texts are one of them."""

from typing import Any

from pydantic import create_model

from tests.clients.frameworks.base import Framework, Weather, get_weather


class Instructor(Framework):
    def _client(self, **more: Any) -> Any:
        import instructor
        from openai import OpenAI

        return instructor.from_openai(OpenAI(base_url=self.endpoint.base_url, api_key=self.endpoint.api_key), **more)

    def ask(self, model: str, text: str) -> str:
        answer: str = (
            self._client().chat.completions.create(model=model, messages=_said(text), response_model=None).choices[0].message.content
        )
        return answer

    def stream(self, model: str, text: str) -> list[str]:
        chunks = self._client().chat.completions.create(model=model, messages=_said(text), response_model=None, stream=True)
        return [piece for chunk in chunks if chunk.choices and (piece := chunk.choices[0].delta.content)]

    def use_tool(self, model: str, text: str) -> str:
        """Take the arguments of a call as an object: it has no tools but these, and calls nothing."""
        form = create_model("get_weather", text=(str, ...))
        call = self._client().chat.completions.create(model=model, messages=_said(text), response_model=form)
        return get_weather(call.text)

    def structured(self, model: str, text: str) -> Weather:
        import instructor

        client = self._client(mode=instructor.Mode.JSON_SCHEMA)
        answer: Weather = client.chat.completions.create(model=model, messages=_said(text), response_model=Weather)
        return answer

    def leave(self, model: str, text: str) -> None:
        chunks = self._client().chat.completions.create(model=model, messages=_said(text), response_model=None, stream=True)
        next(iter(chunks))
        chunks.close()


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]
