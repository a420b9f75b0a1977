"""The keys of the settings, as a store of keys in memory."""

from collections.abc import Mapping

from completions_mw.core.ports import KeyRecord, SecretRecord
from completions_mw.settings import KeySettings


class SettingsKeys:
    """The `KeyFinder` port over the tables `[keys.<name>]`.

    Args:
        keys: by their names, which are the ids of the callers.
    """

    def __init__(self, keys: Mapping[str, KeySettings]) -> None:
        self._found = dict(_record(id, key) for id, key in keys.items())

    async def find(self, digest: bytes) -> tuple[KeyRecord, SecretRecord] | None:
        return self._found.get(digest)


def _record(id: str, key: KeySettings) -> tuple[bytes, tuple[KeyRecord, SecretRecord]]:
    digest = bytes.fromhex(key.secret_sha256)
    record = KeyRecord(
        id=id,
        name=id,
        tenant=key.tenant or id,
        models=None if key.models is None else frozenset(key.models),
        limits=key.limits,
        budget=key.budget,
        max_cost=key.max_cost,
        metadata=key.metadata,
        disabled=key.disabled,
        expires_at=key.expires_at.timestamp() if key.expires_at else None,
    )
    return digest, (record, SecretRecord(id, digest))
