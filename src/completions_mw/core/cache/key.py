"""The key of a request in the cache."""

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final

SCHEMA_VERSION: Final = b"2"
"""Version of stored answers and of their keys. A change of either needs a new one, so that older entries are never found."""
IGNORED_FIELDS: Final = frozenset({"stream", "stream_options", "user", "metadata", "safety_identifier", "store"})
"""Fields of a request that do not affect its answer."""

# JSON tells `1`, `1.0`, `true` and `"1"` apart. Sorted names and a fixed spelling make equal requests equal texts.
_canonical: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, check_circular=False).encode


def model_prefix(name: str, targets: Iterable[str]) -> bytes:
    """Return the part of a key that all requests for a model share.

    Args:
        name: model name that clients send.
        targets: names and variants of the model's targets, so that answers are not found once the settings would give others.
    """
    return b"".join(map(_prefixed, (SCHEMA_VERSION, name.encode("utf-8", "surrogatepass"), _canonical(list(targets)).encode())))


def content_of(fields: dict[str, Any]) -> bytes:
    """Return the SHA-256 of the fields that affect the answer, in their canonical form.

    Args:
        fields: valid fields of a request, as they are sent to an upstream.
    """
    asked = {name: value for name, value in fields.items() if name not in IGNORED_FIELDS}
    return sha256(_canonical(asked).encode()).digest()


def digest_of(prefix: bytes, scope: str, content: bytes, cap: int | None = None) -> bytes:
    """Return the digest of a request: SHA-256 of its parts, each with its length before it.

    Args:
        prefix: the part that all requests for a model share.
        scope: scope whose requests may share the answer.
        content: the part that depends on the fields of the request (see `content_of`).
        cap: maximum of completion tokens that the gateway sets for the upstream; None where it sets none.
    """
    parts = (scope.encode("utf-8", "surrogatepass"), b"" if cap is None else b"%d" % cap, content)
    return sha256(prefix + b"".join(map(_prefixed, parts))).digest()


def _prefixed(part: bytes) -> bytes:
    return len(part).to_bytes(8, "big") + part
