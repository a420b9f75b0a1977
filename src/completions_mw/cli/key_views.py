"""Views of keys: tables for people, JSON for programs."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.cli.ledger import settings_file
from completions_mw.cli.output import instant, warn, write_json, write_lines, write_table
from completions_mw.core.keys.secrets import NewKey
from completions_mw.core.ports import KeyRecord
from completions_mw.settings.base import suggestion
from completions_mw.settings.sources import read_toml

_COLUMNS = ("id", "public id", "name", "tenant", "limits", "budget", "state")


def warn_of_unknown_models(config: Path | None, ledger: str | None, keys: Iterable[KeyRecord]) -> None:
    """Warn of models that are not in the settings file. It is not an error: they may be those of another app, or Python functions.

    Args:
        config: value of `--config`.
        ledger: value of `--ledger`. If it is given without `--config`, the models are not known and nothing is checked.
        keys: keys that have been stored.
    """
    file = settings_file(config) if config or not ledger else None
    known = read_toml(file).get("models") if file else None
    if file and isinstance(known, dict):
        unknown = {name for key in keys for name in key.models or () if name not in known}
        for name in sorted(unknown):
            warn(f"there is no model {name} in {file.absolute()}; {suggestion(name, known)}")


def write_new(new: NewKey, as_json: bool) -> None:
    """Write a new key with its secret."""
    if as_json:
        write_json({**_document(new.key), "secret": new.secret})
    else:
        write_lines(f"key     {new.key.id}", f"name    {new.key.name}", f"tenant  {new.key.tenant or '(none)'}", f"secret  {new.secret}")
        write_lines("", "The secret is not kept and will not be shown again.")


def write_one(key: KeyRecord, as_json: bool) -> None:
    """Write the details of a key, without its secrets."""
    if as_json:
        write_json(_document(key))
    else:
        write_table(("key", key.id), [(name, value) for name, value in _details(key).items() if value], whole=("key",))


def write_all(keys: list[KeyRecord], as_json: bool) -> None:
    """Write a list of keys."""
    if as_json:
        write_json([_document(key) for key in keys])
    else:
        write_table(_COLUMNS, map(_cells, keys), whole=("id", "public id", "state"))


def _document(key: KeyRecord) -> dict[str, Any]:
    return {
        "id": key.id,
        "public_ids": key.public_ids,
        "name": key.name,
        "tenant": key.tenant or None,
        "models": None if key.models is None else sorted(key.models),
        "limits": key.limits.model_dump(mode="json"),
        "budget": key.budget and key.budget.model_dump(mode="json"),
        "max_cost": None if key.max_cost is None else f"{key.max_cost:f}",
        "metadata": dict(key.metadata),
        "disabled": key.disabled,
        "expires_at": None if key.expires_at is None else instant(key.expires_at),
        "created_at": instant(key.created_at),
    }


def _details(key: KeyRecord) -> dict[str, str]:
    return {
        "name": key.name,
        "tenant": key.tenant,
        "state": _state(key),
        "models": "all" if key.models is None else ", ".join(sorted(key.models)),
        "limits": _limits(key),
        "budget": _budget(key),
        "max cost": "" if key.max_cost is None else f"{key.max_cost:f} USD",
        "metadata": ", ".join(f"{name}={value}" for name, value in key.metadata.items()),
        "expires": "" if key.expires_at is None else instant(key.expires_at),
        "created": instant(key.created_at),
        "public ids": ", ".join(key.public_ids),
    }


def _cells(key: KeyRecord) -> tuple[str, ...]:
    return (key.id, key.public_ids[0] if key.public_ids else "", key.name, key.tenant, _limits(key), _budget(key), _state(key))


def _limits(key: KeyRecord) -> str:
    requests = [f"{rate} (requests)" for rate in key.limits.requests]
    tokens = [f"{rate} (tokens)" for rate in key.limits.tokens]
    return ", ".join([*requests, *tokens, *([f"{key.limits.concurrency} at once"] if key.limits.concurrency else [])])


def _budget(key: KeyRecord) -> str:
    return "" if key.budget is None else f"{key.budget.usd:f} USD / {key.budget.period}"


def _state(key: KeyRecord) -> str:
    if key.disabled:
        return "disabled"
    return "expired" if key.expires_at is not None and key.expires_at <= SYSTEM_CLOCK.time() else "active"
