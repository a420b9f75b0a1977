"""The `KeyStore` port in the ledger's database.

A secret is looked up by its digest, the primary key, so that the time of a look-up reveals nothing (docs/promises.md, Secrets).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from completions_mw.backends.batches import Batches
from completions_mw.backends.sql.database import ConflictError, Database, Step
from completions_mw.core.ports import KeyExistsError, KeyRecord, SecretRecord, StoreError, StoreRefusalError
from completions_mw.settings import Budget, Limits

_CHANGEABLE_COLUMNS: Final = ("name", "tenant", "models", "limits", "budget", "max_cost", "metadata", "disabled", "expires_at")
_COLUMNS: Final = ("id", *_CHANGEABLE_COLUMNS, "created_at", "public_ids")
"""The columns of a key, in the order in which the statements return them."""
LANES: Final = 2
"""Batches of look-ups that are under way at the same time."""
_Found = tuple[KeyRecord, SecretRecord]


class SqlKeyStore:
    """Keeps keys in SQLite or PostgreSQL.

    Args:
        database: where the keys are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # Apart from money, which a crowd of unknown keys must not keep waiting.
        self._look_ups: Batches[bytes, _Found | None] = database.batches(self._find_all, lanes=LANES)

    async def find(self, digest: bytes) -> _Found | None:
        return await self._look_ups(digest, refusable=True)

    async def insert(self, keys: Sequence[tuple[KeyRecord, SecretRecord]]) -> None:
        records = [{"id": key.id, **_encoded(key), **_times(key)} for key, _ in keys]
        secrets = [{"key_id": key.id, "public_id": secret.public_id, **_times(secret)} for key, secret in keys]
        digests = b"".join(secret.digest for _, secret in keys)
        try:
            await self._database.transaction(
                [
                    Step("keys_insert", {"keys": _json(records)}),
                    Step("keys_insert_secrets", {"secrets": _json(secrets), "digests": digests}),
                ]
            )
        except ConflictError:
            raise KeyExistsError from None

    async def change(self, id: str, change: Callable[[KeyRecord], KeyRecord]) -> KeyRecord | None:
        # The loop repeats where another call has changed the key meanwhile.
        while rows := await self._database.fetch("keys_get", id=id):
            old = dict(zip(_COLUMNS, rows[0], strict=True))
            new = change(_decoded(rows[0]))
            compared = {f"old_{name}": old[name] for name in _CHANGEABLE_COLUMNS}
            if await self._database.fetch("keys_change", id=old["id"], **compared, **_encoded(new)):
                return new
        return None

    async def rotate(self, id: str, secret: SecretRecord, old_until: float) -> bool:
        lock, end = Step("keys_lock", {"id": id}), Step("keys_end_secrets", {"id": id, "until": old_until})
        *_, added = await self._database.transaction([lock, end, Step("keys_add_secret", {"key_id": id, **secret._asdict()})])
        return bool(added)

    async def get(self, id: str) -> KeyRecord | None:
        for row in await self._database.look_up("keys_get", id=id):
            return _decoded(row)
        return None

    async def list(self, tenant: str | None = None) -> list[KeyRecord]:
        return [_decoded(row) for row in await self._database.report("keys_list", tenant=tenant)]

    async def _find_all(self, digests: Sequence[bytes]) -> Sequence[_Found | StoreError | None]:
        wanted = list(dict.fromkeys(digests))
        rows = await self._database.look_up("keys_find", digests=b"".join(wanted), positions=json.dumps([*range(len(wanted))]))
        found = {wanted[row[0]]: _found(wanted[row[0]], row[1:]) for row in rows}
        return [found.get(digest) for digest in digests]


def _times(record: KeyRecord | SecretRecord) -> dict[str, int | None]:
    # As whole numbers, because SQLite does not read fractions to the last digit.
    return {
        "created_at": round(record.created_at * 1e6),
        "expires_at": None if record.expires_at is None else round(record.expires_at * 1e6),
    }


def _json(records: Sequence[Mapping[str, Any]]) -> str:
    # Not escaped: the statement escapes what the database cannot store, and must see the characters.
    return json.dumps(records, ensure_ascii=False)


def _encoded(key: KeyRecord) -> dict[str, Any]:
    return {
        "name": key.name,
        "tenant": key.tenant,
        "models": None if key.models is None else json.dumps(sorted(key.models)),
        "limits": key.limits.model_dump_json(),
        "budget": None if key.budget is None else key.budget.model_dump_json(),
        "max_cost": None if key.max_cost is None else str(key.max_cost),
        "metadata": json.dumps(dict(key.metadata)),
        "disabled": key.disabled,
        "expires_at": key.expires_at,
    }


def _found(digest: bytes, row: Sequence[Any]) -> _Found | StoreError:
    public_id, expires_at, created_at = row[len(_COLUMNS) :]
    try:
        return _decoded(row), SecretRecord(public_id, digest, expires_at, created_at)
    except StoreRefusalError as error:
        # Of this key alone: others in the batch can be read.
        return error


def _decoded(row: Sequence[Any]) -> KeyRecord:
    try:
        return _record(dict(zip(_COLUMNS, row, strict=False)))
    except (ArithmeticError, TypeError, ValueError):
        problem = "a key in the ledger's database is not one that this version can read"
    # Raised outside of the handler: the chained error would carry values.
    raise StoreRefusalError(problem)


def _record(row: Mapping[str, Any]) -> KeyRecord:
    return KeyRecord(
        id=row["id"],
        name=row["name"],
        tenant=row["tenant"],
        models=None if row["models"] is None else frozenset(json.loads(row["models"])),
        limits=Limits.model_validate_json(row["limits"]),
        budget=None if row["budget"] is None else Budget.model_validate_json(row["budget"]),
        max_cost=None if row["max_cost"] is None else Decimal(row["max_cost"]),
        metadata=json.loads(row["metadata"]),
        disabled=bool(row["disabled"]),
        expires_at=row["expires_at"],
        created_at=row["created_at"],
        public_ids=tuple(json.loads(row["public_ids"])),
    )
