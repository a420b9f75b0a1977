"""From measurements to what is printed."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from bench.cells import Mode, Result

Medians = Mapping[tuple[Mode, int, str], Result]
Column = tuple[str, Callable[[Result], str]]

_AVERAGED: Final = ("per_second", "cpu_us", "p50_ms", "p99_ms", "first_byte_ms", "rss_mb", "loop_us")
_COMMON: Final[tuple[Column, ...]] = (
    ("p50 ms", lambda result: f"{result.p50_ms:.2f}"),
    ("p99 ms", lambda result: f"{result.p99_ms:.2f}"),
    ("RSS MB", lambda result: f"{result.rss_mb:.0f}"),
    ("errors", lambda result: str(result.errors)),
)


def medians(results: Sequence[Result]) -> Medians:
    """Return the median of each cell over the rounds; requests and errors are summed."""
    cells: dict[tuple[Mode, int, str], list[Result]] = {}
    for result in results:
        cells.setdefault((result.mode, result.connections, result.name), []).append(result)
    return {key: _median(rounds) for key, rounds in cells.items()}


def _median(rounds: Sequence[Result]) -> Result:
    middle = {name: statistics.median(getattr(result, name) for result in rounds) for name in _AVERAGED}
    sums = {name: sum(getattr(result, name) for result in rounds) for name in ("requests", "errors")}
    first_error = next((result.first_error for result in rounds if result.first_error), "")
    return replace(rounds[0], **middle, **sums, first_error=first_error)


def json_table(cells: Medians) -> str:
    """Return the table of whole answers."""
    columns: list[Column] = [
        ("req/s", lambda result: f"{result.per_second:,.0f}"),
        ("CPU us/req", lambda result: f"{result.cpu_us:.0f}"),
        *_COMMON,
    ]
    return _table("Whole answers", "json", columns, cells)


def stream_table(cells: Medians) -> str:
    """Return the table of streams."""

    def added(result: Result) -> str:
        direct = cells.get(("stream", result.connections, "direct"))
        return f"{result.first_byte_ms - direct.first_byte_ms:.2f}" if direct else "-"

    columns: list[Column] = [
        ("chunks/s", lambda result: f"{result.per_second:,.0f}"),
        ("CPU us/chunk", lambda result: f"{result.cpu_us:.1f}"),
        ("first byte ms", lambda result: f"{result.first_byte_ms:.2f}"),
        ("added ms", added),
        *_COMMON,
    ]
    return _table("Streams", "stream", columns, cells)


def _table(title: str, mode: Mode, columns: Sequence[Column], cells: Medians) -> str:
    rows = [["connections", "server", *(name for name, _ in columns)]]
    before = 0
    for (kind, connections, name), result in cells.items():
        if kind == mode:
            shown = (show(result) if result.requests or column == "errors" else "-" for column, show in columns)
            rows.append([str(connections) if connections != before else "", name, *shown])
            before = connections
    return f"{title}\n{_aligned(rows)}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) if at == 1 else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def overheads(results: Sequence[Result], pairs: Iterable[tuple[str, str]], connections: int) -> list[dict[str, object]]:
    """Return what each of `pairs` costs more than its baseline: the median of the rounds' differences, which drift does not touch."""
    found: list[dict[str, object]] = []
    for name, baseline in pairs:
        costs = {mode: _differences(results, mode, connections, name, baseline) for mode in ("json", "stream")}
        if all(costs.values()):
            found.append(
                {
                    "name": name,
                    "baseline": baseline,
                    "connections": connections,
                    "json_us_per_request": round(statistics.median(costs["json"]), 1),
                    "stream_us_per_chunk": round(statistics.median(costs["stream"]), 2),
                }
            )
    return found


