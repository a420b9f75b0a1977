"""The values of cached answers in Redis: written by this library, bound to their key, and checked before they are used. Never pickled."""

import zlib
from collections import OrderedDict
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


MAX_SOUND_VALUES: Final = 4096
"""Number of checked values that are known."""


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


class SoundValues:
    """What tells apart the values that this process has checked, so that one which comes again is not parsed again.

    Threads need no lock, since each call of the table is atomic.
    """

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        self._marks: OrderedDict[tuple[object, ...], None] = OrderedDict()

    def __contains__(self, mark: tuple[object, ...]) -> bool:
        return mark in self._marks

    def add(self, mark: tuple[object, ...]) -> None:
        """Take in a value; of more than `MAX_SOUND_VALUES` the oldest is forgotten."""
        self._marks[mark] = None
        if len(self._marks) > MAX_SOUND_VALUES:
            self._marks.popitem(last=False)


def unpack(digest: bytes, value: bytes, max_bytes: int, sound: SoundValues) -> tuple[StoredAnswer, int]:
    """Return the answer in a value, and the milliseconds for which it was stored.

    Args:
        digest: digest of the key.
        value: the value.
        max_bytes: maximum of bytes of an answer.
        sound: the values that were checked before.

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
    body, chunks, usage, _ = lengths
    target_at = body + chunks + usage
    # The lengths too, which the checksum, of the key and of all texts, does not cover.
    mark = (checksum, *lengths)
    try:
        answer = StoredAnswer(texts[:target_at], body, body + chunks, texts[target_at:].decode())
        if mark not in sound:
            _check(answer)
            sound.add(mark)
    except (ValueError, KeyError, TypeError):
        raise ForeignValueError from None
    return answer, ttl_ms


def _check(answer: StoredAnswer) -> None:
    """Check that the texts of an answer are what they are kept as."""
    whole = from_json(answer.body)
    *events, last_chunk, done = events_of(answer, include_usage=True)
    # An answer without a stream has embeddings.
    content = whole["choices" if answer.chunks else "data"]
    are_chunks = all(_is_list_of_objects(event.data["choices"]) for event in events)
    if done is not DONE or not _is_list_of_objects(content) or not is_usage(last_chunk.data["usage"]) or not are_chunks:
        raise ForeignValueError


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _checksum(digest: bytes, texts: bytes) -> bytes:
    return blake2b(texts, digest_size=16, key=digest).digest()
