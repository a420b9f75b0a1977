"""README and docs as their readers use them: the files that a page shows are kept in a folder, its commands are run there."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.support import warm
from tests.support.markdown import Block, code_blocks
from tests.support.process import free_port, serve

ROOT = Path(__file__).parents[2]
FRONT = ROOT / "README.md"
PAGES = [FRONT, *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [block._replace(page=page.relative_to(ROOT).as_posix()) for page in PAGES for block in code_blocks(page)]
DJANGO = "docs/django.md"

URL = "http://127.0.0.1:8000"
"""As the pages have it."""
CHAT = "/api/v1/chat/completions"
KEY = "sk-team-a-not-a-secret"
HELLO: list[Any] = [{"role": "user", "content": "Hello!"}]
UPSTREAM_KEYS = (
    "ANTHROPIC_API_KEY",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AZURE_OPENAI_API_KEY",
    "GEMINI_API_KEY",
    "GROQ_API_KEY",
    "MISTRAL_API_KEY",
)
SECRETS = {
    "OPENAI_API_KEY": "sk-upstream-not-a-secret",
    "EGRESS_PROXY": "http://me:not-a-secret@proxy.example:3128",
    "TEAM_A_KEY": KEY,
    **dict.fromkeys(UPSTREAM_KEYS, "upstream-key-not-a-secret"),
}
ADDRESSES = {"gunicorn": "--bind={}", "hypercorn": "--bind={}", "waitress": "--listen={}"}
"""The option for host and port, of those servers that have no `--port`."""
MODULES = {"waitress-serve": "waitress"}


def name_of(block: Block) -> str:
    """Return the name of a block in those of tests."""
    return f"{block.page}:{block.line}"


def on(page: str, language: str = "", file: str | None = "") -> list[Block]:
    """Return blocks of a page, of one language or one file where it is given; no file at all is None."""
    return [block for block in BLOCKS if block.page == page and language in ("", block.language) and (file == "" or file == block.file)]


def above(block: Block, file: str, default: Block) -> Block:
    """Return the file that a reader of `block` has by then: the nearest one of that name above it, else `default`."""
    found = [one for one in on(block.page, file=file) if one.line <= block.line]
    return found[-1] if found else default


FIRST_STEPS = on("README.md", "toml")[0]
WSGI_APP = on("README.md", file="app.py")[0]
ASGI_APP = on("docs/asgi.md", file="app.py")[0]


def project(block: Block, folder: Path) -> Path:
    """Keep the settings that belong to `block`, and itself if it is a file."""
    write(above(block, "completions.toml", FIRST_STEPS), folder)
    if block.file:
        write(block, folder)
    return folder


def write(block: Block, folder: Path) -> Path:
    """Keep a file."""
    assert block.file, name_of(block)
    path = Path(folder, block.file)
    path.parent.mkdir(exist_ok=True)
    path.write_text(block.code)
    return path


@contextmanager
def started(command: str, folder: Path) -> Iterator[str]:
    """Run a command that serves on a free port of this machine, and give its URL."""
    port = free_port()
    program, *arguments = shlex.split(command)
    module = MODULES.get(program, program)
    if module in ADDRESSES:
        arguments.insert(0, ADDRESSES[module].format(f"127.0.0.1:{port}"))
    else:
        arguments.append(f"--port={port}")
    with serve([sys.executable, "-m", module, *arguments], ready=port, cwd=folder, env=SECRETS):
        yield f"http://127.0.0.1:{port}"


def ask(url: str, key: str | None = KEY, **fields: Any) -> requests.Response:
    """Send a chat completions request."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return requests.post(url + CHAT, json={"model": "gpt-3.5-turbo", "messages": HELLO, **fields}, headers=headers, timeout=30)


def text_of(response: requests.Response) -> str:
    """Return what a model said."""
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


def assert_serves(url: str) -> None:
    """Check that the model answers whoever has the key of the first steps, and nobody else."""
    assert text_of(ask(url)) == "Hello!"
    assert ask(url, "sk-wrong-not-a-secret").json()["error"]["code"] == "invalid_api_key"
    assert ask(url, None).status_code == 401


def assert_streams(url: str) -> None:
    """Check that it answers piece by piece, too."""
    events = ask(url, stream=True).text.removesuffix("\n\n").split("\n\n")
    assert events.pop() == "data: [DONE]"
    deltas = [json.loads(event.removeprefix("data: "))["choices"][0]["delta"] for event in events]
    assert "".join(delta.get("content") or "" for delta in deltas) == "Hello!"


def run(command: list[str], folder: Path, env: Mapping[str, str] = SECRETS) -> str:
    """Run what comes to an end by itself, and return what it prints."""
    everything = {**os.environ, **env}
    if warm.can_be_warm(command, everything):
        done = warm.run(command[1:], cwd=folder, env=everything)
    else:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, env=everything)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_script(block: Block, folder: Path, url: str = URL) -> None:
    """Run a script, which prints what the comments at its lines say: `# -> Hello!`."""
    script = Path(folder, block.file or "script.py")
    script.write_text(block.code.replace(URL, url))
    assert run([sys.executable, script.name], folder).splitlines() == re.findall(r"(?:^|  )# -> (.*)", block.code, re.MULTILINE)


def ask_with_curl(block: Block, folder: Path, url: str) -> None:
    """Run commands of a shell; where a block with their output follows, that is what they print."""
    printed = run(["bash", "-ec", block.code.replace(URL, url)], folder)
    following = BLOCKS[BLOCKS.index(block) + 1 :][:1]
    expected = [one for one in following if one.page == block.page and one.line <= block.end + 4]
    if expected and expected[0].language == "json":
        assert_like(json.loads(printed), json.loads(expected[0].code))
    elif expected and expected[0].language == "text":
        assert printed.strip() == expected[0].code.strip()


def assert_like(actual: Any, shown: Any) -> None:
    """Check JSON that a page shows: a text that ends with `…` stands for all that begin so, and `created` for any moment."""
    if isinstance(shown, dict):
        assert actual.keys() == shown.keys()
        for name, value in shown.items():
            if name == "created":
                assert isinstance(actual[name], int)
            else:
                assert_like(actual[name], value)
    elif isinstance(shown, list):
        assert len(actual) == len(shown)
        for one, other in zip(actual, shown, strict=True):
            assert_like(one, other)
    elif isinstance(shown, str) and shown.endswith("…"):
        assert actual.startswith(shown.removesuffix("…"))
    else:
        assert actual == shown
