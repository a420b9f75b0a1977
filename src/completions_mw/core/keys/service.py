"""Management of stored keys, for `completions_mw.gateway.keys` and the command line."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, Unpack

from completions_mw.core.keys.fields import Fields, ImportedKey, KeyChanges, KeyFields, KeyRules, checked, fields_of
from completions_mw.core.keys.secrets import NewKey, new_id, new_token, secret_of
from completions_mw.core.ports import Clock, KeyRecord, KeyStore, SecretRecord
from completions_mw.errors import ConfigurationError
from completions_mw.settings import Limits
from completions_mw.settings.base import suggestion

DAY: Final = 86_400.0
"""Seconds in a day."""
MAX_OVERLAP_SECONDS: Final = 366 * DAY
"""Maximum of seconds for which an old secret stays valid after a rotation."""

Unsupported = Callable[[Limits], str | None]
"""Check of a key's limits: returns the text of the error for a limit that the admission store cannot count, None if there is none."""


def everything_is_supported(limits: Limits) -> str | None:
    """Default check: every limit is supported."""
    return None


class KeyNotFoundError(LookupError):
    """No key has the given id, and no secret the given public id."""

    def __init__(self) -> None:
        # Without the id, since a secret may have been given by mistake.
        super().__init__("there is no key with this id or public id")


class KeyService:
    """Creates, finds, changes and rotates the keys of a store.

    Args:
        store: store of the keys.
        clock: time, for the records.
        unsupported: check that refuses limits.
        models: names of all models, so that a key is given no unknown one; None where the models are not known.
    """

    def __init__(
        self, store: KeyStore, clock: Clock, unsupported: Unsupported = everything_is_supported, models: Collection[str] | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._unsupported = unsupported
        self._models = models

    def for_models(self, models: Collection[str]) -> "KeyService":
        """Return a service of the same store that refuses models other than `models`."""
        return KeyService(self._store, self._clock, self._unsupported, models)

    async def create(self, name: str, **rules: Unpack[KeyRules]) -> NewKey:
        """Create a key with a random secret.

        Raises:
            ConfigurationError: a field is wrong, a model unknown, or a limit unsupported.
        """
        token = new_token()
        secret = secret_of(token, self._now())
        key = self._record(self._of_known_models(checked(KeyFields, {"name": name, **rules})), secret)
        await self._store.insert([(key, secret)])
        return NewKey(key, token)

    async def show(self, id: str) -> KeyRecord:
        """Return a key by its id, or by the public id of one of its secrets.

        Raises:
            KeyNotFoundError: there is no such key.
        """
        return _found(await self._store.get(id))

    async def disable(self, id: str) -> KeyRecord:
        """Refuse requests with a key until it is enabled.

        Raises:
            KeyNotFoundError: there is no such key.
        """
        return await self._change(id, lambda key: replace(key, disabled=True))

    async def enable(self, id: str) -> KeyRecord:
        """Accept requests with a key that was disabled.

        Raises:
            KeyNotFoundError: there is no such key.
        """
        return await self._change(id, lambda key: replace(key, disabled=False))

    async def update(self, id: str, **changes: Unpack[KeyChanges]) -> KeyRecord:
        """Change the given fields of a key; None removes a rule.

        Raises:
            ConfigurationError: a field is wrong, a model unknown, or a limit unsupported.
            KeyNotFoundError: there is no such key.
        """

        def changed(key: KeyRecord) -> KeyRecord:
            fields = checked(KeyFields, {**fields_of(key), **changes})
            # A key whose models were removed from the settings can still get another name.
            return self._applied(self._of_known_models(fields) if "models" in changes else fields, key)

        return await self._change(id, changed)

    async def rotate(self, id: str, overlap: timedelta | float = DAY) -> NewKey:
        """Give a key a new secret; its present secrets stay valid for `overlap` (seconds or a timedelta).

        Raises:
            ConfigurationError: `overlap` is negative or too long.
            KeyNotFoundError: there is no such key.
        """
        seconds = _seconds(overlap)
        key = await self.show(id)
        token = new_token()
        secret = secret_of(token, self._now())
        if not await self._store.rotate(key.id, secret, secret.created_at + seconds):
            raise KeyNotFoundError
        return NewKey(replace(key, public_ids=(secret.public_id, *key.public_ids)), token)

    async def import_key(self, values: Mapping[str, Any]) -> KeyRecord:
        """Store a key that clients already use, of any form; `values` are the fields of an `ImportedKey`.

        Raises:
            ConfigurationError: a field is wrong, a model unknown, or a limit unsupported.
            KeyExistsError: a stored key has the same secret.
        """
        (key,) = await self.import_keys([checked(ImportedKey, values)])
        return key

    async def import_keys(self, keys: Iterable[ImportedKey]) -> list[KeyRecord]:
        """Store all of the given keys, or none of them.

        Raises:
            ConfigurationError: a model is unknown, or a limit unsupported.
            KeyExistsError: two of the keys have the same secret, or a stored key has one of them.
        """
        now = self._now()
        secrets = [(self._of_known_models(key), key.record(now)) for key in keys]
        records = [(replace(self._record(key, secret), disabled=key.disabled), secret) for key, secret in secrets]
        await self._store.insert(records)
        return [key for key, _ in records]

    async def owners(self, keys: Sequence[ImportedKey]) -> list[str | None]:
        """Return the id of the stored key with the same secret for each of the given keys, None where there is none."""
        found = [await self._store.find(key.digest) for key in keys]
        return [pair and pair[0].id for pair in found]

    async def list(self, tenant: str | None = None) -> list[KeyRecord]:
        """Return all keys, or the keys of one tenant, the oldest first."""
        return await self._store.list(tenant)

    async def _change(self, id: str, change: Callable[[KeyRecord], KeyRecord]) -> KeyRecord:
        return _found(await self._store.change(id, change))

    def _of_known_models(self, fields: Fields) -> Fields:
        known = self._models
        unknown = [] if known is None else [(at, name) for at, name in enumerate(fields.models or ()) if name not in known]
        if unknown and known is not None:
            raise ConfigurationError("\n".join(f"models[{at}]: no such model; {suggestion(name, known)}" for at, name in unknown))
        return fields

    def _record(self, fields: KeyFields, secret: SecretRecord) -> KeyRecord:
        id = new_id()
        return self._applied(fields, KeyRecord(id, fields.name, id, created_at=secret.created_at, public_ids=(secret.public_id,)))

    def _applied(self, fields: KeyFields, key: KeyRecord) -> KeyRecord:
        if fault := self._unsupported(fields.limits):
            raise ConfigurationError(f"limits: {fault}")
        return fields.applied_to(key)

    def _now(self) -> float:
        # Stores keep times to the microsecond.
        return round(self._clock.time(), 6)


def _found(key: KeyRecord | None) -> KeyRecord:
    if key is None:
        raise KeyNotFoundError
    return key


def _seconds(overlap: timedelta | float) -> float:
    seconds = overlap.total_seconds() if isinstance(overlap, timedelta) else overlap
    # Text such as "1h" must not reach the comparison.
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ConfigurationError("overlap: should be seconds or a timedelta")
    if not 0 <= seconds <= MAX_OVERLAP_SECONDS:
        raise ConfigurationError("overlap: should be from 0 seconds to 366 days")
    return seconds
