"""What is measured, and what comes out: passed between processes as JSON."""

from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["json", "stream"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement: one server, one kind of request, one number of connections."""

    name: str
    mode: Mode
    connections: int
    port: int
    pid: int
    """Whose CPU time is counted, with its children."""
    requests: int
    seconds: float
    """No request is begun after so many; those under way are finished."""
    pause_us: int
    """Between two chunks of one stream."""
    mark: str = ""
    """What the head of each answer must have in it, in lower case."""
    path: str = "/v1/chat/completions"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What one measurement gave. Times in the unit of the name; latencies of good answers only."""

    name: str
    mode: Mode
    connections: int
    requests: int
    errors: int
    first_error: str
    per_second: float
    cpu_us: float
    """CPU time of the server for one request; of a stream, for one chunk."""
    p50_ms: float
    p99_ms: float
    first_byte_ms: float
    """To the first byte of the body, in the median."""
    rss_mb: float
    loop_us: float
    """CPU time of a fixed piece of Python before and after, in the load generator: how fast the machine was at that moment."""
