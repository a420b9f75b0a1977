"""The storages of the `limits` package, for requests only: Memcached for real, and Redis in place of what has no server here."""

import asyncio
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL, SIGSTOP
from typing import Any

import pytest

from completions_mw import Gateway, Settings
from completions_mw.backends.admission import CheckedAdmissionStore, admission_store
from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.limits_clients import AsyncStorage
from completions_mw.backends.limits_storage import LimitsAdmission, unsupported
from completions_mw.blocking import run_sync
from completions_mw.core.keys.fields import KeyRules
from completions_mw.core.ports import Admission, Lease, StoreError, StoreRefusalError, StoreTimeoutError, Window
from completions_mw.errors import ConfigurationError
from completions_mw.settings import Limits
from tests.support.admission import LEASE_MS, Reserved, admit, requests, tokens
from tests.support.memcached_server import Memcached
from tests.support.redis_server import RedisServer


class Stand:
    """A storage, driven from a plain function."""

    def __init__(self, store: CheckedAdmissionStore, runner: Any) -> None:
        self.store = store
        self.run = runner

    def admit(self, *windows: Window) -> Admission:
        admission: Admission = self.run(admit(self.store, "r", *windows))
        return admission


@pytest.fixture(params=["memcached-blocking", "redis-async"])
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    if request.param == "memcached-blocking":
        memcached: Memcached = request.getfixturevalue("memcached_server")
        store: CheckedAdmissionStore = admission_store(memcached.url, "test", blocking=True)
        yield Stand(store, run_sync)
        run_sync(store.aclose())
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    store = LimitsAdmission(AsyncStorage(server.url), "test", SYSTEM_CLOCK)
    with asyncio.Runner() as runner:
        yield Stand(store, runner.run)
        runner.run(store.aclose())


def test_a_limit_of_n_admits_n(stand: Stand) -> None:
    verdicts = [stand.admit(requests("a", limit=3)) for _ in range(5)]
    assert [verdict.admitted for verdict in verdicts] == [True, True, True, False, False]
    assert [verdict.used for verdict in verdicts] == [[1], [2], [3], [3], [3]]
    assert all(0 < verdict.reset_ms[0] <= 60_000 for verdict in verdicts)


def test_a_limit_that_is_used_up_leaves_the_others_alone(stand: Stand) -> None:
    stand.admit(requests("full", limit=1))
    refused = stand.admit(requests("a"), requests("full", limit=1))
    assert (refused.used[0], refused.reset_ms[0]) == (0, 0)
    assert not refused.admitted
    assert stand.admit(requests("a")).used == [1]


def test_names_do_not_touch_each_other(stand: Stand) -> None:
    names = ["", "a", "a/b", "a b", "a\nb", "ä", "\ud800", "x" * 5000, *("a/" * count for count in range(2, 5))]
    assert [stand.admit(requests(name)).used for name in names] == [[1]] * len(names)


def test_nothing_is_leased_and_nothing_is_given_back(stand: Stand) -> None:
    stand.admit(requests("a"))
    stand.run(stand.store.finish("r", 5))
    assert stand.run(stand.store.renew({"r": ()}, LEASE_MS)) == []
    assert stand.admit(requests("a")).used == [2]
    assert stand.run(stand.store.check()) == []


@pytest.mark.parametrize("limit", [tokens("b", 5), requests("b", seconds=31 * 86_400), Lease("c", 1)], ids=["tokens", "too long", "slot"])
def test_what_it_cannot_count_is_an_error_and_no_gap(stand: Stand, limit: Window | Reserved | Lease) -> None:
    """Of one caller, whose key or login asks for too much: all others are counted as before."""
    with pytest.raises(StoreRefusalError, match="requests only"):
        stand.run(admit(stand.store, "r", limit))


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"requests": "60/minute; 1000 per 30 days"}, None),
        ({"tokens": "60/minute"}, "tokens"),
        ({"concurrency": 5}, "concurrency"),
        ({"requests": "5 per 31 days"}, "30 days"),
    ],
    ids=["requests", "tokens", "concurrency", "too long"],
)
def test_settings_that_ask_for_more_are_known(limits: dict[str, Any], text: str | None) -> None:
    reason = unsupported(Limits.model_validate(limits))
    assert reason is None if text is None else text in (reason or "")


