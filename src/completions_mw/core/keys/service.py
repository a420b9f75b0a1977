"""What can be done with stored keys; `completions_mw.gateway.keys` and the command line are two ways to ask for it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, Unpack

from completions_mw.core.keys.fields import ImportedKey, KeyChanges, KeyFields, KeyRules, checked, fields_of
from completions_mw.core.keys.secrets import NewKey, new_id, new_token, secret_of
from completions_mw.core.ports import Clock, KeyRecord, KeyStore, SecretRecord
from completions_mw.errors import ConfigurationError
from completions_mw.settings import Limits

DAY: Final = 86_400.0
_LONGEST_OVERLAP: Final = 366 * DAY


Unsupported = Callable[[Limits], str | None]
"""Tells which of the limits of a key nobody could count, for the error; None if there is none."""


def everything_is_supported(limits: Limits) -> str | None:
    """Default check: every limit is supported."""
    return None


class KeyNotFoundError(LookupError):
    """No key has this id, nor has a secret of one this public id."""

    def __init__(self) -> None:
        # Without the id, in whose place somebody may have given the secret.
        super().__init__("there is no key with this id or public id")


class KeyService:
    """Makes, finds and changes the keys of a store.

    Args:
        store: keeps the keys.
        clock: tells the time.
        unsupported: which limits no key can have here.
    """

    def __init__(self, store: KeyStore, clock: Clock, unsupported: Unsupported = everything_is_supported) -> None:
        self.store = store
        self.clock = clock
        self._unsupported = unsupported

    async def create(self, name: str, **rules: Unpack[KeyRules]) -> NewKey:
        """Make a key with a secret."""
        token = new_token()
        secret = secret_of(token, self._now())
        key = self._record(checked(KeyFields, {"name": name, **rules}), secret)
        await self.store.insert([(key, secret)])
        return NewKey(key, token)

    async def show(self, id: str) -> KeyRecord:
        """Return a key by its id, or by the public id of a secret."""
        return _found(await self.store.get(id))

    async def disable(self, id: str) -> KeyRecord:
        """Let nobody use a key, until it is enabled again."""
        return await self._change(id, lambda key: replace(key, disabled=True))

    async def enable(self, id: str) -> KeyRecord:
        """Undo `disable`."""
        return await self._change(id, lambda key: replace(key, disabled=False))

    async def update(self, id: str, **changes: Unpack[KeyChanges]) -> KeyRecord:
        """Change what is given; None takes away a rule."""
        return await self._change(id, lambda key: self._applied(checked(KeyFields, {**fields_of(key), **changes}), key))

    async def rotate(self, id: str, overlap: timedelta | float = DAY) -> NewKey:
        """Give a key a new secret; those that it has now are valid for another `overlap` (seconds)."""
        seconds = _seconds(overlap)
        key = await self.show(id)
        token = new_token()
        secret = secret_of(token, self._now())
        if not await self.store.rotate(key.id, secret, secret.created_at + seconds):
            raise KeyNotFoundError
        return NewKey(replace(key, public_ids=(secret.public_id, *key.public_ids)), token)

    async def import_key(self, values: Mapping[str, Any]) -> KeyRecord:
        """Keep a key that clients have already, whatever its form; `values` are the fields of an `ImportedKey`."""
        (key,) = await self.import_keys([checked(ImportedKey, values)])
        return key

    async def import_keys(self, keys: Iterable[ImportedKey]) -> list[KeyRecord]:
        """Keep all of these keys, or none of them.

        Raises:
            KeyExistsError: two of them have the same secret, or a stored one has it.
        """
        now = self._now()
        secrets = [(key, key.record(now)) for key in keys]
        records = [(replace(self._record(key, secret), disabled=key.disabled), secret) for key, secret in secrets]
        await self.store.insert(records)
        return [key for key, _ in records]

    async def owners(self, keys: Sequence[ImportedKey]) -> list[str | None]:
        """Return, for each of these keys, the id of the stored one that has the same secret."""
        found = [await self.store.find(key.digest) for key in keys]
        return [pair and pair[0].id for pair in found]

    async def list(self, tenant: str | None = None) -> list[KeyRecord]:
        """Return all keys, or those of a tenant, the oldest first."""
        return await self.store.list(tenant)

    async def _change(self, id: str, change: Callable[[KeyRecord], KeyRecord]) -> KeyRecord:
        return _found(await self.store.change(id, change))

    def _record(self, fields: KeyFields, secret: SecretRecord) -> KeyRecord:
        id = new_id()
        return self._applied(fields, KeyRecord(id, fields.name, id, created_at=secret.created_at, public_ids=(secret.public_id,)))

    def _applied(self, fields: KeyFields, key: KeyRecord) -> KeyRecord:
        if fault := self._unsupported(fields.limits):
            raise ConfigurationError(f"limits: {fault}")
        return fields.applied_to(key)

    def _now(self) -> float:
        # All that the stores keep of a time.
        return round(self.clock.time(), 6)


def _found(key: KeyRecord | None) -> KeyRecord:
    if key is None:
        raise KeyNotFoundError
    return key


def _seconds(overlap: timedelta | float) -> float:
    seconds = overlap.total_seconds() if isinstance(overlap, timedelta) else overlap
    # Whoever is without a type checker writes "1h".
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ConfigurationError("overlap: should be seconds or a timedelta")
    if not 0 <= seconds <= _LONGEST_OVERLAP:
        raise ConfigurationError("overlap: should be from 0 seconds to 366 days")
    return seconds
