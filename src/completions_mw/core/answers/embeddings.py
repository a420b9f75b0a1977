"""Answers with embeddings, completed and corrected (docs/contract.md, Embeddings)."""

import re
import struct
from base64 import b64decode, b64encode
from math import isfinite
from typing import Any, Final

from pydantic_core import to_json

from completions_mw.core.validation.embeddings import Embed
from completions_mw.errors import GatewayError, InvalidRequestError, UpstreamError
from completions_mw.providers.base import Completion

LIST_OBJECT: Final = "list"
FLOAT_BYTES: Final = 4
"""Bytes of a number in a vector that is base64."""
_NUMBER_TYPES: Final = frozenset({int, float})


def complete_embeddings(answer: Completion, request: Embed, name: str) -> Completion:
    """Return an answer that has what OpenAI's schema requires. Usage is not looked at.

    The bytes of an answer that is right are kept; where only the name of the model is another one, that alone is replaced in them.

    Args:
        answer: the target's answer, with at least one vector.
        request: the request.
        name: name of the model for the client.

    Raises:
        UpstreamError: the answer has another number of vectors than the request has inputs, or a vector is malformed.
        InvalidRequestError: the target has not made vectors of the `dimensions` that the client asked for.
    """
    data = answer.data
    given = data["data"]
    if len(given) != len(request.inputs):
        raise malformed_embeddings_error()
    completed = [_completed(item, position, request) for position, item in enumerate(_in_order(given))]
    is_right = data.get("object") == LIST_OBJECT and all(new is old for new, old in zip(completed, given, strict=True))
    if is_right and data.get("model") == name:
        return answer
    if is_right and answer.raw is not None and (raw := _renamed(answer.raw, data.get("model"), name)) is not None:
        return Completion({**data, "model": name}, raw)
    whole = {"object": LIST_OBJECT, "data": completed, "model": name}
    # Twice: first for OpenAI's order of members, then to replace the target's values.
    return Completion({**whole, **data, **whole})


def _in_order(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return vectors in the order of the inputs, by their `index` where all have one."""
    positions = [item.get("index") for item in items]
    in_order = list(range(len(items)))
    if positions == in_order or sorted(position for position in positions if type(position) is int) != in_order:
        return items
    return sorted(items, key=lambda item: int(item["index"]))


def _completed(item: dict[str, Any], position: int, request: Embed) -> dict[str, Any]:
    vector = item["embedding"]
    # Checked whatever is done with it: what is not a vector must not pass for one.
    packed = _packed(vector) if isinstance(vector, str) else None
    length = len(vector) if packed is None else len(packed) // FLOAT_BYTES
    if not length or (packed is None and not _are_numbers(vector)):
        raise malformed_embeddings_error()
    dimensions = request.request.dimensions
    if dimensions is not None and length != dimensions:
        raise unsupported_dimensions_error()
    if request.is_base64 and packed is None:
        vector = _base64(vector)
    elif packed is not None and not request.is_base64:
        vector = list(struct.unpack(f"<{length}f", packed))
        if not _are_numbers(vector):
            raise malformed_embeddings_error()
    elif item.get("index") == position and item.get("object") == "embedding":
        return item
    whole = {"object": "embedding", "index": position, "embedding": vector}
    return {**whole, **item, **whole}


def _are_numbers(vector: list[Any]) -> bool:
    """Return whether all members of a vector are finite numbers: JSON's `1e999` is read as infinite, and base64 may hold NaN."""
    try:
        # The sum, since one call of `isfinite` costs less than one for each member.
        return _NUMBER_TYPES.issuperset(map(type, vector)) and isfinite(sum(vector))
    except OverflowError:
        return False


def _packed(text: str) -> bytes:
    try:
        packed = b64decode(text, validate=True)
    except ValueError:
        raise malformed_embeddings_error() from None
    if len(packed) % FLOAT_BYTES:
        raise malformed_embeddings_error()
    return packed


def _base64(vector: list[float]) -> str:
    try:
        return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except (struct.error, OverflowError):
        # A number that is larger than any of 32 bits.
        raise malformed_embeddings_error() from None


def _renamed(raw: bytes, old: object, name: str) -> bytes | None:
    """Return the bytes of an answer with another name of its model; None if the name does not stand there exactly once."""
    if not isinstance(old, str):
        return None
    renamed, count = re.subn(rb'"model"\s*:\s*' + re.escape(to_json(old)), lambda _: b'"model":' + to_json(name), raw)
    return renamed if count == 1 else None


def malformed_embeddings_error() -> GatewayError:
    """Return the error for an answer whose vectors cannot be those of the request."""
    return UpstreamError("The upstream provider sent embeddings that do not fit the request.", code="upstream_protocol_error")


def unsupported_dimensions_error() -> InvalidRequestError:
    """Return the error for a model that makes vectors of one length only."""
    return InvalidRequestError("This model does not support specifying dimensions.")
