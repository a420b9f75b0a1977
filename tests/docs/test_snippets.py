"""Every Python and TOML block of the README, run as its reader would run it; and the commands that start them."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import BaseModel

from completions_mw import Gateway, InvalidRequestError, RateLimitError, Settings
from completions_mw.settings import (
    Allowance,
    Connections,
    EchoSettings,
    KeySettings,
    LlamaCppSettings,
    ModelSettings,
    OpenAISettings,
    StoreSettings,
    TimeoutSettings,
)
from tests.support.markdown import Block, code_blocks
from tests.support.process import free_port, serve
from tests.support.upstream import MockUpstream
from tests.support.upstream_scenarios import SCENARIOS

BLOCKS = code_blocks(Path(__file__).parents[2] / "README.md")
KEY = "sk-team-a-not-a-secret"
CHAT = "/api/v1/chat/completions"
HELLO: list[Any] = [{"role": "user", "content": "Hello!"}]
SECRETS = {"OPENAI_API_KEY": "sk-upstream-not-a-secret", "TEAM_A_KEY": KEY}


def blocks(language: str, first_line: str = "") -> list[Block]:
    return [block for block in BLOCKS if block.language == language and block.code.startswith(first_line)]


APPS = blocks("python", "# app.py")
DJANGO = [*blocks("python", "# settings.py"), *blocks("python", "# urls.py")]
SCRIPTS = [block for block in BLOCKS if block.heading == "Direct use"]
FIRST_STEPS, KEYS, LIMITS, BUDGETS, UPSTREAMS, EVERYTHING = blocks("toml")
(STORED_KEYS,) = [block for block in blocks("python") if block.heading == "Keys"]
FLASK_RUN, KEY_COMMANDS, DEPLOYMENT = blocks("console")
GTHREAD, GEVENT, UVICORN = DEPLOYMENT.code.splitlines()


def test_every_block_is_run() -> None:
    settings = [FIRST_STEPS, KEYS, LIMITS, BUDGETS, UPSTREAMS, EVERYTHING]
    run = [*APPS, *DJANGO, *SCRIPTS, *settings, FLASK_RUN, KEY_COMMANDS, STORED_KEYS, DEPLOYMENT, *blocks("sh")]
    assert sorted(run, key=lambda block: block.line) == BLOCKS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A reader's project, with the settings of the first steps."""
    Path(tmp_path, "completions.toml").write_text(FIRST_STEPS.code)
    return tmp_path


@contextmanager
def started(command: str, folder: Path) -> Iterator[str]:
    """Run a command of the README on a free port of this machine, and give its URL."""
    port = free_port()
    program, *arguments = shlex.split(command)
    address = ["--bind", f"127.0.0.1:{port}"] if program == "gunicorn" else ["--port", str(port)]
    with serve([sys.executable, "-m", program, *arguments, *address], ready=port, cwd=folder):
        yield f"http://127.0.0.1:{port}"


