"""openai-python's own tests of `create`, from its sdist, with our server in the place of theirs.

They check that every documented parameter is taken and that answers match the SDK's types to the letter. Their key and the values that
we refuse are replaced; every other value stays.
"""

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.clients.support import Endpoint, missing

CACHE = Path(__file__).parents[2] / ".cache" / "openai-python"
TESTS = "tests/api_resources/chat/test_completions.py"
EMBEDDINGS = "tests/api_resources/test_embeddings.py"
NEEDED = (
    *("__init__.py", "conftest.py", "utils.py", "respx2/"),
    *("api_resources/__init__.py", "api_resources/chat/", "api_resources/test_embeddings.py"),
)
# With its strict validation the SDK refuses the base64 that it asks for itself, whoever sends it.
CHOSEN = "create and not (test_embeddings and (strict or aiohttp) and not all_params)"
COUNT = 40 + 11
"""Of chat completions, and of embeddings."""

REPLACED = (
    (re.compile(r"max_tokens=0\b"), "max_tokens=16", 4),
    (re.compile(r"max_completion_tokens=0\b"), "max_completion_tokens=16", 4),
    (re.compile(r"stream=False,\s+stream_options=\{[^}]*\},"), "stream=False,", 2),
)
"""What we refuse, what stands in for it, and how often it is there."""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, endpoint: Endpoint) -> Path:
    """The folder of the SDK's source, its tests ready for our server."""
    name = f"openai-{version('openai')}"
    folder = tmp_path_factory.mktemp("openai-python")
    _unpack(_sdist(f"{name}.tar.gz"), tuple(f"{name}/tests/{part}" for part in NEEDED), folder)
    _replace(folder / name / "tests/conftest.py", re.compile(r'^api_key = ".*"$', re.MULTILINE), f'api_key = "{endpoint.api_key}"', 1)
    for pattern, replacement, count in REPLACED:
        _replace(folder / name / TESTS, pattern, replacement, count)
    return folder / name


def _sdist(name: str) -> Path:
    if not (CACHE / name).is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            requirement = name.removesuffix(".tar.gz").replace("-", "==")
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "openai", "--dest", folder, requirement]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode:
                missing(f"pip download {requirement} failed: {done.stderr[-500:]}")
            # Whole or not at all, whatever other test sessions do.
            Path(folder, name).replace(CACHE / name)
    return CACHE / name


def _unpack(sdist: Path, prefixes: tuple[str, ...], folder: Path) -> None:
    # `extractall` needs a filter from Python 3.12 on, and 3.11's first releases have none.
    with tarfile.open(sdist) as archive:
        for member in archive:
            source = archive.extractfile(member) if member.name.startswith(prefixes) else None
            if source:
                (folder / member.name).parent.mkdir(parents=True, exist_ok=True)
                (folder / member.name).write_bytes(source.read())


def _replace(file: Path, pattern: re.Pattern[str], replacement: str, expected: int) -> None:
    text, count = pattern.subn(replacement, file.read_text())
    assert count == expected, f"{file.name} has changed: {pattern.pattern} is there {count} times"
    file.write_text(text)


def test_all_pass(suite: Path, endpoint: Endpoint) -> None:
    report = suite / "report.xml"
    modes = ["-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=session"]
    # Its own configuration asks for plugins that this run does not need.
    run = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", ".", *modes, "--junitxml", str(report)]
    command = [*run, TESTS, EMBEDDINGS, "-k", CHOSEN]
    env = {**os.environ, "TEST_API_BASE_URL": endpoint.base_url, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=suite, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert report.is_file(), done.stdout + done.stderr
    [result] = ElementTree.parse(report).getroot().iter("testsuite")
    counts = [int(result.get(kind, -1)) for kind in ("tests", "failures", "errors", "skipped")]
    assert counts == [COUNT, 0, 0, 0], done.stdout