def gateway(tmp_path: Path, **settings: Any) -> Gateway:
    stores = {"admission": "memcached://127.0.0.1:1", "ledger": f"sqlite:///{tmp_path}/ledger.db"}
    models = {"m": {"targets": ["echo/m"]}, **settings.pop("models", {})}
    return Gateway(Settings.from_mapping({"stores": stores, "providers": {"echo": {"api": "echo"}}, "models": models, **settings}))


@pytest.mark.parametrize("table", ["keys", "tenants", "models"])
def test_settings_that_ask_for_more_are_refused(tmp_path: Path, table: str) -> None:
    needed: dict[str, dict[str, Any]] = {"keys": {"secret": "sk-0123456789abcdef"}, "models": {"targets": ["echo/m"]}}
    with pytest.raises(ConfigurationError, match=rf"^{table}\.a\.limits: limits on concurrency need"):
        gateway(tmp_path, **{table: {"a": {**needed.get(table, {}), "limits": {"concurrency": 5}}}})


def test_stored_keys_that_ask_for_more_are_refused(tmp_path: Path) -> None:
    with gateway(tmp_path) as app:
        key = app.keys.create("a", limits={"requests": "60/minute"}).key
        rules: KeyRules = {"limits": {"concurrency": 5}}
        for refused in (
            lambda: app.keys.create("b", **rules),
            lambda: app.keys.update(key.id, **rules),
            lambda: app.keys.import_key("b", secret="sk-of-another-origin", **rules),
        ):
            with pytest.raises(ConfigurationError, match=r"^limits: limits on concurrency need"):
                refused()
        assert app.keys.list() == [key]


def test_a_memcached_that_is_gone(memcached_server: Memcached) -> None:
    store = admission_store(memcached_server.url, "test", blocking=True)
    run_sync(store.check())
    memcached_server.server.signal(SIGKILL)
    memcached_server.server.wait()
    with pytest.raises(StoreError, match=r"^The storage failed: \w+$") as caught:
        run_sync(admit(store, "r", requests("a")))
    assert "127.0.0.1" not in "".join(traceback.format_exception(caught.value))
    run_sync(store.aclose())


def test_a_memcached_that_hangs(memcached_server: Memcached) -> None:
    store = admission_store(memcached_server.url, "test", blocking=True)
    memcached_server.server.signal(SIGSTOP)
    with pytest.raises(StoreTimeoutError):
        run_sync(admit(store, "r", requests("a")))
    run_sync(store.aclose())


def test_an_async_storage_that_hangs(private_redis: RedisServer) -> None:
    async def main() -> None:
        store = LimitsAdmission(AsyncStorage(private_redis.url), "test", SYSTEM_CLOCK)
        private_redis.stop()
        with pytest.raises(StoreTimeoutError):
            await store.check()
        await store.aclose()

    asyncio.run(main())


def test_an_event_loop_that_is_busy_is_no_storage_that_is_slow(redis_server: RedisServer) -> None:
    async def main() -> None:
        store = LimitsAdmission(AsyncStorage(redis_server.url), "test", SYSTEM_CLOCK)
        await store.check()
        for passes in range(6):
            check = asyncio.create_task(store.check())
            for _ in range(passes):
                await asyncio.sleep(0)
            stall()
            assert await check == []
        await store.aclose()

    asyncio.run(main())


def stall() -> None:
    """Keep the event loop from its work for twice the time that a call has."""
    time.sleep(0.1)


@pytest.mark.parametrize(
    ("address", "blocking", "package"),
    [
        ("mongodb://secret.host", True, "pymongo"),
        ("mongodb://secret.host", False, "motor"),
        ("memcached://secret.host", False, "memcachio"),
        ("valkey+sentinel://secret.host", True, "valkey"),
    ],
)
def test_a_missing_package_is_named(address: str, blocking: bool, package: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^stores.admission: .* pip install {package}$") as caught:
        admission_store(address, "test", blocking=blocking)
    assert "secret" not in str(caught.value)
