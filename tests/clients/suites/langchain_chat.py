"""LangChain's own tests of chat models, for its OpenAI client. They run in a process of their own, with the endpoint in its environment.

Every kind of input is tested that OpenAI's API takes. The answers come from a function, `tests.clients.scripted`.
"""

import os
from typing import Any

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests


class TestChatOpenAI(ChatModelIntegrationTests):
    has_tool_calling = True
    has_tool_choice = True
    has_structured_output = True
    supports_json_mode = True
    supports_image_inputs = True
    supports_image_urls = True
    supports_pdf_inputs = True
    supports_audio_inputs = True
    supports_anthropic_inputs = True
    supports_model_override = True
    model_override_value = "echo"

    @pytest.fixture(autouse=True)
    def _without_internet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the tests that download a picture or a sound get a few bytes instead."""
        monkeypatch.setattr(httpx, "get", lambda url, **_: httpx.Response(200, content=b"a file", request=httpx.Request("GET", url)))

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "scripted", "base_url": os.environ["BASE_URL"], "api_key": os.environ["API_KEY"], "stream_usage": True}

    @pytest.fixture
    def benchmark(self) -> None:
        """Stands for that of pytest-benchmark: the test that wants it replays records of HTTP, and is skipped."""

    @pytest.fixture
    def vcr(self) -> None:
        """Stands for that of pytest-recording."""
