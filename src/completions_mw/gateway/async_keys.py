"""API keys from async Python: the property `keys` of an `AsyncGateway`."""

from datetime import timedelta
from typing import Unpack

from completions_mw.core.keys.fields import KeyChanges, KeyRules
from completions_mw.core.keys.secrets import NewKey
from completions_mw.core.keys.service import DAY, KeyService
from completions_mw.core.ports import KeyRecord
from completions_mw.frames import private_locals


class AsyncKeys:
    """The stored keys of an `AsyncGateway`."""

    def __init__(self, service: KeyService) -> None:
        self._service = service

    async def create(self, name: str, **rules: Unpack[KeyRules]) -> NewKey:
        """Create a key, and return it with its `secret`, which is not kept.

        Args:
            name: name for people, which need not be unique.
            **rules: `tenant`, `models`, `limits`, `budget`, `max_cost`, `metadata`, `expires_at`.

        Raises:
            ConfigurationError: a rule is wrong; the message names each wrong field.
            StoreError: the database failed.
        """
        return await self._service.create(name, **rules)

    async def import_key(
        self, name: str, *, secret: str | None = None, secret_sha256: str | None = None, **rules: Unpack[KeyRules]
    ) -> KeyRecord:
        """Store a key that clients already have.

        Args:
            name: name for people, which need not be unique.
            secret: secret that clients send: 8 to 505 printable ASCII characters.
            secret_sha256: SHA-256 digest of the secret in hexadecimal, instead of `secret`.
            **rules: `tenant`, `models`, `limits`, `budget`, `max_cost`, `metadata`, `expires_at`.

        Raises:
            KeyExistsError: a stored key has this secret.
            ConfigurationError: a rule is wrong; the message names each wrong field.
            StoreError: the database failed.
        """
        call = self._service.import_key({"name": name, "secret": secret, "secret_sha256": secret_sha256, **rules})
        del secret
        with private_locals():
            return await call

    async def show(self, id: str) -> KeyRecord:
        """Return a key.

        Args:
            id: id of the key, or the public id in its secret.

        Raises:
            KeyNotFoundError: no key has this id.
            StoreError: the database failed.
        """
        return await self._service.show(id)

    async def disable(self, id: str) -> KeyRecord:
        """Disable a key: requests with it are refused until it is enabled.

        Args:
            id: id of the key, or the public id in its secret.

        Raises:
            KeyNotFoundError: no key has this id.
            StoreError: the database failed.
        """
        return await self._service.disable(id)

    async def enable(self, id: str) -> KeyRecord:
        """Enable a disabled key.

        Args:
            id: id of the key, or the public id in its secret.

        Raises:
            KeyNotFoundError: no key has this id.
            StoreError: the database failed.
        """
        return await self._service.enable(id)

    async def update(self, id: str, **changes: Unpack[KeyChanges]) -> KeyRecord:
        """Change the name or rules of a key.

        Args:
            id: id of the key, or the public id in its secret.
            **changes: `name`, or any of the rules of `create`. Each replaces the old value as a whole; None removes a rule.

        Raises:
            KeyNotFoundError: no key has this id.
            ConfigurationError: a rule is wrong; the message names each wrong field.
            StoreError: the database failed.
        """
        return await self._service.update(id, **changes)

    async def rotate(self, id: str, overlap: timedelta | float = DAY) -> NewKey:
        """Give a key a new secret, and return it with the key; the secret is not kept.

        Args:
            id: id of the key, or the public id in its secret.
            overlap: time for which older secrets stay valid, as a timedelta or in seconds; a day by default.

        Raises:
            KeyNotFoundError: no key has this id.
            ConfigurationError: the overlap is wrong.
            StoreError: the database failed.
        """
        return await self._service.rotate(id, overlap)

    async def list(self, tenant: str | None = None) -> list[KeyRecord]:
        """Return all keys, the oldest first.

        Args:
            tenant: return only keys of this tenant.

        Raises:
            StoreError: the database failed.
        """
        return await self._service.list(tenant)
