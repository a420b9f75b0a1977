"""The tool calls of one choice, as OpenAI sends them (docs/contract.md, Answers).

Calls are numbered from 0 in the order of their appearance. A call's first piece has its id, type and name, which no later piece repeats.
The arguments are the text of a JSON object.
"""

import secrets
from typing import Any

from completions_mw.core.answers.tool_call import INPUTS, Kind, Piece, ToolCall
from completions_mw.errors import UpstreamError


class ToolCalls:
    """The tool calls of one choice."""

    __slots__ = ("_by_index", "_calls")

    def __init__(self) -> None:
        self._calls: list[ToolCall] = []
        self._by_index: dict[int, ToolCall] = {}
        """The newest call of each index of the target's."""

    def __bool__(self) -> bool:
        return bool(self._calls)

    def follow(self, pieces: object) -> bool:
        """Return whether the pieces in a chunk are OpenAI's next pieces without changes, and add them if they are."""
        if pieces is None:
            return True
        if type(pieces) is not list or len(pieces) != 1 or type(pieces[0]) is not dict:
            return False
        piece = pieces[0]
        kind: Kind = "custom" if "custom" in piece else "function"
        index, called = piece.get("index"), piece.get(kind)
        if type(index) is not int or type(called) is not dict or type(called.get(INPUTS[kind])) is not str:
            return False
        if index == len(self._calls) and self._begins(kind, piece, called):
            self._begin(Piece.read(piece)).is_sent = True
        elif "id" in piece or "type" in piece or "name" in called or not self._is_known(index):
            return False
        self._calls[index].add(called[INPUTS[kind]])
        return True

    def take(self, pieces: object, *, is_over: bool) -> list[dict[str, Any]]:
        """Add the pieces in a chunk, and return them as OpenAI sends them.

        Args:
            pieces: value of `tool_calls`.
            is_over: whether the target said before that the choice is complete, so that a call which it names again is not a new one.
        """
        in_chunk: list[ToolCall] = []
        taken = []
        for value in pieces if isinstance(pieces, list) else [pieces]:
            if not isinstance(value, dict):
                continue
            piece = Piece.read(value)
            if not (piece.id or piece.name or piece.arguments or piece.extra) or self._repeats(piece, is_over=is_over):
                continue
            call = self._call_of(piece, in_chunk) or self._begin(piece)
            in_chunk.append(call)
            call.add(piece.arguments)
            taken += self._sent(call, piece)
        return taken

    def take_whole(self, calls: list[Any]) -> list[dict[str, Any]]:
        """Return the calls of a whole answer as OpenAI sends them: each member of the list is a call of its own."""
        taken = []
        for member in calls:
            if isinstance(member, dict) and isinstance(member.get("function"), dict):
                piece = Piece.read(member)
                call = self._begin(piece)
                function = {**member["function"], "name": piece.name or "", "arguments": piece.arguments or "{}"}
                given = {name: value for name, value in member.items() if name != "index"}
                taken.append({**given, "id": call.id, "type": "function", "function": function})
            elif isinstance(member, dict):
                # A custom tool has another member in place of `function`.
                taken.append(member)
        return taken

    def end(self) -> list[dict[str, Any]]:
        """Return the pieces that are missing when the choice is complete: arguments of calls that have none.

        Raises:
            UpstreamError: a call has no name, so that nobody can answer it.
        """
        pieces = []
        for call in self._calls:
            if not call.is_sent:
                raise UpstreamError("The upstream provider sent a tool call without a name.", code="upstream_protocol_error")
            if call.kind == "function" and not call.arguments.strip():
                call.add("{}")
                pieces.append({"index": call.index, "function": {"arguments": "{}"}})
        return pieces

    def _begins(self, kind: Kind, piece: dict[str, Any], called: dict[str, Any]) -> bool:
        """Return whether a piece has the whole identity of a new call."""
        id, name = piece.get("id"), called.get("name")
        if type(id) is not str or not id or type(name) is not str or not name or piece.get("type") != kind:
            return False
        return all(call.id != id for call in self._calls)

    def _is_known(self, index: int) -> bool:
        """Return whether a call has this index at the client as at the target, and was begun."""
        return 0 <= index < len(self._calls) and self._by_index.get(index) is self._calls[index] and self._calls[index].is_sent

    def _call_of(self, piece: Piece, in_chunk: list[ToolCall]) -> ToolCall | None:
        """Return the call that a piece goes on with; None if it begins the next one."""
        here = self._by_index.get(piece.index) if piece.index is not None else self._calls[-1] if self._calls else None
        named = next((call for call in self._calls if call.given_id == piece.id), None) if piece.id else None
        if named is not None:
            if piece.index is None or named.given_index in (None, piece.index):
                return named
            # Some targets give all calls of an answer one id, and number them.
            return here if here is not None or piece.name else named
        if piece.id and piece.name and (here is None or here.name is not None or here.given_id is not None):
            return None
        if here is None:
            return None if piece.id or piece.name or not self._calls else self._calls[-1]
        if piece.name and here.name is not None:
            is_next = piece.name != here.name or here.is_whole or (piece.index is None and here in in_chunk)
            return None if is_next else here
        return here

    def _repeats(self, piece: Piece, *, is_over: bool) -> bool:
        """Return whether a piece repeats a whole call: by its id, or after the end of the choice, where no other call can follow."""
        for call in self._calls:
            if piece.name == call.name and piece.arguments == call.arguments and call.is_whole:
                return is_over or (piece.id is not None and piece.id == call.given_id)
        return False

    def _begin(self, piece: Piece) -> ToolCall:
        is_own = piece.id is not None and all(call.id != piece.id for call in self._calls)
        id = piece.id if is_own and piece.id else f"call_{secrets.token_hex(12)}"
        call = ToolCall(len(self._calls), id, piece)
        self._calls.append(call)
        self._by_index[call.index if piece.index is None else piece.index] = call
        return call

    def _sent(self, call: ToolCall, piece: Piece) -> list[dict[str, Any]]:
        """Return what the client gets of a piece: nothing before the call has its name."""
        call.name = call.name or piece.name
        member = INPUTS[call.kind]
        if call.is_sent:
            is_empty = not (piece.arguments or piece.extra)
            return [] if is_empty else [{"index": call.index, call.kind: {member: piece.arguments}, **piece.extra}]
        if call.name is None:
            return []
        call.is_sent = True
        called = {"name": call.name, member: call.arguments}
        return [{"index": call.index, "id": call.id, "type": call.kind, call.kind: called, **piece.extra}]
