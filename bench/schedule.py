"""Runs all contestants in turn, several times over, so that what else the machine does meets all of them alike."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.cells import Cell, Mode, Result
from bench.contestants import Contestant
from bench.processes import ROOT, NotStartedError, Server, SkippedError, free_port


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    connections: tuple[int, ...]
    requests: int
    seconds: float
    chunks_per_second: int
    """Of all streams of a cell together; 0: as fast as they are taken."""

    def cell(self, contestant: Contestant, server: Server, mode: Mode, connections: int) -> Cell:
        """Return one measurement. Streams get more time: one of them takes long."""
        stream = mode == "stream"
        return Cell(
            contestant.name,
            mode,
            connections,
            server.port,
            server.pid,
            requests=self.requests,
            seconds=self.seconds * 1.5 if stream else self.seconds,
            pause_us=self._pause_us(connections) if stream else 0,
            mark=contestant.mark,
            path=contestant.path,
            headers=dict(contestant.headers),
        )

    def _pause_us(self, connections: int) -> int:
        return max(1000, connections * 1_000_000 // self.chunks_per_second) if self.chunks_per_second else 0


class LoadGenerator(AbstractContextManager["LoadGenerator"]):
    """The load generator's process."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, bufsize=1
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._process:
            self._process.terminate()

    def measure(self, cell: Cell) -> Result:
        """Return what `cell` gives."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(cell)) + "\n")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load generator ended")
        return Result(**json.loads(line))


def start(contestant: Contestant, stack: ExitStack, logs: Path) -> Server:
    """Start a contestant and its store, to be stopped with `stack`.

    Raises:
        NotStartedError: it does not come up.
        SkippedError: its store is not installed.
    """
    port, folder = free_port(), logs / contestant.name
    folder.mkdir()
    stored = contestant.store(stack, folder) if contestant.store is not None else {}
    server = Server(
        contestant.command(port), {**contestant.environment, **stored}, port, logs / f"{contestant.name}.log", contestant.folder
    )
    stack.callback(server.stop)
    server.wait_until_listening(contestant.start_seconds)
    return server


def start_all(
    candidates: Sequence[Contestant], stack: ExitStack, logs: Path, skip: Callable[[str, Exception], None]
) -> dict[Contestant, Server]:
    """Start every contestant that comes up; tell `skip` why the others do not."""
    servers = {}
    for contestant in candidates:
        try:
            servers[contestant] = start(contestant, stack, logs)
        except (NotStartedError, SkippedError) as error:
            skip(contestant.name, error)
    return servers


def run(plan: Plan, servers: Mapping[Contestant, Server], say: Callable[[str], None]) -> Iterator[Result]:
    """Yield every measurement of every round."""
    with LoadGenerator() as load:
        for number in range(plan.rounds):
            for connections in plan.connections:
                for mode in ("json", "stream"):
                    say(f"round {number + 1} of {plan.rounds}: {mode}, {connections} connections")
                    for contestant, server in servers.items():
                        if mode in contestant.modes:
                            yield load.measure(plan.cell(contestant, server, mode, connections))