def ask(url: str, key: str | None = KEY, **fields: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return requests.post(url + CHAT, json={"model": "gpt-3.5-turbo", "messages": HELLO, **fields}, headers=headers, timeout=30)


def text_of(response: requests.Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


def assert_serves(url: str) -> None:
    assert text_of(ask(url)) == "Hello!"
    assert ask(url, "sk-wrong-not-a-secret").json()["error"]["code"] == "invalid_api_key"
    assert ask(url, None).status_code == 401


def assert_streams(url: str) -> None:
    events = ask(url, stream=True).text.removesuffix("\n\n").split("\n\n")
    assert events.pop() == "data: [DONE]"
    deltas = [json.loads(event.removeprefix("data: "))["choices"][0]["delta"] for event in events]
    assert "".join(delta.get("content") or "" for delta in deltas) == "Hello!"


@pytest.mark.parametrize("block", APPS, ids=lambda block: block.heading)
def test_an_app(block: Block, folder: Path) -> None:
    Path(folder, "app.py").write_text(block.code)
    with started(UVICORN if "AsyncGateway" in block.code else GTHREAD, folder) as url:
        assert requests.get(url, timeout=10).text == "Hello from the app."
        assert_serves(url)
        assert_streams(url)


@pytest.mark.parametrize("command", [FLASK_RUN.code, GEVENT], ids=["flask", "gevent"])
def test_another_command_that_serves_it(command: str, folder: Path) -> None:
    Path(folder, "app.py").write_text(APPS[0].code)
    with started(command, folder) as url:
        assert_serves(url)
        assert_streams(url)


def test_the_request_with_curl(folder: Path) -> None:
    Path(folder, "app.py").write_text(APPS[0].code)
    (curl,) = blocks("sh")
    with started(GTHREAD, folder) as url:
        command = curl.code.replace("http://127.0.0.1:8000", url)
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "Hello!"


def test_the_login_needs_no_key(folder: Path) -> None:
    (block,) = (block for block in APPS if block.heading == "The app's own login")
    Path(folder, "app.py").write_text(block.code)
    with started(GTHREAD, folder) as url, requests.Session() as browser:
        browser.post(f"{url}/login", timeout=10)
        body = {"model": "gpt-3.5-turbo", "messages": HELLO}
        assert text_of(browser.post(url + CHAT, json=body, timeout=10)) == "Hello!"


def test_the_function_is_a_model(folder: Path) -> None:
    (block,) = (block for block in APPS if block.heading == "A Python function as a model")
    Path(folder, "app.py").write_text(block.code)
    with started(GTHREAD, folder) as url:
        assert text_of(ask(url, model="my-bot")) == "You said: Hello!"


@pytest.fixture(scope="module")
def django_project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project as Django starts it, with the README's lines; and the session of a user who is logged in."""
    folder = tmp_path_factory.mktemp("django")
    Path(folder, "completions.toml").write_text(FIRST_STEPS.code)
    subprocess.run([sys.executable, "-m", "django", "startproject", "mysite", folder], check=True, timeout=60)
    with Path(folder, "mysite", "settings.py").open("a") as settings:
        settings.writelines(block.code for block in blocks("python", "# settings.py"))
    Path(folder, "mysite", "urls.py").write_text(blocks("python", "# urls.py")[0].code)
    log_in = (
        "from django.contrib.auth.models import User; from django.test import Client; client = Client(); "
        "client.force_login(User.objects.create_user('ada')); print(client.cookies['sessionid'].value)"
    )
    manage(folder, "migrate", "--verbosity", "0")
    return folder, manage(folder, "shell", "--verbosity", "0", "--command", log_in).strip()


def manage(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize(
    "command", [GTHREAD.replace("app:app", "mysite.wsgi"), UVICORN.replace("app:app", "mysite.asgi:application")], ids=["WSGI", "ASGI"]
)
def test_django(command: str, django_project: tuple[Path, str]) -> None:
    folder, session = django_project
    with started(command, folder) as url:
        assert_serves(url)
        assert_streams(url)
        body = {"model": "gpt-3.5-turbo", "messages": HELLO}
        assert text_of(requests.post(url + CHAT, json=body, cookies={"sessionid": session}, timeout=10)) == "Hello!"


@pytest.mark.parametrize("block", SCRIPTS, ids=lambda block: f"line {block.line}")
def test_a_script_prints_what_it_says(block: Block, folder: Path) -> None:
    check_script(block, folder)


def check_script(block: Block, folder: Path) -> None:
    script = Path(folder, "script.py")
    script.write_text(block.code)
    done = subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == re.findall(r"  # -> (.*)", block.code)


@pytest.fixture
def with_ledger(tmp_path: Path) -> Path:
    """The project of a reader of "Keys"."""
    Path(tmp_path, "completions.toml").write_text(KEYS.code)
    return tmp_path


def test_the_commands_for_keys(with_ledger: Path) -> None:
    for command in KEY_COMMANDS.code.splitlines():
        program = Path(sys.executable).with_name(shlex.split(command)[0])
        done = subprocess.run([program, *shlex.split(command)[1:]], cwd=with_ledger, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
    assert Path(with_ledger, "completions.db").is_file()


def test_keys_in_python(with_ledger: Path) -> None:
    check_script(STORED_KEYS, with_ledger)


def test_the_limits(tmp_path: Path) -> None:
    Path(tmp_path, "completions.toml").write_text(LIMITS.code)
    with Gateway(Settings.from_toml(tmp_path / "completions.toml"), authenticate=lambda _: "ada") as gateway:
        for _ in range(20):
            gateway.complete(model="gpt-3.5-turbo", messages=HELLO, caller="ada")
        with pytest.raises(RateLimitError, match="Limit 20, Used 20, Requested 1"):
            gateway.complete(model="gpt-3.5-turbo", messages=HELLO, caller="ada")
        gateway.complete(model="gpt-3.5-turbo", messages=HELLO, key=KEY)


def test_the_budgets(tmp_path: Path) -> None:
    Path(tmp_path, "completions.toml").write_text(BUDGETS.code)
    with Gateway(Settings.from_toml(tmp_path / "completions.toml")) as gateway:
        gateway.complete(model="gpt-3.5-turbo", messages=HELLO, key=KEY)
        (own,), (shared,) = gateway.balances("team-a"), gateway.balances("acme", "tenant")
        # A token of the prompt for 150 nano-dollars, one of the answer for 600.
        assert (own.spent, own.reserved, shared.spent) == (750, 0, 750)
        with pytest.raises(InvalidRequestError, match=r"\$0\.50"):
            gateway.complete(model="gpt-3.5-turbo", messages=HELLO, key=KEY, max_tokens=1_000_000)


@pytest.fixture
def upstreams_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a deployment with upstreams."""
    config = Path(tmp_path, "completions.toml")
    config.write_text(UPSTREAMS.code)
    for name, value in {**SECRETS, "COMPLETIONS_MW_CONFIG": str(config)}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("upstreams_config")
def test_the_settings_for_upstreams(monkeypatch: pytest.MonkeyPatch) -> None:
    with MockUpstream({"gpt-4o-mini": SCENARIOS["ok"]}) as upstream:
        monkeypatch.setenv("COMPLETIONS_MW_PROVIDERS__OPENAI__BASE_URL", upstream.url)
        with Gateway(Settings.from_env()) as gateway:
            answer = gateway.complete(model="gpt-3.5-turbo", messages=HELLO, key=KEY)
    assert answer.choices[0].message.content == "Hello!"
    assert [request.model for request in upstream.requests] == ["gpt-4o-mini"]


@pytest.mark.usefixtures("upstreams_config")
def test_the_second_upstream_answers_where_the_first_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    with MockUpstream({"Qwen/Qwen3-8B": SCENARIOS["ok"]}) as upstream:
        monkeypatch.setenv("COMPLETIONS_MW_PROVIDERS__OPENAI__BASE_URL", f"http://127.0.0.1:{free_port()}/v1")
        monkeypatch.setenv("COMPLETIONS_MW_PROVIDERS__VLLM__BASE_URL", upstream.url)
        with Gateway(Settings.from_env()) as gateway:
            answer = gateway.complete(model="gpt-3.5-turbo", messages=HELLO)
    assert answer.model == "gpt-3.5-turbo"
    assert [request.model for request in upstream.requests] == ["Qwen/Qwen3-8B"]


@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is not installed (dependency group `local`)")
def test_the_settings_that_show_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    config = Path(tmp_path, "completions.toml")
    config.write_text(EVERYTHING.code)
    Path(tmp_path, "model.gguf").touch()
    with Gateway(Settings.from_toml(config)) as gateway:
        assert {card.id for card in gateway.models().data} == {"gpt-3.5-turbo", "local-model"}


def test_the_settings_show_every_field() -> None:
    tree = tomllib.loads(EVERYTHING.code)
    assert tree.keys() == Settings.model_fields.keys()
    assert tree["timeouts"].keys() == TimeoutSettings.model_fields.keys()
    assert tree["connections"].keys() == Connections.model_fields.keys()
    assert tree["providers"]["openai"].keys() == OpenAISettings.model_fields.keys()
    assert tree["providers"]["llama"].keys() == LlamaCppSettings.model_fields.keys()
    assert tree["providers"]["local"].keys() == EchoSettings.model_fields.keys()
    assert fields_in(tree["models"]) == ModelSettings.model_fields.keys()
    assert tree["stores"].keys() == StoreSettings.model_fields.keys()
    assert fields_in(tree["tenants"]) == tree["callers"].keys() == Allowance.model_fields.keys()
    assert fields_in(tree["keys"]) == KeySettings.model_fields.keys()


def fields_in(tables: dict[str, dict[str, Any]]) -> set[str]:
    return {name for table in tables.values() for name in table}


@pytest.mark.parametrize(
    ("table", "model", "examples"),
    [
        ((), Settings, {"max_cost", "unpriced", "price_table"}),
        (("timeouts",), TimeoutSettings, set[str]()),
        (("connections",), Connections, set[str]()),
        (("providers", "openai"), OpenAISettings, {"base_url", "organization", "project", "api_key", "headers", "timeouts"}),
        (("providers", "llama"), LlamaCppSettings, {"path"}),
        (("models", "gpt-3.5-turbo"), ModelSettings, {"targets", "prices"}),
        (("keys", "team-a"), KeySettings, {"secret", "tenant", "models", "expires_at", "metadata", "budget", "max_cost"}),
        (("stores",), StoreSettings, {"admission", "ledger", "spool", "retention_days"}),
    ],
    ids=lambda value: ".".join(value) or "root" if isinstance(value, tuple) else "",
)
def test_the_settings_show_the_defaults(table: tuple[str, ...], model: type[BaseModel], examples: set[str]) -> None:
    shown = tomllib.loads(EVERYTHING.code)
    for part in table:
        shown = shown[part]
    fields = {name: field for name, field in model.model_fields.items() if name in shown and not field.is_required()}
    values = {name: field.default for name, field in fields.items() if field.default_factory is None and name not in examples}
    assert {name: shown[name] for name in values} == values
