"""Several workers, of which one after the other is killed."""

import contextlib
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from tests.kill9.workers import Job

WORKERS = 3
MOST_SIGNS = 40
PATIENCE = 60.0
Work = Callable[[Job, Connection], None]

# What they import is imported once: they are forked from a process that has done so and has no threads.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.kill9.preloaded"])


class Worker(NamedTuple):
    """A process, and its signs of life."""

    process: Any
    signs: Connection


class Ack(NamedTuple):
    """What a ledger has confirmed."""

    kind: str
    request_id: str
    amount: int
    tokens: int


class Pack:
    """Workers that do the same, inside a `with` block.

    Args:
        work: what each does.
        settings: of its gateway.
        folder: where it writes.
        seed: of the moments when one is killed.
        workers: how many there are.
    """

    def __init__(self, work: Work, settings: dict[str, Any], folder: Path, seed: int, workers: int = WORKERS) -> None:
        self.kills = 0
        self._work = work
        self._settings = settings
        self._folder = folder
        self._random = Random(seed)
        self._count = workers

    @contextlib.contextmanager
    def running(self, batch: str) -> Iterator[list[Worker]]:
        """Run the workers; kill them all in the end."""
        workers: list[Worker] = []
        try:
            workers.extend(self._start(batch) for _ in range(self._count))
            yield workers
        finally:
            for worker in workers:
                self._kill(worker)

    def kill_one(self, workers: list[Worker], batch: str) -> None:
        """Kill one of them after some sign of life, while it does other things in other threads; start another one."""
        at = self._random.randrange(len(workers))
        worker = workers[at]
        for _ in range(self._random.randint(1, MOST_SIGNS)):
            assert worker.signs.poll(PATIENCE)
            worker.signs.recv_bytes()
        self._kill(worker)
        workers[at] = self._start(batch)

    def acks(self) -> list[Ack]:
        """Return what ledgers have confirmed to all workers so far; the last line of one that was killed may be a part of one."""
        lines = [line for path in self._folder.glob("*.acks") for line in path.read_text().splitlines(keepends=True)]
        return [Ack(*json.loads(line)) for line in lines if line.endswith("\n")]

    def _start(self, batch: str) -> Worker:
        signs, told = CONTEXT.Pipe(duplex=False)
        acks = self._folder / f"{time.monotonic_ns()}.acks"
        process = CONTEXT.Process(target=self._work, args=(Job(self._settings, str(acks), batch), told), daemon=True)
        process.start()
        told.close()
        return Worker(process, signs)

    def _kill(self, worker: Worker) -> None:
        assert worker.process.is_alive(), "it ended by itself"
        worker.process.kill()
        worker.process.join()
        worker.process.close()
        worker.signs.close()
        self.kills += 1
