"""Secrets of keys: making them, and the record that is kept of each."""

import re
import secrets
import string
from dataclasses import dataclass, field
from typing import Final

from completions_mw.core.keys.owners import digest_of
from completions_mw.core.ports import KeyRecord, SecretRecord

_PUBLIC_ALPHABET: Final = string.ascii_lowercase + string.digits
_SECRET_ALPHABET: Final = string.ascii_letters + string.digits
_PUBLIC_LENGTH: Final = 12
_SECRET_LENGTH: Final = 43
"""Number of random characters in a secret: with 62 possible ones, more than 256 bits."""
_match_own_form = re.compile(rf"sk-cmw-([a-z0-9]{{{_PUBLIC_LENGTH}}})-[A-Za-z0-9]+", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key with a new secret, which can be seen only here: the store keeps its SHA-256."""

    key: KeyRecord
    secret: str = field(repr=False)
    """Token that clients send: `sk-cmw-<public id>-<random characters>`."""


def is_own_form(token: str) -> bool:
    """Return whether `token` has the form of secrets that this package makes."""
    return _match_own_form(token) is not None


def new_id() -> str:
    """Return a random id for a key: `key_` and 16 hexadecimal digits."""
    return f"key_{secrets.token_hex(8)}"


def new_token() -> str:
    """Return a random token for a new key: `sk-cmw-<public id>-<random characters>`."""
    return f"sk-cmw-{new_public_id()}-{_random(_SECRET_ALPHABET, _SECRET_LENGTH)}"


def secret_of(token: str, now: float) -> SecretRecord:
    """Return the record that is kept of a token, made by this package or elsewhere; `now` is seconds since the epoch."""
    match = _match_own_form(token)
    return SecretRecord(match[1] if match else new_public_id(), digest_of(token), created_at=now)


def new_public_id() -> str:
    """Return a random public id, which names a secret without revealing it."""
    return _random(_PUBLIC_ALPHABET, _PUBLIC_LENGTH)


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