def floors(results: Sequence[Result], pairs: Iterable[tuple[str, str]], connections: int) -> list[dict[str, object]]:
    """Return the CPU time of each server in those of a fixed answer on the same one, its floor: the median of the rounds' ratios."""
    found: list[dict[str, object]] = []
    for name, floor in pairs:
        values: dict[str, object] = {}
        hellos = _rounds(results, "json", connections, floor)
        for mode, unit in (("json", "request"), ("stream", "chunk")):
            rounds = zip(_rounds(results, mode, connections, name), hellos, strict=False)  # type: ignore[arg-type]
            costs = [one.cpu_us / hello.cpu_us for one, hello in rounds if one.requests and hello.requests]
            if costs:
                values[f"hellos_per_{unit}"] = round(statistics.median(costs), 2)
        if values:
            found.append({"name": name, "floor": floor, "connections": connections, **values})
    return found


def ratios(results: Sequence[Result], pairs: Iterable[tuple[str, str]], connections: int) -> list[dict[str, object]]:
    """Return the speed and the CPU time with limits or a budget, over those without: the median of the rounds' ratios."""
    found: list[dict[str, object]] = []
    for name, unlimited in pairs:
        values: dict[str, object] = {}
        for mode in ("json", "stream"):
            rounds = list(zip(*(_rounds(results, mode, connections, which) for which in (name, unlimited)), strict=False))
            # One of them may have served nothing.
            rounds = [(one, other) for one, other in rounds if one.requests and other.requests]
            for field in ("per_second", "cpu_us") if rounds else ():
                values[f"{mode}_{field}"] = round(
                    statistics.median(getattr(one, field) / getattr(other, field) for one, other in rounds), 3
                )
        if values:
            found.append({"name": name, "unlimited": unlimited, "connections": connections, **values})
    return found


def _differences(results: Sequence[Result], mode: str, connections: int, name: str, baseline: str) -> list[float]:
    rounds = zip(*(_rounds(results, mode, connections, which) for which in (name, baseline)), strict=False)
    return [ours.cpu_us - bare.cpu_us for ours, bare in rounds]


def _rounds(results: Sequence[Result], mode: str, connections: int, name: str) -> list[Result]:
    return [result for result in results if (result.mode, result.connections, result.name) == (mode, connections, name)]


def ratio_line(ratio: Mapping[str, object]) -> str:
    """Return a ratio as a sentence."""
    costs = [
        f"{ratio[f'{mode}_per_second']} of the {units} per second (CPU {ratio[f'{mode}_cpu_us']})"
        for mode, units in (("json", "requests"), ("stream", "chunks"))
        if f"{mode}_per_second" in ratio
    ]
    return f"{ratio['name']} beside {ratio['unlimited']}, {ratio['connections']} connections: {', '.join(costs)}"


def rival_line(ratio: Mapping[str, object]) -> str:
    """Return how much faster ours is than a peer as a sentence."""
    speed, cpu = ratio["json_per_second"], ratio["json_cpu_us"]
    return (
        f"{ratio['name']} beside {ratio['unlimited']}, {ratio['connections']} connections: "
        f"{speed:.1f} times the requests per second ({cpu:.3f} of its CPU time a request)"
    )


def floor_line(floor: Mapping[str, object]) -> str:
    """Return a cost in units of the floor as a sentence."""
    costs = [f"{floor[f'hellos_per_{unit}']} a {unit}" for unit in ("request", "chunk") if f"hellos_per_{unit}" in floor]
    return f"{floor['name']}, {floor['connections']} connections, in the CPU time of {floor['floor']}: {', '.join(costs)}"


def overhead_line(overhead: Mapping[str, object]) -> str:
    """Return an overhead as a sentence."""
    return (
        f"{overhead['name']} on top of the bare relay ({overhead['baseline']}), {overhead['connections']} connections: "
        f"{overhead['json_us_per_request']} us CPU per request (JSON), {overhead['stream_us_per_chunk']} us per chunk (stream)"
    )


def speed_line(results: Sequence[Result]) -> str:
    """Return how even the machine was: other work on it makes CPU times longer, too."""
    times = [result.loop_us for result in results]
    slow = statistics.median(times) / min(times)
    return f"machine: a fixed loop took {min(times):.0f} us of CPU at best, and {slow:.2f} times that in the median (1.0: it was quiet)"


def error_lines(cells: Medians) -> list[str]:
    """Return what went wrong, a line for each cell with errors."""
    return [f"{name}, {mode}, {number}: {cell.first_error}" for (mode, number, name), cell in cells.items() if cell.errors]
