"""LlamaIndex's embeddings against a real server. Its hundred packages are installed for this test alone, so it is a long one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.support import Endpoint, missing

pytestmark = pytest.mark.soak

PROGRAM = """
import asyncio, json, sys
from llama_index.embeddings.openai import OpenAIEmbedding

url, key = sys.argv[1:]
def model(**more):
    return OpenAIEmbedding(model="text-embedding-3-small", api_base=url, api_key=key, **more)
print(json.dumps({
    "one": model().get_text_embedding("Hello!"),
    "batch": model().get_text_embedding_batch([f"text {number}" for number in range(150)])[149],
    "query": model().get_query_embedding("Hello!"),
    "short": asyncio.run(model(dimensions=2).aget_text_embedding("Hello!")),
}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the package."""
    folder = tmp_path_factory.mktemp("llama-index")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
    python = folder / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "llama-index-embeddings-openai"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        missing(f"pip install llama-index-embeddings-openai failed: {done.stderr[-500:]}")
    return python


def test_embeddings(python: Path, endpoint: Endpoint) -> None:
    command = [str(python), "-c", PROGRAM, endpoint.base_url, endpoint.api_key]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "one": [0.75, 0.25, 0.25],
        "batch": [1.0, 0.25, 0.25],
        "query": [0.75, 0.25, 0.25],
        "short": [0.75, 0.25],
    }
