"""One tool call and its pieces, as a target sends them."""

from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from pydantic_core import from_json, to_json

Kind = Literal["function", "custom"]
"""Type of a tool, and the member of a call that has its name and its input."""

_MEMBERS: Final = frozenset({"index", "id", "type", "function", "custom"})
INPUTS: Final[dict[Kind, str]] = {"function": "arguments", "custom": "input"}
"""Member that has the input, by the type of the tool."""


class ToolCall:
    """A tool call, as far as it has come."""

    __slots__ = ("_arguments", "given_id", "given_index", "id", "index", "is_sent", "kind", "name")

    def __init__(self, index: int, id: str, first: "Piece") -> None:
        self.index = index
        self.id = id
        self.kind = first.kind
        self.name = first.name
        self.given_index = first.index
        """Index at the target; None if it gives none."""
        self.given_id = first.id
        """Id at the target; None if it gives none."""
        self.is_sent = False
        """Whether the client has the first piece, with the id and the name."""
        self._arguments: list[str] = []

    def add(self, arguments: str) -> None:
        """Add to the arguments."""
        self._arguments.append(arguments)

    @property
    def arguments(self) -> str:
        """The arguments so far."""
        return "".join(self._arguments)

    @property
    def is_whole(self) -> bool:
        """Whether the arguments are a JSON object, to which nothing can be added."""
        text = self.arguments
        try:
            return self.kind == "function" and text.rstrip().endswith("}") and isinstance(from_json(text), dict)
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a tool call as a target sends it, without the values that say nothing."""

    kind: Kind
    index: int | None
    id: str | None
    name: str | None
    arguments: str
    """Arguments of a function, or the input of a custom tool."""
    extra: dict[str, Any]
    """Members that are not OpenAI's."""

    @classmethod
    def read(cls, piece: dict[str, Any]) -> Self:
        """Return a piece whose members have the types that they should have."""
        kind: Kind = "custom" if isinstance(piece.get("custom"), dict) else "function"
        called = piece.get(kind)
        called = called if isinstance(called, dict) else {}
        index = piece.get("index")
        return cls(
            kind,
            index if type(index) is int else None,
            _text(piece.get("id")),
            _text(called.get("name")),
            arguments_of(called.get(INPUTS[kind])),
            {name: value for name, value in piece.items() if name not in _MEMBERS and value is not None},
        )


def arguments_of(value: object) -> str:
    """Return the arguments of a call as text, where some targets have an object."""
    return value if isinstance(value, str) else "" if value is None else to_json(value, inf_nan_mode="null").decode()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
