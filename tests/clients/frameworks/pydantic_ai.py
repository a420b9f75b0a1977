"""Pydantic AI."""

import asyncio
from typing import Any

from tests.clients.frameworks.base import Framework, Weather, get_weather


class PydanticAI(Framework):
    def _agent(self, model: str, **more: Any) -> Any:
        from pydantic_ai import Agent
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        provider = OpenAIProvider(base_url=self.endpoint.base_url, api_key=self.endpoint.api_key)
        return Agent(OpenAIChatModel(model, provider=provider), **more)

    def ask(self, model: str, text: str) -> str:
        answer: str = self._agent(model).run_sync(text).output
        return answer

    def stream(self, model: str, text: str) -> list[str]:
        async def read() -> list[str]:
            async with self._agent(model).run_stream(text) as run:
                return [piece async for piece in run.stream_text(delta=True, debounce_by=None)]

        return asyncio.run(read())

    def use_tool(self, model: str, text: str) -> str:
        answer: str = self._agent(model, tools=[get_weather]).run_sync(text).output
        return answer

    def structured(self, model: str, text: str) -> Weather:
        from pydantic_ai import NativeOutput

        answer: Weather = self._agent(model, output_type=NativeOutput(Weather)).run_sync(text).output
        return answer

    def leave(self, model: str, text: str) -> None:
        async def read() -> None:
            async with self._agent(model).run_stream(text) as run:
                async for _ in run.stream_text(delta=True, debounce_by=None):
                    return

        asyncio.run(read())
