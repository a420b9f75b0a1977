"""OpenAI's Agents SDK, by chat completions."""

import asyncio
from typing import Any

from tests.clients.frameworks.base import Framework, Weather, get_weather


class OpenAIAgents(Framework):
    def _agent(self, model: str, **more: Any) -> Any:
        from agents import Agent, OpenAIChatCompletionsModel, set_tracing_disabled
        from openai import AsyncOpenAI

        # It would send its traces to OpenAI.
        set_tracing_disabled(disabled=True)
        client = AsyncOpenAI(base_url=self.endpoint.base_url, api_key=self.endpoint.api_key)
        return Agent(name="agent", model=OpenAIChatCompletionsModel(model, client), **more)

    def ask(self, model: str, text: str) -> str:
        return self._run(self._agent(model), text)  # type: ignore[no-any-return]

    def _run(self, agent: Any, text: str) -> Any:
        from agents import Runner

        async def run() -> Any:
            return (await Runner.run(agent, text)).final_output

        return asyncio.run(run())

    def stream(self, model: str, text: str) -> list[str]:
        return asyncio.run(self._pieces(model, text))

    async def _pieces(self, model: str, text: str, most: int = 1000) -> list[str]:
        from agents import Runner

        run = Runner.run_streamed(self._agent(model), text)
        pieces: list[str] = []
        async for event in run.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                pieces.append(event.data.delta)
                if len(pieces) == most:
                    run.cancel()
        return pieces

    def use_tool(self, model: str, text: str) -> str:
        from agents import function_tool

        return self._run(self._agent(model, tools=[function_tool(get_weather)]), text)  # type: ignore[no-any-return]

    def structured(self, model: str, text: str) -> Weather:
        return self._run(self._agent(model, output_type=Weather), text)  # type: ignore[no-any-return]

    def leave(self, model: str, text: str) -> None:
        asyncio.run(self._pieces(model, text, 1))
