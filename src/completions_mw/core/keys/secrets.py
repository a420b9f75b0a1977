"""The secrets of keys: how they are made, and what is kept of them."""

import re
import secrets
import string
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from completions_mw.core.ports import KeyRecord, SecretRecord

_PUBLIC: Final = string.ascii_lowercase + string.digits
_SECRET: Final = string.ascii_letters + string.digits
_PUBLIC_LENGTH: Final = 12
_SECRET_LENGTH: Final = 43
"""Of 62 characters each: more than 256 bits."""
_ours = re.compile(rf"sk-cmw-([a-z0-9]{{{_PUBLIC_LENGTH}}})-[A-Za-z0-9]+", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key with a new secret. This is the only time that the secret can be seen."""

    key: KeyRecord
    secret: str = field(repr=False)
    """What clients send: `sk-cmw-<public id>-<secret>`."""


def is_own_form(token: str) -> bool:
    """Tell whether `token` looks like the secret of a key that was made here."""
    return _ours(token) is not None


def new_id() -> str:
    """Return an id for a key."""
    return f"key_{secrets.token_hex(8)}"


def new_token() -> str:
    """Return what a client of a new key sends."""
    return f"sk-cmw-{new_public_id()}-{_random(_SECRET, _SECRET_LENGTH)}"


def digest_of(token: str) -> bytes:
    """Return what is kept of a token."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def secret_of(token: str, now: float) -> SecretRecord:
    """Return what is kept of a token, one of ours or of another origin."""
    ours = _ours(token)
    return SecretRecord(ours[1] if ours else new_public_id(), digest_of(token), created_at=now)


def new_public_id() -> str:
    """Return a public id; for a secret that does not contain one, it is only a name."""
    return _random(_PUBLIC, _PUBLIC_LENGTH)


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
