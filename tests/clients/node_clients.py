"""The clients of Node.js: their packages, as the lock file has them, and scripts that print what they saw as JSON."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.clients.support import Endpoint, missing

FOLDER = Path(__file__).parent / "node"
OLDEST = 20
Results = dict[str, Any]


def install(folder: Path = FOLDER) -> None:
    """Install the packages of a folder's lock file, unless they are there already. Skips the test if that cannot be done."""
    if not (shutil.which("node") and shutil.which("npm")):
        missing("node and npm are not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST:
        missing(f"node {version} is older than {OLDEST}")
    digest = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    stamp = folder / "node_modules" / ".installed"
    with _one_at_a_time(folder):
        if not stamp.is_file() or stamp.read_text() != digest:
            _npm_ci(folder)
            stamp.write_text(digest)


def run_script(name: str, endpoint: Endpoint, **more: str) -> Results:
    """Return the results of all scenarios of a script, by their names; `more` is added to its environment."""
    env = {**os.environ, "BASE_URL": endpoint.base_url, "API_KEY": endpoint.api_key, **more}
    done = subprocess.run(["node", name], cwd=FOLDER, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    results: Results = json.loads(done.stdout.splitlines()[-1])
    return results


def _npm_ci(folder: Path) -> None:
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        missing(f"npm ci failed: {done.stderr[-500:]}")


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Keep other test sessions out: `npm ci` starts by deleting what is installed."""
    folder = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
