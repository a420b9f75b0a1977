"""The cases of the corpus, read from their fixtures."""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

NAMES: Final = (
    "plain",
    "system",
    "multi_turn",
    "tools",
    "parallel_tools",
    "tool_result",
    "image",
    "json_schema",
    "stop",
    "length",
    "refusal",
    "usage",
    "thinking",
    "error",
)
_FIXTURES: Final = Path(__file__).parents[1] / "fixtures"


@dataclass(frozen=True, slots=True)
class Case:
    """A fixture. The package's docstring says what its members are."""

    api: str
    name: str
    request: dict[str, Any]
    sent: dict[str, Any]
    answer: Any
    events: list[Any]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    completion: dict[str, Any] | None = None
    streamed: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    text: str = ""
    event_error: dict[str, Any] | None = None

    @property
    def model(self) -> str:
        return str(self.request["model"])

    @property
    def body(self) -> bytes:
        """The vendor's whole answer."""
        return json.dumps(self.answer).encode()


@cache
def case(api: str, name: str) -> Case:
    """Return a case of a wire format."""
    return Case(api, name, **json.loads((_FIXTURES / api / f"{name}.json").read_text()))


def cases(api: str) -> list[Case]:
    """Return all cases of a wire format."""
    return [case(api, name) for name in NAMES]
