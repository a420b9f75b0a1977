"""`python -m bench`: see README.md beside this file."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Final

from bench import report
from bench.contestants import Contestant, contestants, upstream
from bench.peers import PEERS
from bench.processes import ROOT, SkippedError
from bench.schedule import Plan, run, start, start_all

BOUND_AT: Final = 32
"""Connections at which the price on top of the bare relay is bounded: 60 us a request, 15 us a chunk."""


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="What a request costs.")
    parser.add_argument("--only", type=_names, help="contestants, separated by commas")
    parser.add_argument("--rounds", type=int, help="times that each cell is measured (3)")
    parser.add_argument("--requests", type=int, help="at most so many in a cell (4000)")
    parser.add_argument("--seconds", type=float, help="at most so long for a cell, half as long again for streams (0.8)")
    parser.add_argument("--connections", type=_numbers, help="separated by commas (1,32,128)")
    parser.add_argument("--chunk-rate", type=int, default=0, help="chunks a second of all streams together (no limit)")
    parser.add_argument("--transport", help="module:factory; called with blocking=True or False, returns a transport or None")
    parser.add_argument("--before", type=Path, help="another checkout, with its .venv, whose servers of ours are measured beside these")
    parser.add_argument("--quick", action="store_true", help="one round at 32 connections")
    parser.add_argument("--json", type=Path, help="write every measurement to this file, too")
    return parser.parse_args(arguments)


def plan_of(asked: argparse.Namespace) -> Plan:
    """Return the plan; what was asked for goes before `--quick`."""
    return Plan(
        rounds=asked.rounds or (1 if asked.quick else 3),
        connections=asked.connections or ((BOUND_AT,) if asked.quick else (1, 32, 128)),
        requests=asked.requests or 4000,
        seconds=asked.seconds or 0.8,
        chunks_per_second=asked.chunk_rate,
    )


def main() -> None:
    """Measure and print."""
    asked = options()
    plan = plan_of(asked)
    skipped: dict[str, str] = {}

    def skip(name: str, error: Exception) -> None:
        skipped[name] = str(error)
        _say(f"{name} skipped: {error}")

    with ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        direct = upstream()
        server = start(direct, stack, logs)
        chosen = _chosen(asked, server.port, skip)
        servers = {direct: server, **start_all(chosen, stack, logs, skip)}
        results = list(run(plan, servers, _say))
    cells = report.medians(results)
    overheads = report.overheads(results, [(one.name, one.baseline) for one in chosen if one.baseline], BOUND_AT)
    print(report.json_table(cells), report.stream_table(cells), sep="\n\n")
    pairs = [(one.name, one.unlimited) for one in chosen if one.unlimited]
    pairs += [(one.name, f"{one.name}@before") for one in chosen if asked.before is not None and one.environment and one.folder == ROOT]
    pairs += [(one.name, one.plain) for one in chosen if one.plain]
    ratios = report.ratios(results, pairs, BOUND_AT)
    rivals = report.ratios(results, [(one.rival, one.name) for one in chosen if one.rival], BOUND_AT)
    floors = report.floors(results, [(one.name, one.floor) for one in chosen if one.name != one.floor], BOUND_AT)
    print(
        "",
        *map(report.floor_line, floors),
        *map(report.overhead_line, overheads),
        report.speed_line(results),
        *report.error_lines(cells),
        sep="\n",
    )
    skips = (f"{name}: skipped, {why}" for name, why in skipped.items())
    print("", *map(report.ratio_line, ratios), *skips, *map(report.rival_line, rivals), sep="\n")
    if asked.json:
        machine = {"python": platform.python_version(), "platform": platform.platform(), "cpus": os.cpu_count()}
        found = {
            "machine": machine,
            "plan": asdict(plan),
            "floors": floors,
            "overheads": overheads,
            "ratios": ratios,
            "rivals": rivals,
            "results": [asdict(result) for result in results],
        }
        asked.json.write_text(json.dumps(found, indent=1))


def _chosen(asked: argparse.Namespace, upstream_port: int, skip: Callable[[str, Exception], None]) -> list[Contestant]:
    known = contestants(upstream_port, asked.transport)
    names = asked.only or [one.name for one in known]
    if unknown := set(names) - {one.name for one in known} - PEERS.keys() - {"direct"}:
        sys.exit(f"no such contestant: {', '.join(sorted(unknown))}")
    chosen = [one for one in known if one.name in names]
    if asked.before is not None:
        chosen += [one.of(asked.before.resolve()) for one in chosen if one.environment]
    peers = [name for name in PEERS if name in names or os.environ.get("PEERS") == "1"]
    for name in peers:
        _say(f"preparing {name}")
        try:
            chosen.append(PEERS[name](upstream_port))
        except SkippedError as error:
            skip(name, error)
    return chosen


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
