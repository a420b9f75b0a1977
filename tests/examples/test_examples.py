"""Both example apps, each as a process of its own, seen by a browser and by a program."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.examples import CHAT, ECHO_CONFIG, EXAMPLES, KEY, needs_local_model, running_example

APPS = ["flask_app", "starlette_app"]
PAGE = EXAMPLES / "page.html"
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
BODY: dict[str, Any] = {"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": "one two three"}]}
FRANCE = {
    "model": "gpt-3.5-turbo",
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "What is the capital of France?"},
    ],
    "temperature": 0,
    "max_tokens": 64,
}


@pytest.fixture(scope="module", params=APPS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config = tmp_path_factory.mktemp("config") / "echo.toml"
    config.write_text(ECHO_CONFIG)
    with running_example(request.param, config) as url:
        yield url


@pytest.fixture
def browser() -> Iterator[requests.Session]:
    """Keeps cookies."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def program() -> Iterator[requests.Session]:
    """Has a key."""
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {KEY}"
        yield session


def content(response: requests.Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


def test_the_page_explains_itself(url: str, browser: requests.Session) -> None:
    page = browser.get(url)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert f"POST {CHAT}" in page.text
    assert KEY in page.text
    assert "You are not logged in" in page.text


@needs_node
@pytest.mark.parametrize(
    ("key", "answer", "note"),
    [
        (KEY, "one two three", ""),
        ("sk-wrong-not-a-secret", "", "Incorrect API key provided: sk-wr***et."),
        ("", "", "You didn't provide an API key."),
    ],
    ids=["key", "wrong key", "nobody"],
)
def test_the_page_shows_what_it_is_answered(url: str, key: str, answer: str, note: str) -> None:
    shown = on_the_page(url, key)
    assert shown["answer"] == answer
    assert shown["note"].startswith(note)
    assert not shown["stoppable"]


@needs_node
@pytest.mark.parametrize(
    ("scenario", "answer", "note"),
    [
        ("stop", "one two three", "Stopped."),
        ("late", "one", "Stopped."),
        ("down", "", "The server cannot be reached: fetch failed"),
        ("cut off", "one two", "The answer was cut off."),
        ("broken", "one two", "The answer was cut off: terminated"),
        ("failed", "one two", "The model could not answer."),
        ("proxy", "", "The server answered with status 502."),
    ],
)
def test_the_page_says_why_an_answer_is_not_whole(scenario: str, answer: str, note: str) -> None:
    assert on_the_page(PAGE, scenario) == {"answer": answer, "note": note, "stoppable": False}


@needs_node
@pytest.mark.parametrize("scenario", ["again", "at once"])
def test_the_page_gives_up_a_question_for_the_next_one(scenario: str) -> None:
    assert on_the_page(PAGE, scenario) == {"answer": "four five", "note": "", "stoppable": True}


def on_the_page(*arguments: str | Path) -> dict[str, Any]:
    """Return what a visitor of the page sees."""
    script = Path(__file__).parent / "page.mjs"
    done = subprocess.run(["node", script, *arguments], stdout=subprocess.PIPE, text=True, timeout=30, check=True)
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def test_a_visitor_calls_it_without_a_key_while_logged_in(url: str, browser: requests.Session) -> None:
    assert browser.post(url + CHAT, json=BODY).status_code == 401

    assert "You are logged in as <b>ada</b>" in browser.post(f"{url}/login", data={"user": "ada"}).text
    assert content(browser.post(url + CHAT, json=BODY)) == "one two three"

    assert "You are not logged in" in browser.post(f"{url}/logout").text
    assert browser.post(url + CHAT, json=BODY).status_code == 401


def test_a_visitor_sees_what_was_spent(url: str, browser: requests.Session) -> None:
    assert browser.get(f"{url}/spending").status_code == 401

    page = browser.post(f"{url}/login", data={"user": "grace"})
    assert 'href="spending"' in page.text
    assert browser.get(f"{url}/spending").json() == []

    content(browser.post(url + CHAT, json=BODY))
    [row] = browser.get(f"{url}/spending").json()
    # The echo hears three words and says three.
    assert (row["spent_usd"], row["limit_usd"]) == ("0.006000000", "1.000000000")


def test_another_sites_form_is_refused_in_a_visitors_name(url: str, browser: requests.Session) -> None:
    browser.post(f"{url}/login", data={"user": "ada"})
    forged = browser.post(url + CHAT, data=json.dumps(BODY), headers={"Content-Type": "text/plain"})
    assert forged.status_code == 415


def test_a_visitors_name_is_text_on_the_page(url: str, browser: requests.Session) -> None:
    page = browser.post(f"{url}/login", data={"user": "<script>alert(1)</script>"})
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert" in page.text


def test_a_program_calls_it_with_a_key(url: str, program: requests.Session) -> None:
    assert content(program.post(url + CHAT, json=BODY)) == "one two three"


def test_a_stream(url: str, program: requests.Session) -> None:
    with program.post(url + CHAT, json={**BODY, "stream": True}, stream=True) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        events = [line.removeprefix(b"data: ") for line in response.iter_lines() if line]
    assert events.pop() == b"[DONE]"
    assert "".join(json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events) == "one two three"


def test_a_wrong_key(url: str, program: requests.Session) -> None:
    response = program.post(url + CHAT, json=BODY, headers={"Authorization": "Bearer sk-wrong-not-a-secret"})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["error"]["code"] == "invalid_api_key"


def test_paths_that_are_not_ours_are_the_apps(url: str, program: requests.Session) -> None:
    response = program.get(f"{url}/api/v1/images")
    assert response.status_code == 404
    assert "json" not in response.headers["content-type"]


@pytest.mark.parametrize("name", APPS)
def test_the_environment_names_other_settings(name: str, tmp_path: Path, program: requests.Session) -> None:
    config = tmp_path / "other.toml"
    config.write_text(ECHO_CONFIG.replace("gpt-3.5-turbo", "my-model"))
    with running_example(name, config) as url:
        assert [model["id"] for model in program.get(f"{url}/api/v1/models").json()["data"]] == ["my-model"]
        assert content(program.post(url + CHAT, json={**BODY, "model": "my-model"})) == "one two three"


@needs_local_model
@pytest.mark.parametrize("name", APPS)
def test_out_of_the_box_a_real_model_answers(name: str, program: requests.Session) -> None:
    with running_example(name) as url:
        assert "Paris" in content(program.post(url + CHAT, json=FRANCE))
