"""The load generator, in a process of its own: reads cells as lines of JSON, writes results likewise.

Connections are opened and warmed first, so that neither theirs nor the server's own to its upstream are counted.
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Final

from bench import loop, wire
from bench.cells import Cell, Mode, Result
from bench.client import Client, Load
from bench.processes import cpu_seconds, resident_bytes

GRACE_SECONDS: Final = 20.0
"""How long answers under way may still take when the time of a cell is over."""


class Crew:
    """The connections of one cell."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._clients: list[Client] = []
        self._busy: set[Client] = set()
        self._all_idle = asyncio.Event()

    async def open(self) -> None:
        """Connect all."""
        connect = asyncio.get_running_loop().create_connection
        for _ in range(self._cell.connections):
            _, client = await connect(lambda: Client(self._is_idle), "127.0.0.1", self._cell.port)
            self._clients.append(client)

    async def work(self, load: Load, stagger: float) -> None:
        """Let all connections send `load`, each begun `stagger` seconds after the one before; return when it is done."""
        self._busy = set(self._clients)
        self._all_idle.clear()
        start = asyncio.get_running_loop().call_later
        for at, client in enumerate(self._clients):
            start(at * stagger, client.work, load)
        seconds = max(0.0, load.deadline - time.perf_counter()) + GRACE_SECONDS
        try:
            await asyncio.wait_for(self._all_idle.wait(), seconds)
        except TimeoutError:
            for client in self._busy:
                client.give_up(f"no answer within {seconds:.0f} s")

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            client.close()

    def _is_idle(self, client: Client) -> None:
        self._busy.discard(client)
        if not self._busy:
            self._all_idle.set()


async def measure(cell: Cell) -> Result:
    """Return what `cell` gives."""
    crew = Crew(cell)
    try:
        await crew.open()
        await crew.work(_load(cell, "json", 2 * cell.connections, seconds=30), stagger=0)
        load = _load(cell, cell.mode, cell.requests, cell.seconds)
        # Streams that began together would give the server all their chunks in one turn of its loop.
        stagger = cell.pause_us / 1e6 * wire.CHUNKS / cell.connections if cell.mode == "stream" else 0.0
        loop_us = _loop_us()
        cpu, started = cpu_seconds(cell.pid), time.perf_counter()
        await crew.work(load, stagger)
        elapsed, cpu = time.perf_counter() - started, cpu_seconds(cell.pid) - cpu
        return _result(cell, load, elapsed, cpu, (loop_us + _loop_us()) / 2)
    finally:
        crew.close()


def _load(cell: Cell, mode: Mode, requests: int, seconds: float) -> Load:
    body = wire.request_body(stream=mode == "stream", pause_us=cell.pause_us)
    fields = {"host": f"127.0.0.1:{cell.port}", "content-type": "application/json", **cell.headers, "content-length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    request = f"POST {cell.path} HTTP/1.1\r\n{head}\r\n".encode() + body
    return Load(mode, request, cell.mark.encode(), requests, time.perf_counter() + seconds)


def _result(cell: Cell, load: Load, elapsed: float, cpu: float, loop_us: float) -> Result:
    done = len(load.latencies)
    units = (done + load.errors) * (wire.CHUNKS if cell.mode == "stream" else 1)
    return Result(
        name=cell.name,
        mode=cell.mode,
        connections=cell.connections,
        requests=done,
        errors=load.errors,
        first_error=load.first_error,
        per_second=done * (wire.CHUNKS if cell.mode == "stream" else 1) / elapsed,
        cpu_us=cpu / units * 1e6 if units else 0.0,
        p50_ms=_quantile(load.latencies, 50),
        p99_ms=_quantile(load.latencies, 99),
        first_byte_ms=_quantile(load.first_bytes, 50),
        rss_mb=resident_bytes(cell.pid) / 1e6,
        loop_us=loop_us,
    )


def _loop_us() -> float:
    started = time.process_time()
    table: dict[int, str] = {}
    for number in range(3000):
        table[number & 63] = str(number)
    return (time.process_time() - started) * 1e6


def _quantile(seconds: Sequence[float], percent: int) -> float:
    if len(seconds) < 2:
        return sum(seconds) * 1000
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1] * 1000


def main(write: Callable[[str], object]) -> None:
    """Measure each cell of the standard input."""
    for line in sys.stdin:
        cell = Cell(**json.loads(line))
        try:
            result = asdict(loop.run(measure(cell)))
        except OSError as error:
            result = asdict(_result(cell, Load(cell.mode, b"", b"", 0, 0.0, errors=1, first_error=str(error)), 1.0, 0.0, _loop_us()))
        write(json.dumps(result) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.stdout.write)
