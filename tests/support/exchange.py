"""A request to a host and its answer, in the terms of tests: no framework, no server."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

HeaderPairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as a server would hand it to the host app."""

    method: str
    path: str
    """Decoded, without `mount`."""
    headers: HeaderPairs = ()
    body: tuple[bytes, ...] = ()
    """In the pieces in which it arrives; without a content-length among the headers it is chunked."""
    mount: str = ""
    """SCRIPT_NAME or root_path."""
    complete: bool = True
    """Whether the body is; if not, its end never comes."""


class Answer(Protocol):
    """The answer of a host, whose body is read as it comes. Leaving the `with` block early is what a client does who leaves."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""
        ...

    @property
    def taken(self) -> int:
        """How many bytes of the request's body the host has read."""
        ...

    def __iter__(self) -> Iterator[bytes]: ...

    def __next__(self) -> bytes: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None: ...


class Server(Protocol):
    """Calls an app as real servers do, in this process."""

    def send(self, request: Sent) -> Answer: ...
