"""Who is compared, and how each is started."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from bench import stores, wire
from bench.cells import Mode
from bench.processes import ROOT

THREADS: Final = 64
KEY_HEADER: Final = {"authorization": f"Bearer {wire.KEY}"}
BOTH: Final[tuple[Mode, ...]] = ("json", "stream")
IN_MEMORY: Final = {"BENCH_ADMISSION": "memory://"}
CACHED: Final = {"BENCH_CACHE": "memory://"}
Store = Callable[[ExitStack, Path], Mapping[str, str]]


@dataclass(frozen=True, slots=True, eq=False)
class Contestant:
    """A server to be measured."""

    name: str
    command: Callable[[int], Sequence[str]]
    """What starts it on a port."""
    baseline: str | None = None
    """The contestant that does the same with nothing of ours."""
    plain: str | None = None
    """The contestant that does the same without TLS, or by our transport."""
    unlimited: str | None = None
    """The contestant that does the same without limits and budgets."""
    rival: str | None = None
    """The contestant of ours that does the same, where this is a peer."""
    store: Store | None = None
    """What starts its store, to be stopped with the stack, in a folder; returns the variables that name it."""
    modes: tuple[Mode, ...] = BOTH
    mark: str = ""
    """What the head of each answer must have in it, in lower case, as that it is from the cache."""
    path: str = "/v1/chat/completions"
    headers: Mapping[str, str] = field(default_factory=lambda: KEY_HEADER)
    environment: Mapping[str, str] = field(default_factory=dict)
    start_seconds: float = 20.0
    folder: Path = ROOT
    """The checkout whose code runs."""

    @property
    def floor(self) -> str:
        """The contestant that answers on the same server without an upstream."""
        return f"hello-{self.name.partition('@')[0].rpartition('-')[2]}"

    def of(self, checkout: Path) -> "Contestant":
        """Return the same contestant of another checkout, which runs in that checkout's own environment."""
        python = str(checkout / ".venv" / "bin" / "python")

        def command(port: int) -> Sequence[str]:
            return [python, *self.command(port)[1:]]

        return replace(self, name=f"{self.name}@before", command=command, baseline=None, plain=None, unlimited=None, folder=checkout)


def contestants(upstream_port: int, transport: str | None) -> list[Contestant]:
    """Return all but the upstream itself and the peers, in the order of the table."""
    environment = {"BENCH_UPSTREAM": str(upstream_port), "BENCH_TRANSPORT": transport or ""}
    return [
        Contestant("hello-uvicorn", _uvicorn("hello_asgi"), modes=("json",)),
        Contestant("bare-uvicorn", _uvicorn("bare_asgi"), environment=environment),
        Contestant("bare-tls-uvicorn", _uvicorn("bare_asgi"), plain="bare-uvicorn", environment=environment, store=stores.tls),
        Contestant("aiohttp-uvicorn", _uvicorn("bare_aiohttp"), plain="bare-uvicorn", environment=environment),
        Contestant("ours-uvicorn", _uvicorn("ours_asgi"), "bare-uvicorn", environment=environment),
        _limited("memory-limits-uvicorn", _uvicorn("ours_asgi"), {**environment, **IN_MEMORY}),
        _limited("redis-limits-uvicorn", _uvicorn("ours_asgi"), environment, stores.redis),
        _limited("sqlite-budget-uvicorn", _uvicorn("ours_asgi"), environment, stores.sqlite),
        _limited("postgres-budget-uvicorn", _uvicorn("ours_asgi"), environment, stores.postgres),
        _cached("cached-uvicorn", _uvicorn("ours_asgi"), {**environment, **CACHED}),
        _cached("redis-cached-uvicorn", _uvicorn("ours_asgi"), environment, stores.redis_cache),
        Contestant("hello-gthread", _gunicorn("gthread", "hello_wsgi"), modes=("json",)),
        Contestant("bare-gthread", _gunicorn("gthread", "bare_wsgi"), environment=environment),
        Contestant("ours-gthread", _gunicorn("gthread", "ours_wsgi"), "bare-gthread", environment=environment),
        _limited("memory-limits-gthread", _gunicorn("gthread", "ours_wsgi"), {**environment, **IN_MEMORY}),
        _cached("cached-gthread", _gunicorn("gthread", "ours_wsgi"), {**environment, **CACHED}),
        Contestant("hello-gevent", _gunicorn("gevent", "hello_wsgi"), modes=("json",)),
        Contestant("bare-gevent", _gunicorn("gevent", "bare_wsgi"), environment=environment),
        Contestant("ours-gevent", _gunicorn("gevent", "ours_wsgi"), "bare-gevent", environment=environment),
    ]


def upstream() -> Contestant:
    """Return the mock upstream; measured directly, it shows the ceiling of upstream and load generator."""
    return Contestant("direct", lambda port: [sys.executable, "-m", "bench.upstream", str(port)])


def _limited(name: str, command: Callable[[int], Sequence[str]], environment: Mapping[str, str], store: Store | None = None) -> Contestant:
    return Contestant(name, command, unlimited=f"ours-{name.rpartition('-')[2]}", environment=environment, store=store)


def _cached(name: str, command: Callable[[int], Sequence[str]], environment: Mapping[str, str], store: Store | None = None) -> Contestant:
    return Contestant(name, command, modes=("json",), mark="x-cache: hit", environment=environment, store=store)


def _uvicorn(app: str) -> Callable[[int], Sequence[str]]:
    options = ["--loop", "auto", "--http", "auto", "--no-access-log", "--log-level", "warning", "--backlog", "1024"]
    return lambda port: [sys.executable, "-m", "uvicorn", f"bench.apps.{app}:app", "--port", str(port), *options]


def _gunicorn(worker: str, app: str) -> Callable[[int], Sequence[str]]:
    options = ["--worker-class", worker, "--workers", "1", "--threads", str(THREADS), "--keep-alive", "30", "--log-level", "warning"]
    return lambda port: [sys.executable, "-m", "gunicorn", f"bench.apps.{app}:app", "--bind", f"127.0.0.1:{port}", *options]
