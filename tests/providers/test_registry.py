"""From settings to upstreams; and what is imported for it."""

import subprocess
import sys

import pytest

from completions_mw.providers import openai
from completions_mw.providers.registry import upstream_of
from completions_mw.settings import OpenAISettings, Settings
from completions_mw.settings.capabilities import Capabilities

ALWAYS = {"base", "endpoint", "registry"}
PARTS = {"openai", "request", "answer", "stream", "embeddings"}
OPENAI = PARTS | {"client_errors", "error_reports", "retry_advice", "lenient_json", "history", "untranslatable"}


def test_a_provider_has_its_format_its_endpoint_and_its_capabilities() -> None:
    provider = Settings(providers={"openai": {"api": "openai"}}).providers["openai"]
    assert isinstance(provider, OpenAISettings)
    upstream = upstream_of(provider)
    assert upstream.wire_format is openai
    assert upstream.endpoint == openai.build_endpoint(provider)
    assert upstream.capabilities == Capabilities(
        unsupported=frozenset({"top_k"}), max_tokens="max_completion_tokens", developer_role=True, takes_additions=False
    )


@pytest.mark.parametrize(("api", "modules"), [("echo", ALWAYS), ("openai", ALWAYS | OPENAI)])
def test_a_gateway_imports_only_the_formats_that_it_speaks(api: str, modules: set[str]) -> None:
    program = f"""
import sys
from completions_mw import Gateway, Settings
Gateway(Settings(providers={{"up": {{"api": "{api}"}}}}, models={{"m": {{"targets": ["up/m"]}}}}))
print(*(name.rpartition(".")[2] for name in sys.modules if name.startswith("completions_mw.providers.")))
"""
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert set(output.split()) == modules
