"""The packages of the guests, and the guests that serve."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from completions_mw import Gateway
from tests.servers.apps import KEY
from tests.servers.conftest import ROOT, Running, Start
from tests.servers.fleet import books, models
from tests.servers.matrix.guests import PACKAGES, Guest
from tests.servers.patience import STORE_PATIENCE
from tests.support.redis_server import missing

MODELS = ("ok", "stepwise", "endless", "stall-2", "ttfb", "gush")
BUDGET = {"usd": "1000000", "period": "total"}


class Served(NamedTuple):
    """A guest that serves, and the books that it keeps."""

    guest: Guest
    server: Running
    reader: Gateway

    @property
    def port(self) -> int:
        return self.server.port

    def is_settled(self) -> bool:
        return not any(balance.reserved for balance in self.reader.balances("team"))


Serve = Callable[..., contextlib.AbstractContextManager[Served]]


@pytest.fixture(scope="session")
def packages(request: pytest.FixtureRequest) -> Path:
    """A folder with the packages of the guests, which stays for further runs."""
    assert request.config.cache is not None
    folder: Path = request.config.cache.mkdir("matrix")
    place = folder / sha256(" ".join(PACKAGES).encode()).hexdigest()[:12]
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=folder) as name:
            new = Path(name, "packages")
            subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(new), *PACKAGES], check=True)
            # Another worker may have been quicker.
            with contextlib.suppress(OSError):
                new.rename(place)
    return place


@pytest.fixture(scope="session")
def serve_guest(start: Start, packages: Path) -> Serve:
    """Start a guest with a ledger of its own, and further settings."""

    @contextlib.contextmanager
    def serving(guest: Guest, **more: Any) -> Iterator[Served]:
        if not (packages / guest.needs).exists():
            missing(guest.kind.id)
        with tempfile.TemporaryDirectory() as name:
            # Apache serves as somebody else.
            Path(name).chmod(0o777)
            ledger = f"sqlite:///{name}/completions.db"
            settings = {
                "models": models(*MODELS, prices={"input": "1", "output": "1"}),
                "keys": {"team": {"secret": KEY, "budget": BUDGET}},
                "stores": {"ledger": ledger, "ledger_timeout": STORE_PATIENCE},
                **more,
            }
            env = {"SETTINGS": json.dumps(settings), "PYTHONPATH": os.pathsep.join((str(packages), str(ROOT))), "FOLDER": name}
            with start(guest.kind, **env) as server, books(ledger) as reader:
                yield Served(guest, server, reader)

    return serving
