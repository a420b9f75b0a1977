"""Frameworks with an OpenAI client below them: each does at our server what its users do with it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.clients.support import Endpoint, missing
from tests.support.upstream import MockUpstream

ROOT = Path(__file__).parents[2]
LIGHT = ("Instructor", "Llm", "OpenAIAgents", "PydanticAI")
HEAVY = {"LiteLLM": "litellm", "LlamaIndex": "llama-index-llms-openai-like"}
"""Packages of frameworks that are large, or want an older SDK of OpenAI's: each is run in an environment of its own."""
ANSWERS: dict[str, Any] = {
    "ask": "Hello to all of you",
    "stream": ["Hello ", "to ", "all ", "of ", "you"],
    "tool": "21 degrees in Paris",
    "structured": {"city": "Paris", "degrees": 21},
    "unknown model": 404,
    "wrong key": 401,
    "rate limit": 429,
}


def run(python: Sequence[str], frameworks: Sequence[str], endpoint: Endpoint, upstream: MockUpstream, folder: Path) -> dict[str, Any]:
    """Return the results of frameworks by their names, once the upstream has seen each of them leave a stream.

    Args:
        python: command of a Python that has them.
        frameworks: names of their classes.
        endpoint: where they are pointed.
        upstream: the provider behind it.
        folder: where they may write.
    """

    def stalled() -> int:
        return sum(request.model == "stall-2" for request in upstream.requests)

    own = {"BASE_URL": endpoint.base_url, "API_KEY": endpoint.api_key, "LLM_USER_PATH": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "1"}
    command = [*python, "-m", "tests.clients.frameworks", *frameworks]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    before = stalled()
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **own}, **pipes) as process:
        assert process.stdout is not None
        printed, left = process.stdout.readline(), process.stdout.readline()
        if left:
            # The process lives on, with all connections that it has not closed itself.
            upstream.wait_for(lambda: stalled() - before == len(frameworks) and upstream.active_requests == 0)
        process.communicate("go\n", timeout=60)
    assert left == "left\n", printed
    results: dict[str, Any] = json.loads(printed)
    return results


@pytest.fixture(scope="module")
def results(endpoint: Endpoint, upstream: MockUpstream, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run([sys.executable], LIGHT, endpoint, upstream, tmp_path_factory.mktemp("frameworks"))


@pytest.mark.parametrize("use", ANSWERS)
@pytest.mark.parametrize("framework", LIGHT)
def test_answered(results: dict[str, Any], framework: str, use: str) -> None:
    assert results[framework][use] == ANSWERS[use]


@pytest.mark.soak
@pytest.mark.parametrize("framework", HEAVY)
def test_heavy(endpoint: Endpoint, upstream: MockUpstream, tmp_path: Path, framework: str) -> None:
    uv = shutil.which("uv") or str(ROOT / ".uv/bin/uv")
    if not Path(uv).exists():
        missing("uv is not installed")
    packages = [part for package in (HEAVY[framework], "pytest") for part in ("--with", package)]
    python = [uv, "run", "--quiet", "--isolated", "--no-project", "--python", sys.executable, *packages, "python"]
    assert run(python, [framework], endpoint, upstream, tmp_path) == {framework: ANSWERS}
