"""What the checks of the corpus must know of a wire format."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar


class Format(ABC):
    """A wire format, as its vendor's own SDK speaks it."""

    api: ClassVar[str]
    """Value of `api` in the settings, and name of the folder with the fixtures."""
    settings: ClassVar[dict[str, Any]]
    """The provider's table in the settings, without `api`."""

    @abstractmethod
    def url(self, model: str, *, stream: bool) -> str:
        """Return the URL of a request."""

    def streamed_request(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the body of a request for a stream, made of that for a whole answer."""
        return {**body, "stream": True}

    @abstractmethod
    def encode(self, events: Iterable[Any]) -> bytes:
        """Return the bytes of a stream."""

    @abstractmethod
    def check_request(self, body: dict[str, Any]) -> None:
        """Check that the body of a request is what the vendor's own types say."""

    @abstractmethod
    def read(self, body: bytes) -> Any:
        """Return what the vendor's SDK reads in a whole answer."""

    @abstractmethod
    def read_stream(self, raw: bytes) -> Any:
        """Return what the vendor's SDK reads in a stream: the same as in the whole answer."""


def sse(events: Iterable[Any], *, named: bool = False) -> bytes:
    """Return server-sent events: JSON, or text as it is.

    Args:
        events: the data of the events.
        named: whether each event is named by its `type`.
    """
    pieces = []
    for data in events:
        name = f"event: {data.get('type')}\n" if named else ""
        pieces.append(f"{name}data: {data if isinstance(data, str) else json.dumps(data)}\n\n")
    return "".join(pieces).encode()
