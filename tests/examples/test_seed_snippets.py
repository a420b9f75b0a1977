"""The product document's snippets, verbatim but for port and key, against the Flask example."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from completions_mw import Gateway, Settings
from tests.support.examples import CHAT, ECHO_CONFIG, KEY, needs_local_model, running_example
from tests.support.markdown import Block, code_blocks

BLOCKS = code_blocks(Path(__file__).parent / "seed" / "chat_completions.txt")
DOCUMENT = Path(__file__).parents[3] / "shared" / "seed.txt"
IMPORTS = "import json\nimport requests\n"
"""The document imports them once at most, at its top."""
CONTENT = "print({}.json()['choices'][0]['message']['content'])"

BASIC = [block for block in BLOCKS if block.heading.startswith("Using ")]
AFTERWARDS = {
    "System Prompt": (CONTENT.format("response"), "How do I sort a list in Python?\n"),
    "Temperature Control": (
        CONTENT.format("response_low") + "\n" + CONTENT.format("response_high"),
        "Tell me a joke.\nWrite a creative story.\n",
    ),
    "Max Tokens": (CONTENT.format("response"), "Write a long article about AI.\n"),
    "Streaming Responses": ("", "Tell me a story."),
    "Stop Sequences": (CONTENT.format("response"), "Count from 1 to 10.\n"),
    "Multi-turn Conversation": (CONTENT.format("response1"), "And what about Germany?\nWhat's the capital of France?\n"),
    "Token Usage Tracking": ("", "Prompt tokens: 1\nCompletion tokens: 1\nTotal tokens: 2\n"),
    "Invalid Model": (
        "",
        "Error: The model `invalid-model` does not exist or you do not have access to it.\nType: invalid_request_error\n",
    ),
    "Rate Limit": (
        "print(make_request_with_retry([{'role': 'user', 'content': 'Hello'}])['choices'][0]['message']['content'])",
        "Hello\n",
    ),
    "Budget Exceeded": ("print(response.status_code)", "200\n"),
}
"""For each further Python snippet: what is run after it, and what is printed by then, the model being an echo."""
JSON = {"Example Conversation", "Response Format"}
HURRIED_KEY, POOR_KEY, THRIFTY_KEY = "sk-hurried-not-a-secret", "sk-poor-not-a-secret", "sk-thrifty-not-a-secret"
LIMITED_CONFIG = f"""
[providers.local]
api = "echo"

[models."gpt-3.5-turbo"]
targets = ["local/echo"]
prices  = {{ input = "1000", output = "1000" }}

[keys.hurried]
secret = "{HURRIED_KEY}"
limits = {{ requests = "1 per 3 second" }}

[keys.poor]
secret = "{POOR_KEY}"
budget = {{ usd = "0.01", period = "month" }}

[keys.thrifty]
secret = "{THRIFTY_KEY}"
budget = {{ usd = "10.00", period = "month" }}
"""


@pytest.fixture(scope="module")
def echo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config = tmp_path_factory.mktemp("config") / "echo.toml"
    config.write_text(ECHO_CONFIG)
    with running_example("flask_app", config) as url:
        yield url


@pytest.fixture(scope="module")
def limited_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = tmp_path_factory.mktemp("limited") / "limited.toml"
    config.write_text(LIMITED_CONFIG)
    return config


@pytest.fixture(scope="module")
def limited_url(limited_config: Path) -> Iterator[str]:
    with running_example("flask_app", limited_config) as url:
        yield url


@pytest.fixture(scope="module")
def cached_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config = tmp_path_factory.mktemp("cached") / "cached.toml"
    config.write_text(f'{ECHO_CONFIG}\n[cache]\nenabled = true\nwhen = "always"\n')
    with running_example("flask_app", config) as url:
        yield url


@pytest.fixture(scope="module")
def model_url() -> Iterator[str]:
    with running_example("flask_app") as url:
        yield url


def run(block: Block, url: str, afterwards: str = "", key: str = KEY) -> str:
    """Run a snippet as its reader would, and return what it prints."""
    code = block.code.replace("http://localhost/api/v1", f"{url}/api/v1").replace("YOUR_API_KEY", key)
    commands = {
        "bash": ["bash", "-c", code],
        "python": [sys.executable, "-c", f"{IMPORTS}{code}\n{afterwards}"],
        "javascript": ["node", "--input-type=module", "-e", code],
    }
    command = commands[block.language]
    program = "curl" if block.language == "bash" else command[0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "NO_PROXY": "127.0.0.1"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def text_of(block: Block, output: str) -> str:
    """Return the answer's text: curl prints the whole answer, the others print the text."""
    return str(json.loads(output)["choices"][0]["message"]["content"]) if block.language == "bash" else output.removesuffix("\n")


