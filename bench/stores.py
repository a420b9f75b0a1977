"""What some rows use, each its own: Redis and PostgreSQL as they are installed, with their defaults, SQLite, an upstream with TLS."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.processes import ROOT, Server, SkippedError, free_port, program


def redis(stack: ExitStack, folder: Path) -> Mapping[str, str]:
    """Start a Redis for limits; return the variables that name it.

    Raises:
        SkippedError: it is not installed.
    """
    return {"BENCH_ADMISSION": _redis(stack, folder)}


def redis_cache(stack: ExitStack, folder: Path) -> Mapping[str, str]:
    """Start a Redis for cached answers; return the variables that name it.

    Raises:
        SkippedError: it is not installed.
    """
    return {"BENCH_CACHE": _redis(stack, folder)}


def _redis(stack: ExitStack, folder: Path) -> str:
    port = free_port()
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    _serve(command, port, stack, folder / "redis")
    return f"redis://127.0.0.1:{port}/0"


def sqlite(stack: ExitStack, folder: Path) -> Mapping[str, str]:
    """Return the variables that name a new file."""
    return {"BENCH_LEDGER": f"sqlite:///{folder}/ledger.db"}


def postgres(stack: ExitStack, folder: Path) -> Mapping[str, str]:
    """Start a new PostgreSQL; return the variables that name it.

    Raises:
        SkippedError: it is not installed, or makes no cluster.
    """
    port, place, data = free_port(), _postgres_programs(), folder / "postgres" / "data"
    data.parent.mkdir()
    made = subprocess.run(
        [*_as_somebody(), place / "initdb", "-A", "trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D", data],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise SkippedError(f"initdb failed: {made.stderr.strip()}")
    options = ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    _serve([*_as_somebody(), str(place / "postgres"), "-D", str(data), *options], port, stack, data.parent)
    return {"BENCH_LEDGER": f"postgresql://postgres@127.0.0.1:{port}/postgres"}


def tls(stack: ExitStack, folder: Path) -> Mapping[str, str]:
    """Start a mock upstream with TLS; return the variables that name it, and who has signed its certificate.

    Raises:
        SkippedError: there is no program that makes certificates.
    """
    port, certificate = free_port(), folder / "localhost.pem"
    command = [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", certificate, "-out", f"{certificate}.crt"], check=True, capture_output=True)
    certificate.write_bytes(certificate.read_bytes() + Path(f"{certificate}.crt").read_bytes())
    server = Server([sys.executable, "-m", "bench.upstream", str(port), str(certificate)], {}, port, folder / "log.txt", ROOT)
    stack.callback(server.stop)
    server.wait_until_listening(20)
    return {"BENCH_UPSTREAM": str(port), "BENCH_CERTIFICATE": str(certificate)}


def _serve(command: Sequence[str], port: int, stack: ExitStack, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    server = Server(command, {}, port, folder / "log.txt", folder)
    stack.callback(server.stop)
    server.wait_until_listening(20)


def _postgres_programs() -> Path:
    found = shutil.which("postgres")
    places = [Path(found).resolve().parent] if found else []
    # Debian keeps them out of the PATH.
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    place = next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)
    if place is None:
        raise SkippedError("there is no PostgreSQL server")
    return place


def _as_somebody() -> list[str]:
    # PostgreSQL refuses to run as root, so root becomes somebody else in a namespace of its own.
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"] if os.geteuid() == 0 else []
