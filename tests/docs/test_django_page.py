"""The page about Django: the project that `startproject` makes, with the page's files, under both kinds of servers."""

import os
import sys
from pathlib import Path

import pytest
import requests

from tests.docs.pages import (
    CHAT,
    DJANGO,
    FIRST_STEPS,
    HELLO,
    SECRETS,
    ask,
    ask_with_curl,
    assert_serves,
    assert_streams,
    on,
    run,
    started,
    text_of,
    write,
)
from tests.support import warm
from tests.support.markdown import Block

FILES = on(DJANGO, "python")
COMMANDS = [line for block in on(DJANGO, "console") for line in block.code.splitlines()]
SERVING = sorted({line for line in COMMANDS if line.startswith(("gunicorn", "uvicorn"))})
TESTING = [line for line in COMMANDS if line == "python manage.py test"]
PREPARING = [line for line in COMMANDS if line.startswith("python manage.py") and line not in TESTING]
INSTALL = "pip install 'completions-mw[django,cli]'"
[LOG_IN] = on(DJANGO, "sh")
[BOTS] = on("docs/functions.md", file="mysite/bots.py")


def files_of(settings_of_ours: Block, blocks: list[Block], folder: Path) -> Path:
    """Make a project of Django's own, with these files in it; what is for its settings comes at their end."""
    write(settings_of_ours, folder)
    run([sys.executable, "-m", "django", "startproject", "mysite", str(folder)], folder)
    for block in blocks:
        if block.file == "mysite/settings.py":
            with Path(folder, block.file).open("a") as settings:
                settings.write(block.code)
        else:
            write(block, folder)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of a reader who has come to the end of the page."""
    folder = files_of(on(DJANGO, "toml")[0], FILES, tmp_path_factory.mktemp("django"))
    for command in PREPARING:
        # The reader types a password, which the page tells.
        options = ["--noinput"] if "createsuperuser" in command else []
        run([sys.executable, *command.split()[1:], *options], folder, SECRETS | {"DJANGO_SUPERUSER_PASSWORD": "correct-horse"})
    return folder


def test_every_file_and_command_is_known() -> None:
    assert {block.file for block in FILES} >= {"mysite/settings.py", "mysite/urls.py"}
    assert all((block.file or "").startswith("mysite/") for block in FILES)
    assert set(COMMANDS) == {*SERVING, *PREPARING, *TESTING, INSTALL}
    assert (len(SERVING), len(PREPARING), len(TESTING)) == (2, 2, 1)


@pytest.mark.parametrize("command", SERVING)
def test_the_whole_project(command: str, project: Path) -> None:
    with started(command, project) as url:
        assert_serves(url)
        assert_streams(url)
        assert text_of(ask(url, model="shouting-bot")) == "HELLO!"
        ask_with_curl(LOG_IN, project, url)
        with requests.Session() as browser:
            browser.cookies["sessionid"] = session_in(project / "cookies.txt")
            body = {"model": "gpt-3.5-turbo", "messages": HELLO}
            assert text_of(browser.post(url + CHAT, json=body, timeout=10)) == "Hello!"
            assert browser.get(f"{url}/summary/", params={"text": "Hello!"}, timeout=10).text == "Summarise: Hello!"


def session_in(jar: Path) -> str:
    """Return the session that curl has kept."""
    [value] = [line.split()[-1] for line in jar.read_text().splitlines() if "sessionid" in line]
    return value


def test_the_smallest_project(tmp_path: Path) -> None:
    smallest = FILES[:2]
    assert [block.file for block in smallest] == ["mysite/settings.py", "mysite/urls.py"]
    with started(SERVING[0], files_of(FIRST_STEPS, smallest, tmp_path)) as url:
        assert_serves(url)


def test_a_function_of_another_page(tmp_path: Path) -> None:
    folder = files_of(FIRST_STEPS, [*FILES[:2], BOTS], tmp_path)
    with Path(folder, "mysite", "settings.py").open("a") as settings:
        settings.write('COMPLETIONS_MW_MODELS = {"polite-bot": "mysite.bots.polite_bot"}\n')
    with started(SERVING[0], folder) as url:
        assert text_of(ask(url, model="polite-bot")) == "Hello!"


@pytest.mark.parametrize("command", TESTING)
def test_its_own_tests(command: str, project: Path) -> None:
    _, *arguments = command.split()
    done = warm.run(arguments, cwd=project, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert "OK" in done.stderr
