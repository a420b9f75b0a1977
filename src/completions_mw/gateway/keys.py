"""API keys from Python: `gateway.keys` is one of these.

    new = gateway.keys.create("Team A", limits={"requests": "60/minute"}, budget={"usd": "10.00", "period": "month"})
    send_to_the_team(new.secret)    # sk-cmw-…: it is not kept, and cannot be shown again
    gateway.keys.disable(new.key.id)

`Keys` is for threads and greenlets, `AsyncKeys` for event loops; they have the same methods. A key is named by its id, or by the public
id that its secret contains. Changes are in effect on other workers within `stores.key_cache` seconds.
"""

from datetime import timedelta
from typing import Unpack

from completions_mw.blocking import run_sync
from completions_mw.core.keys.fields import KeyChanges, KeyRules
from completions_mw.core.keys.secrets import NewKey
from completions_mw.core.keys.service import DAY, KeyNotFoundError, KeyService
from completions_mw.core.ports import KeyExistsError, KeyRecord

__all__ = ["AsyncKeys", "KeyChanges", "KeyExistsError", "KeyNotFoundError", "KeyRecord", "KeyRules", "Keys", "NewKey"]


class Keys:
    """The stored keys of a blocking gateway.

    Every method raises `KeyNotFoundError` for a key that is not there, `ConfigurationError`, with the name of each wrong field, for
    rules that cannot be, such as a model that the gateway does not have, and `StoreError` if the database fails.
    """

    def __init__(self, ring: KeyService) -> None:
        self._ring = ring

    def create(self, name: str, **rules: Unpack[KeyRules]) -> NewKey:
        """Make a key. Its `secret` is shown this once.

        Args:
            name: for people; it need not be unique.
            **rules: `tenant`, `models`, `limits`, `budget`, `max_cost`, `metadata`, `expires_at`.
        """
        return run_sync(self._ring.create(name, **rules))

    def import_key(self, name: str, *, secret: str | None = None, secret_sha256: str | None = None, **rules: Unpack[KeyRules]) -> KeyRecord:
        """Keep a key that clients have already, of whatever origin.

        Args:
            name: for people.
            secret: what clients send; 8 to 505 printable ASCII characters.
            secret_sha256: its digest, in hexadecimal, instead of the secret.
            **rules: as for `create`.

        Raises:
            KeyExistsError: a stored key has this secret.
        """
        return run_sync(self._ring.import_key({"name": name, "secret": secret, "secret_sha256": secret_sha256, **rules}))

    def show(self, id: str) -> KeyRecord:
        """Return a key."""
        return run_sync(self._ring.show(id))

    def disable(self, id: str) -> KeyRecord:
        """Let nobody use a key, until it is enabled again."""
        return run_sync(self._ring.disable(id))

    def enable(self, id: str) -> KeyRecord:
        """Undo `disable`."""
        return run_sync(self._ring.enable(id))

    def update(self, id: str, **changes: Unpack[KeyChanges]) -> KeyRecord:
        """Change what is given of a key, its `name` or rules, each as a whole; None takes a rule away."""
        return run_sync(self._ring.update(id, **changes))

    def rotate(self, id: str, overlap: timedelta | float = DAY) -> NewKey:
        """Give a key a new secret, shown this once; the older ones are valid for another `overlap`, a day or so many seconds."""
        return run_sync(self._ring.rotate(id, overlap))

    def list(self, tenant: str | None = None) -> list[KeyRecord]:
        """Return all keys, or those of a tenant, the oldest first."""
        return run_sync(self._ring.list(tenant))


class AsyncKeys:
    """The stored keys of an async gateway: `Keys`, to be awaited."""

    def __init__(self, ring: KeyService) -> None:
        self._ring = ring

    async def create(self, name: str, **rules: Unpack[KeyRules]) -> NewKey:
        """See `Keys.create`."""
        return await self._ring.create(name, **rules)

    async def import_key(
        self, name: str, *, secret: str | None = None, secret_sha256: str | None = None, **rules: Unpack[KeyRules]
    ) -> KeyRecord:
        """See `Keys.import_key`."""
        return await self._ring.import_key({"name": name, "secret": secret, "secret_sha256": secret_sha256, **rules})

    async def show(self, id: str) -> KeyRecord:
        """See `Keys.show`."""
        return await self._ring.show(id)

    async def disable(self, id: str) -> KeyRecord:
        """See `Keys.disable`."""
        return await self._ring.disable(id)

    async def enable(self, id: str) -> KeyRecord:
        """See `Keys.enable`."""
        return await self._ring.enable(id)

    async def update(self, id: str, **changes: Unpack[KeyChanges]) -> KeyRecord:
        """See `Keys.update`."""
        return await self._ring.update(id, **changes)

    async def rotate(self, id: str, overlap: timedelta | float = DAY) -> NewKey:
        """See `Keys.rotate`."""
        return await self._ring.rotate(id, overlap)

    async def list(self, tenant: str | None = None) -> list[KeyRecord]:
        """See `Keys.list`."""
        return await self._ring.list(tenant)
