"""The values of cached answers in Redis: written by this library, bound to their key, and checked before they are used. Never pickled."""

import zlib
from hashlib import blake2b
from struct import Struct
from typing import Final

from pydantic_core import from_json

from completions_mw.core.costs.tokens import is_usage
from completions_mw.core.ports import StoredAnswer
from completions_mw.core.streaming.replay import events_of
from completions_mw.sse import DONE

_MAGIC: Final = b"cmw-answer-1\n"
_HEAD: Final = Struct(">BQIIII16s")
"""1 if the texts are compressed, else 0; the lifetime in milliseconds, the lengths of the four texts, and their checksum."""
_TEXTS_AT: Final = len(_MAGIC) + _HEAD.size
VALUE_OVERHEAD: Final = _TEXTS_AT + 1024
"""Bytes that a value may have beyond the bytes of its answer: its head, the name of the target, and what zlib adds."""


class ForeignValueError(Exception):
    """A value was not written by this version of the library for this key, or was changed since."""


def pack(digest: bytes, answer: StoredAnswer, ttl_ms: int, compress_above: int) -> bytes:
    """Return the value of an answer.

    Args:
        digest: digest of the key, to which the value is bound.
        answer: the answer.
        ttl_ms: milliseconds for which the answer is stored.
        compress_above: bytes above which the texts are compressed.
    """
    parts = (answer.body, answer.chunks, answer.usage, answer.target.encode())
    texts = b"".join(parts)
    is_compressed = len(texts) > compress_above
    head = _HEAD.pack(is_compressed, ttl_ms, *map(len, parts), _checksum(digest, texts))
    # Level 1 takes a third of the time of level 6, and most of the gain: chunks of a stream are alike.
    return _MAGIC + head + (zlib.compress(texts, 1) if is_compressed else texts)


def unpack(digest: bytes, value: bytes, max_bytes: int) -> tuple[StoredAnswer, int]:
    """Return the answer in a value, and the milliseconds for which it was stored.

    Args:
        digest: digest of the key.
        value: the value.
        max_bytes: maximum of bytes of an answer.

    Raises:
        ForeignValueError: the value is not ours.
    """
    if not value.startswith(_MAGIC) or len(value) < _TEXTS_AT:
        raise ForeignValueError
    is_compressed, ttl_ms, *lengths, checksum = _HEAD.unpack_from(value, len(_MAGIC))
    size = sum(lengths)
    if is_compressed > 1 or size > max_bytes + VALUE_OVERHEAD:
        raise ForeignValueError
    texts = value[_TEXTS_AT:]
    if is_compressed:
        try:
            # Never more than the declared size, so that a small value cannot fill the memory.
            texts = zlib.decompressobj().decompress(texts, size + 1)
        except zlib.error:
            raise ForeignValueError from None
    if len(texts) != size or checksum != _checksum(digest, texts):
        raise ForeignValueError
    ends = [sum(lengths[: at + 1]) for at in range(len(lengths))]
    body, chunks, usage, target = (texts[start:end] for start, end in zip((0, *ends), ends, strict=False))
    return _checked(body, chunks, usage, target), ttl_ms


def _checked(body: bytes, chunks: bytes, usage: bytes, target: bytes) -> StoredAnswer:
    try:
        answer = StoredAnswer.of(body, chunks, usage, target.decode())
        whole = from_json(body)
        *events, last_chunk, done = events_of(answer, include_usage=True)
        # An answer without a stream has embeddings.
        content = whole["choices" if chunks else "data"]
        are_chunks = all(_is_list_of_objects(event.data["choices"]) for event in events)
        if done is not DONE or not _is_list_of_objects(content) or not is_usage(last_chunk.data["usage"]) or not are_chunks:
            raise ForeignValueError
    except (ValueError, KeyError, TypeError):
        raise ForeignValueError from None
    return answer


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _checksum(digest: bytes, texts: bytes) -> bytes:
    return blake2b(texts, digest_size=16, key=digest).digest()
