from typing import Any

import pytest

from completions_mw.blocking import run_sync
from completions_mw.core.keys.guarded_store import GuardedKeys
from completions_mw.core.ports import KeyRecord, KeyStore, SecretRecord, StoreError, StoreOverloadedError
from completions_mw.core.resilience.store_health import StoreHealth
from completions_mw.errors import ServiceUnavailableError, error_body
from tests.support.fake_clock import FakeClock
from tests.support.faulty import Fault

KEY = KeyRecord("k1", "a name", "acme")
SECRET = SecretRecord("pub", b"digest")


class Shelf:
    """One key, and whatever is asked of it."""

    async def find(self, digest: bytes) -> tuple[KeyRecord, SecretRecord] | None:
        return (KEY, SECRET) if digest == b"digest" else None

    async def insert(self, *args: Any) -> None: ...

    async def change(self, id: str, change: Any) -> KeyRecord:
        return KEY

    async def rotate(self, *args: Any) -> bool:
        return True

    async def get(self, id: str) -> KeyRecord:
        return KEY

    async def list(self, tenant: str | None) -> list[KeyRecord]:
        return [KEY]


def guarded() -> tuple[GuardedKeys, Fault[KeyStore], StoreHealth]:
    fault: Fault[KeyStore] = Fault(Shelf())  # type: ignore[arg-type]
    health = StoreHealth("keys", FakeClock().clock())
    return GuardedKeys(fault.store, health), fault, health


def test_keys_are_found() -> None:
    keys, _, _ = guarded()
    assert run_sync(keys.find(b"digest")) == (KEY, SECRET)
    assert run_sync(keys.find(b"other")) is None


def test_a_key_that_cannot_be_looked_up_is_not_wrong() -> None:
    keys, fault, health = guarded()
    fault.error = StoreError("down")
    for _ in range(20):
        with pytest.raises(ServiceUnavailableError) as caught:
            run_sync(keys.find(b"digest"))
    error = caught.value
    assert error_body(error)["error"] == {
        "message": "API keys cannot be checked at the moment. Please try again.",
        "type": "server_error",
        "param": None,
        "code": "auth_unavailable",
    }
    assert (error.status, error.headers, error.next_target) == (503, (("retry-after", "1"),), False)
    assert (len(fault.calls), health.snapshot().degraded) == (5, 20)


def test_a_full_queue_is_no_outage() -> None:
    keys, fault, health = guarded()
    fault.error = StoreOverloadedError("too many calls wait for the store")
    for _ in range(20):
        with pytest.raises(ServiceUnavailableError) as caught:
            run_sync(keys.find(b"digest"))
    assert (caught.value.code, caught.value.headers) == ("overloaded", (("retry-after", "1"),))
    assert (len(fault.calls), health.snapshot().failures, health.snapshot().overloaded) == (20, 0, 20)


def test_who_manages_keys_gets_the_stores_own_errors() -> None:
    keys, fault, health = guarded()
    assert run_sync(keys.get("k1")) == run_sync(keys.change("k1", lambda key: key)) == KEY
    assert run_sync(keys.list()) == [KEY]
    fault.error = StoreError("down")
    for work in (keys.insert([(KEY, SECRET)]), keys.rotate("k1", SECRET, 0.0)):
        with pytest.raises(StoreError, match="down"):
            run_sync(work)
    assert health.failures == 0
