"""The page about Django: the project that `startproject` makes, with the page's files, under both kinds of servers."""

import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from tests.docs.pages import CHAT, DJANGO, FIRST_STEPS, HELLO, ask, assert_serves, assert_streams, on, run, started, text_of, write
from tests.support import warm
from tests.support.markdown import Block

FILES = on(DJANGO, "python")
COMMANDS = [line for block in on(DJANGO, "console") for line in block.code.splitlines()]
SERVING = [line for line in COMMANDS if line.startswith(("gunicorn", "uvicorn"))]
MANAGING = [line for line in COMMANDS if line.startswith("python manage.py")]
INSTALL = "pip install 'completions-mw[django]'"


class Project(NamedTuple):
    """A project, and the session of a user who is logged in."""

    folder: Path
    session: str


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


def manage(folder: Path, *arguments: str) -> str:
    return run([sys.executable, "manage.py", *arguments], folder)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project of a reader who has come to the end of the page."""
    folder = files_of(on(DJANGO, "toml")[0], FILES, tmp_path_factory.mktemp("django"))
    log_in = (
        "from django.contrib.auth.models import User; from django.test import Client; client = Client(); "
        "client.force_login(User.objects.create_user('ada')); print(client.cookies['sessionid'].value)"
    )
    manage(folder, "migrate", "--verbosity", "0")
    return Project(folder, manage(folder, "shell", "--verbosity", "0", "--command", log_in).strip())


def test_every_file_and_command_is_known() -> None:
    assert {block.file for block in FILES} >= {"mysite/settings.py", "mysite/urls.py"}
    assert all((block.file or "").startswith("mysite/") for block in FILES)
    assert set(COMMANDS) == {*SERVING, *MANAGING, INSTALL}
    assert len(SERVING) == 2


@pytest.mark.parametrize("command", SERVING)
def test_the_whole_project(command: str, project: Project) -> None:
    with started(command, project.folder) as url:
        assert_serves(url)
        assert_streams(url)
        assert text_of(ask(url, model="shouting-bot")) == "HELLO!"
        with requests.Session() as browser:
            browser.cookies["sessionid"] = project.session
            body = {"model": "gpt-3.5-turbo", "messages": HELLO}
            assert text_of(browser.post(url + CHAT, json=body, timeout=10)) == "Hello!"
            assert browser.get(f"{url}/summary/", params={"text": "Hello!"}, timeout=10).text == "Summarise: Hello!"


def test_the_smallest_project(tmp_path: Path) -> None:
    smallest = FILES[:2]
    assert [block.file for block in smallest] == ["mysite/settings.py", "mysite/urls.py"]
    with started(SERVING[0], files_of(FIRST_STEPS, smallest, tmp_path)) as url:
        assert_serves(url)


@pytest.mark.parametrize("command", MANAGING)
def test_its_own_tests(command: str, project: Project) -> None:
    _, *arguments = command.split()
    done = warm.run(arguments, cwd=project.folder, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert "OK" in done.stderr