def test_every_snippet_is_run() -> None:
    assert {block.heading for block in BLOCKS} == {block.heading for block in BASIC} | AFTERWARDS.keys() | JSON


@pytest.mark.skipif(not DOCUMENT.exists(), reason="the product document is not here to compare with")
@pytest.mark.parametrize("block", BLOCKS, ids=[block.heading for block in BLOCKS])
def test_a_snippet_is_the_documents_own(block: Block) -> None:
    lines = [line.strip() for line in block.code.splitlines()]
    assert "\n".join(lines) in DOCUMENT.read_text()


@pytest.mark.parametrize("block", BASIC, ids=[block.heading for block in BASIC])
def test_the_basic_request(block: Block, echo_url: str) -> None:
    assert text_of(block, run(block, echo_url)) == "Hello! How are you?"


@needs_local_model
@pytest.mark.parametrize("block", BASIC, ids=[block.heading for block in BASIC])
def test_the_basic_request_is_answered_by_a_model(block: Block, model_url: str) -> None:
    # What it says to a greeting is its own choice.
    assert text_of(block, run(block, model_url))


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.heading in AFTERWARDS], ids=lambda block: block.heading)
def test_a_python_snippet(block: Block, echo_url: str) -> None:
    afterwards, printed = AFTERWARDS[block.heading]
    assert run(block, echo_url, afterwards) == printed


@pytest.mark.parametrize("block", [block for block in BLOCKS if "Streaming" in block.heading], ids=lambda block: block.heading)
def test_a_snippet_reads_a_replayed_stream(block: Block, cached_url: str) -> None:
    _, printed = AFTERWARDS[block.heading]
    outputs = [run(block, cached_url, "print('', response.headers['x-cache'])") for _ in range(2)]
    assert outputs == [f"{printed} miss\n", f"{printed} hit\n"]


def test_the_rate_limit_snippet_waits_and_succeeds(limited_url: str) -> None:
    [block] = [block for block in BLOCKS if block.heading == "Rate Limit"]
    printed = run(block, limited_url, "\n".join([AFTERWARDS[block.heading][0]] * 2), HURRIED_KEY)
    waits = r"Rate limited\. Waiting 1 seconds\.\.\.\n(Rate limited\. Waiting 2 seconds\.\.\.\n)?"
    assert re.fullmatch(f"Hello\n{waits}Hello\n", printed)


def test_the_budget_snippet_tells_of_the_budget(limited_url: str) -> None:
    [block] = [block for block in BLOCKS if block.heading == "Budget Exceeded"]
    printed = run(block, limited_url, AFTERWARDS[block.heading][0], POOR_KEY)
    assert printed == "Budget limit exceeded. Check your API key budget settings.\n429\n"


def test_the_ledger_has_what_the_usage_snippet_prints(limited_url: str, limited_config: Path) -> None:
    [block] = [block for block in BLOCKS if block.heading == "Token Usage Tracking"]
    printed = run(block, limited_url, key=THRIFTY_KEY)
    with Gateway(Settings.from_toml(limited_config)) as gateway:
        [row] = gateway.usage(key="thrifty")
    counts = {"Prompt": row.prompt_tokens, "Completion": row.completion_tokens, "Total": row.prompt_tokens + row.completion_tokens}
    assert printed == "".join(f"{name} tokens: {count}\n" for name, count in counts.items())
    assert row.cost_nano == (row.prompt_tokens + row.completion_tokens) * 10**6


def test_the_conversation_is_answered_in_the_documents_form(echo_url: str) -> None:
    conversation, form = (json.loads(block.code) for block in BLOCKS if block.heading in JSON)
    answer = requests.post(echo_url + CHAT, json=conversation, headers={"Authorization": f"Bearer {KEY}"}, timeout=10).json()
    assert answer["choices"][0]["message"]["content"] == "What about 5+3?"
    assert_has_form(answer, form)


def assert_has_form(value: object, form: object) -> None:
    """Assert that `value` has every member of `form`, of the same type."""
    assert type(value) is type(form)
    if isinstance(value, dict) and isinstance(form, dict):
        assert value.keys() >= form.keys()
        for name in form:
            assert_has_form(value[name], form[name])
    elif isinstance(value, list) and isinstance(form, list):
        assert len(value) == len(form)
        for item, example in zip(value, form, strict=True):
            assert_has_form(item, example)
