"""The life of a stored key: made, used, changed, rotated, expired, imported."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from completions_mw.backends.sql import open_database
from completions_mw.backends.sql.key_store import SqlKeyStore
from completions_mw.blocking import run_sync
from completions_mw.core.keys.authentication import Authenticator
from completions_mw.core.keys.caller import Caller
from completions_mw.core.keys.fields import ImportedKey, checked
from completions_mw.core.keys.secrets import new_token
from completions_mw.core.keys.service import KeyNotFoundError, KeyService
from completions_mw.core.ports import KeyExistsError
from completions_mw.errors import ConfigurationError
from completions_mw.settings import Budget, Limits, Rate
from tests.support.fake_clock import FakeClock

FOREIGN = "canary-of-another-origin"
WRONG_SECRET = "secret: should be 8 to 505 printable ASCII characters without spaces and commas (servers join repeated headers with commas)"
RULES: dict[str, Any] = {
    "tenant": "acme",
    "models": ["gpt-3.5-turbo", "m"],
    "limits": {"requests": ["60/minute", "1000/day"], "tokens": "100000/minute", "concurrency": 8},
    "budget": {"usd": "10.00", "period": "month"},
    "max_cost": "0.25",
    "metadata": {"owner": "ann"},
    "expires_at": "2027-01-31T00:00:00+01:00",
}
EXPIRES = datetime(2027, 1, 30, 23, tzinfo=UTC)


@pytest.fixture
def time() -> FakeClock:
    return FakeClock(datetime(2026, 11, 23, tzinfo=UTC).timestamp())


@pytest.fixture
def ring(tmp_path: Path, time: FakeClock) -> Iterator[KeyService]:
    database = open_database(f"sqlite:///{tmp_path}/ledger.db", blocking=True, clock=time.clock())
    yield KeyService(SqlKeyStore(database), time.clock())
    run_sync(database.aclose())


def caller_of(keys: KeyService, token: str) -> Caller | None:
    return run_sync(Authenticator({}, keys._clock, stored=keys._store).find(token))


def test_a_new_key(ring: KeyService, time: FakeClock) -> None:
    new = run_sync(ring.create("Team A", **RULES))
    key = new.key
    assert re.fullmatch(r"key_[0-9a-f]{16}", key.id)
    assert re.fullmatch(rf"sk-cmw-{key.public_ids[0]}-[A-Za-z0-9]{{43}}", new.secret)
    assert re.fullmatch(r"[a-z0-9]{12}", key.public_ids[0])
    assert (key.name, key.tenant, key.models) == ("Team A", "acme", frozenset({"gpt-3.5-turbo", "m"}))
    assert (key.disabled, key.created_at) == (False, time.now)
    assert key.limits == Limits(requests=(Rate(60, 60), Rate(1000, 86_400)), tokens=(Rate(100_000, 60),), concurrency=8)
    assert (key.budget, key.max_cost) == (Budget(usd=Decimal(10), period="month"), Decimal("0.25"))
    assert (key.metadata, key.expires_at) == ({"owner": "ann"}, EXPIRES.timestamp())
    assert run_sync(ring.show(key.id)) == run_sync(ring.show(key.public_ids[0])) == key
    assert run_sync(ring.list()) == run_sync(ring.list("acme")) == [key]


def test_its_secret_is_nowhere_else(ring: KeyService, tmp_path: Path) -> None:
    new = run_sync(ring.create("Team A"))
    secret = new.secret.rpartition("-")[2]
    assert secret not in repr(new) + repr(run_sync(ring.show(new.key.id)))
    files = list(tmp_path.iterdir())
    assert files
    assert all(secret.encode() not in file.read_bytes() for file in files)


def test_no_rules(ring: KeyService) -> None:
    nothing: dict[str, Any] = dict.fromkeys(RULES)
    for rules in ({}, nothing):
        key = run_sync(ring.create("n", **rules)).key
        assert (key.tenant, key.models, key.limits, key.budget, key.max_cost) == ("", None, Limits(), None, None)
        assert (key.metadata, key.expires_at) == ({}, None)


def test_the_caller_of_a_key(ring: KeyService) -> None:
    new = run_sync(ring.create("Team A", **RULES))
    limits, budget = Limits(**RULES["limits"]), Budget(**RULES["budget"])
    models = frozenset(RULES["models"])
    expected = Caller(new.key.id, "acme", models, {"owner": "ann"}, limits, budget, Decimal("0.25"), scope="key")
    assert caller_of(ring, new.secret) == expected


@pytest.mark.parametrize(
    "change",
    [str.upper, lambda token: token[:-1], lambda token: token + "x", lambda token: "\udcff' OR 1=1--\0" + token],
    ids=["other case", "shorter", "longer", "surrogate"],
)
def test_unknown_tokens(ring: KeyService, change: Callable[[str], str]) -> None:
    new = run_sync(ring.create("Team A"))
    assert caller_of(ring, change(new.secret)) is None
    assert caller_of(ring, "") is None
    assert caller_of(ring, new.key.id) is None
    assert caller_of(ring, new_token()) is None


def test_disabled_and_enabled_again(ring: KeyService) -> None:
    new = run_sync(ring.create("Team A"))
    assert run_sync(ring.disable(new.key.id)).disabled
    assert caller_of(ring, new.secret) is None
    assert not run_sync(ring.enable(new.key.public_ids[0])).disabled
    assert caller_of(ring, new.secret) is not None


def test_a_key_expires(ring: KeyService, time: FakeClock) -> None:
    secret = run_sync(ring.create("Team A", expires_at=EXPIRES)).secret
    time.now = EXPIRES.timestamp() - 0.001
    assert caller_of(ring, secret) is not None
    time.now = EXPIRES.timestamp()
    assert caller_of(ring, secret) is None


@pytest.mark.parametrize("overlap", [60, timedelta(minutes=1)], ids=["seconds", "timedelta"])
def test_rotation(ring: KeyService, time: FakeClock, overlap: float | timedelta) -> None:
    old = run_sync(ring.create("Team A"))
    time.advance(1)
    new = run_sync(ring.rotate(old.key.id, overlap))
    assert new.key.public_ids == (new.secret.split("-")[2], *old.key.public_ids)
    assert run_sync(ring.show(old.key.id)) == new.key
    callers = [caller_of(ring, secret) for secret in (old.secret, new.secret)]
    assert callers[0] == callers[1] is not None
    time.advance(60)
    assert caller_of(ring, old.secret) is None
    assert caller_of(ring, new.secret) == callers[1]


def test_rotation_overlaps_by_a_day(ring: KeyService, time: FakeClock) -> None:
    old = run_sync(ring.create("Team A"))
    run_sync(ring.rotate(old.key.id))
    time.advance(86_399)
    assert caller_of(ring, old.secret) is not None
    time.advance(1)
    assert caller_of(ring, old.secret) is None


def test_rotation_at_once_and_again(ring: KeyService, time: FakeClock) -> None:
    first = run_sync(ring.create("Team A"))
    time.advance(1)
    second = run_sync(ring.rotate(first.key.id, 0))
    assert caller_of(ring, first.secret) is None
    time.advance(1)
    third = run_sync(ring.rotate(first.key.id, 10))
    assert third.key.public_ids == (third.key.public_ids[0], *second.key.public_ids)
    assert caller_of(ring, first.secret) is None
    assert caller_of(ring, second.secret) == caller_of(ring, third.secret) is not None


@pytest.mark.parametrize("overlap", ["1h", "3600", None, True, Decimal(60)])
def test_an_overlap_of_another_type(ring: KeyService, overlap: Any) -> None:
    key = run_sync(ring.create("Team A")).key
    with pytest.raises(ConfigurationError) as caught:
        run_sync(ring.rotate(key.id, overlap))
    assert str(caught.value) == "overlap: should be seconds or a timedelta"
    assert run_sync(ring.show(key.id)) == key


@pytest.mark.parametrize("overlap", [-1, float("nan"), float("inf"), timedelta(days=367)])
def test_an_overlap_that_cannot_be(ring: KeyService, overlap: float | timedelta) -> None:
    key = run_sync(ring.create("Team A")).key
    with pytest.raises(ConfigurationError, match=r"^overlap: "):
        run_sync(ring.rotate(key.id, overlap))
    assert run_sync(ring.show(key.id)) == key


def test_an_update_changes_what_is_given(ring: KeyService) -> None:
    key = run_sync(ring.create("Team A", **RULES)).key
    changed = run_sync(ring.update(key.id, name="Team B", limits={"tokens": "5/hour"}, budget=None))
    assert run_sync(ring.show(key.id)) == changed
    assert (changed.name, changed.limits, changed.budget) == ("Team B", Limits(tokens=(Rate(5, 3600),)), None)
    same = ("id", "tenant", "models", "max_cost", "metadata", "expires_at", "created_at", "public_ids", "disabled")
    assert [getattr(changed, name) for name in same] == [getattr(key, name) for name in same]


@pytest.mark.parametrize(
    ("written", "kept"),
    [("9998-12-31T23:59:59.999999Z", datetime(9999, 1, 1, tzinfo=UTC)), ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC))],
)
def test_a_key_with_the_first_or_the_last_end_can_be_changed_and_shown(ring: KeyService, written: str, kept: datetime) -> None:
    """Of a time as late as that, a float keeps no microseconds."""
    key = run_sync(ring.create("Team A", expires_at=written)).key
    changed = run_sync(ring.update(key.id, name="Team B"))
    assert changed.expires_at == key.expires_at
    assert datetime.fromtimestamp(key.expires_at or 0, UTC) == kept


def test_an_update_to_nothing(ring: KeyService) -> None:
    key = run_sync(ring.create("Team A", **RULES)).key
    nothing: dict[str, Any] = dict.fromkeys(RULES)
    changed = run_sync(ring.update(key.id, **nothing))
    assert (changed.tenant, changed.models, changed.limits, changed.metadata, changed.expires_at) == ("", None, Limits(), {}, None)


def test_a_disabled_key_stays_disabled_when_it_is_updated(ring: KeyService) -> None:
    key = run_sync(ring.create("Team A")).key
    run_sync(ring.disable(key.id))
    assert run_sync(ring.update(key.id, name="b")).disabled


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("name", {"name": ""}, "1 to 256 characters"),
    ("name", {"name": "n" * 257}, "1 to 256 characters"),
    ("name", {"name": "canary\0"}, "no NUL"),
    ("name", {"name": "canary\ud800"}, "no lone surrogate"),
    ("name", {"name": None}, "is missing"),
    ("tenant", {"tenant": ""}, "1 to 256 characters"),
    ("models", {"models": "canary"}, "a list"),
    ("models", {"models": []}, "at least one item"),
    ("models[0]", {"models": ["my canary"]}, "without spaces"),
    ("limits", {"limits": "canary"}, "a table"),
    ("limits.requests", {"limits": {"requests": "canary"}}, "a rate such as"),
    ("limits.rpm", {"limits": {"rpm": 5}}, "is not a field here"),
    ("limits.concurrency", {"limits": {"concurrency": 0}}, "greater than or equal to 1"),
    ("budget.period", {"budget": {"usd": "1"}}, "is missing"),
    ("budget.usd", {"budget": {"usd": "canary", "period": "month"}}, "valid decimal"),
    ("budget.period", {"budget": {"usd": 1, "period": "canary"}}, "'month'"),
    ("max_cost", {"max_cost": -1}, "greater than 0"),
    ("metadata.a", {"metadata": {"a": 1}}, "valid string"),
    ("metadata.a", {"metadata": {"a": "canary\0"}}, "no NUL"),
    ("expires_at", {"expires_at": "2027-01-31"}, "offset from UTC"),
    ("expires_at", {"expires_at": 5}, "offset from UTC"),
    ("expires_at", {"expires_at": "9999-12-31T23:59:59-12:00"}, "1970 to 9998"),
    ("expires_at", {"expires_at": datetime.max.replace(tzinfo=UTC)}, "1970 to 9998"),
    ("expires_at", {"expires_at": datetime.min.replace(tzinfo=UTC)}, "1970 to 9998"),
    ("tennant", {"tennant": "canary"}, "did you mean `tenant`?"),
    ("budgets", {"budgets": None}, "did you mean `budget`?"),
    ("limit", {"limit": None}, "did you mean `limits`?"),
    ("foo", {"foo": None}, "known are `name`, `tenant`, "),
    ("secret", {"secret": None}, "is not a field here"),
]


@pytest.mark.parametrize(("field", "rules", "words"), WRONG, ids=[f"{field}-{number}" for number, (field, _, _) in enumerate(WRONG)])
def test_rules_that_cannot_be(ring: KeyService, field: str, rules: dict[str, Any], words: str) -> None:
    key = run_sync(ring.create("Team A", **RULES)).key
    for work in (ring.create(**{"name": "n", **rules}), ring.update(key.id, **rules)):
        with pytest.raises(ConfigurationError) as caught:
            run_sync(work)
        assert str(caught.value).startswith(f"{field}: ")
        assert words in str(caught.value)
        assert "canary" not in str(caught.value)
        assert caught.value.__context__ is None
    assert run_sync(ring.list()) == [key]


def test_a_key_that_is_not_there(ring: KeyService) -> None:
    for work in (ring.show(FOREIGN), ring.disable(FOREIGN), ring.enable(FOREIGN), ring.update(FOREIGN, name="n"), ring.rotate(FOREIGN)):
        with pytest.raises(KeyNotFoundError, match=r"no key with this id") as caught:
            run_sync(work)
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "secret", [{"secret": FOREIGN}, {"secret_sha256": sha256(FOREIGN.encode()).hexdigest().upper()}], ids=["secret", "digest"]
)
def test_a_key_of_another_origin(ring: KeyService, secret: dict[str, str]) -> None:
    key = run_sync(ring.import_key({"name": "Team A", **RULES, **secret}))
    caller = caller_of(ring, FOREIGN)
    assert caller is not None
    assert (caller.id, caller.tenant) == (key.id, "acme")
    assert "canary" not in repr(run_sync(ring.show(key.id)))
    assert not any(part in FOREIGN for part in key.public_ids)


def test_a_key_of_ours_keeps_its_public_id(ring: KeyService) -> None:
    token = new_token()
    assert run_sync(ring.import_key({"name": "n", "secret": token})).public_ids == (token.split("-")[2],)


def test_an_imported_key_may_be_disabled(ring: KeyService) -> None:
    assert run_sync(ring.import_key({"name": "n", "secret": FOREIGN, "disabled": True})).disabled
    assert caller_of(ring, FOREIGN) is None


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "secret: should be there, or `secret_sha256`, and not both"),
        ({"secret": FOREIGN, "secret_sha256": "0" * 64}, "secret: should be there, or `secret_sha256`, and not both"),
        ({"secret": "canary"}, WRONG_SECRET),
        ({"secret": "canary canary"}, WRONG_SECRET),
        ({"secret": "canary,canary"}, WRONG_SECRET),
        ({"secret_sha256": "canary"}, "secret_sha256: should be 64 hexadecimal digits"),
    ],
)
def test_imports_that_cannot_be(ring: KeyService, fields: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        run_sync(ring.import_key({"name": "n", **fields}))
    assert str(caught.value) == text


def test_a_secret_belongs_to_one_key(ring: KeyService) -> None:
    first = run_sync(ring.import_key({"name": "n", "secret": FOREIGN}))
    others = [checked(ImportedKey, {"name": "n", "secret": secret}) for secret in ("another-secret", FOREIGN)]
    assert run_sync(ring.owners(others)) == [None, first.id]
    with pytest.raises(KeyExistsError, match="stored already"):
        run_sync(ring.import_keys(others))
    assert run_sync(ring.list()) == [first]
    assert "canary" not in repr(others)


def test_models_that_are_not_there_are_given_to_nobody(ring: KeyService) -> None:
    service = ring.for_models(["gpt-4o", "gpt-4o-mini"])
    old = run_sync(ring.create("old", models=["gone"])).key
    text = "models[1]: no such model; did you mean `gpt-4o-mini`?"
    for ask in (
        service.create("new", models=["gpt-4o", "gpt-4o-mni"]),
        service.import_key({"name": "new", "secret": FOREIGN, "models": ["gpt-4o", "gpt-4o-mni"]}),
        service.update(old.id, models=["gpt-4o", "gpt-4o-mni"]),
    ):
        with pytest.raises(ConfigurationError) as caught:
            run_sync(ask)
        assert str(caught.value) == text
    assert run_sync(service.list()) == [old]
    assert run_sync(service.update(old.id, name="new")).models == frozenset({"gone"})
    assert run_sync(service.update(old.id, models=["gpt-4o"])).models == frozenset({"gpt-4o"})
    assert run_sync(service.create("all")).key.models is None
