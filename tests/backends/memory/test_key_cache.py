"""Keys are believed for a moment only, and an attacker's tokens take no memory (docs/promises.md, Secrets and Bounds)."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

import pytest

from completions_mw.backends.memory.key_cache import CachedKeys
from completions_mw.blocking import run_sync
from completions_mw.core.ports import FoundKey, KeyRecord, KeyStore, SecretRecord, StoreError
from tests.support.fake_clock import FakeClock


class Notebook(KeyStore):
    """Keys in a dict, which counts how often it is asked, and fails or is overtaken on demand."""

    def __init__(self) -> None:
        self.keys: dict[bytes, FoundKey] = {}
        self.asked = 0
        self.meanwhile: Callable[[], object] = lambda: None

    async def find(self, digest: bytes) -> FoundKey | None:
        self.asked += 1
        found = self.keys.get(digest)
        self.meanwhile()
        return found

    async def insert(self, keys: Sequence[FoundKey]) -> None:
        self.keys |= {secret.digest: (key, secret) for key, secret in keys}

    async def change(self, id: str, change: Callable[[KeyRecord], KeyRecord]) -> KeyRecord | None:
        self.keys = {digest: (change(key), secret) for digest, (key, secret) in self.keys.items()}
        return None

    async def rotate(self, id: str, secret: SecretRecord, old_until: float) -> bool:
        self.keys = {digest: (key, old._replace(expires_at=old_until)) for digest, (key, old) in self.keys.items()}
        return True

    async def get(self, id: str) -> KeyRecord | None:
        raise NotImplementedError

    async def list(self, tenant: str | None = None) -> list[KeyRecord]:
        raise NotImplementedError


DIGEST = bytes(32)
FOUND = (KeyRecord("key_1", "n", "t"), SecretRecord("public1", DIGEST))
OTHER = SecretRecord("public2", b"\1" * 32)


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cached(notebook: Notebook, time: FakeClock) -> CachedKeys:
    return CachedKeys(notebook, time.clock(), age=5.0, size=10)


@pytest.mark.parametrize("found", [FOUND, None], ids=["known", "unknown"])
def test_a_look_up_is_believed_for_its_age(cached: CachedKeys, notebook: Notebook, time: FakeClock, found: FoundKey | None) -> None:
    if found:
        run_sync(notebook.insert([found]))
    assert [run_sync(cached.find(DIGEST)) for _ in range(3)] == [found] * 3
    time.advance(4.999)
    assert (run_sync(cached.find(DIGEST)), notebook.asked) == (found, 1)
    time.advance(0.001)
    assert (run_sync(cached.find(DIGEST)), notebook.asked) == (found, 2)


def test_a_revocation_elsewhere_is_noticed_after_its_age(cached: CachedKeys, notebook: Notebook, time: FakeClock) -> None:
    run_sync(notebook.insert([FOUND]))
    run_sync(cached.find(DIGEST))
    notebook.keys.clear()
    time.advance(5)
    assert run_sync(cached.find(DIGEST)) is None
    run_sync(notebook.insert([FOUND]))
    time.advance(5)
    assert run_sync(cached.find(DIGEST)) == FOUND


def test_the_age_counts_from_before_the_look_up(cached: CachedKeys, notebook: Notebook, time: FakeClock) -> None:
    run_sync(notebook.insert([FOUND]))
    notebook.meanwhile = lambda: time.advance(4)
    run_sync(cached.find(DIGEST))
    notebook.keys.clear()
    time.advance(1)
    assert run_sync(cached.find(DIGEST)) is None


def test_the_wall_clock_is_of_no_matter(cached: CachedKeys, notebook: Notebook, time: FakeClock) -> None:
    run_sync(cached.find(DIGEST))
    time.now -= 3600
    time.monotonic += 5
    run_sync(cached.find(DIGEST))
    assert notebook.asked == 2


@pytest.mark.parametrize(
    "write",
    [
        lambda keys: keys.change("key_1", lambda key: replace(key, disabled=True)),
        lambda keys: keys.rotate("key_1", OTHER, 7.0),
        lambda keys: keys.insert([(replace(FOUND[0], name="other"), FOUND[1])]),
    ],
    ids=["change", "rotate", "insert"],
)
def test_writes_are_in_effect_at_once(cached: CachedKeys, notebook: Notebook, write: Callable[[KeyStore], object]) -> None:
    run_sync(notebook.insert([FOUND]))
    assert run_sync(cached.find(DIGEST)) == FOUND
    assert run_sync(cached.find(OTHER.digest)) is None
    run_sync(write(cached))  # type: ignore[arg-type]
    assert run_sync(cached.find(DIGEST)) == notebook.keys[DIGEST] != FOUND
    run_sync(cached.find(OTHER.digest))
    assert notebook.asked == 4


def test_a_write_during_a_look_up_is_not_forgotten(cached: CachedKeys, notebook: Notebook) -> None:
    run_sync(notebook.insert([FOUND]))

    def disable() -> None:
        notebook.meanwhile = lambda: None
        run_sync(cached.change("key_1", lambda key: replace(key, disabled=True)))

    notebook.meanwhile = disable
    assert run_sync(cached.find(DIGEST)) == FOUND
    found = run_sync(cached.find(DIGEST))
    assert found is not None
    assert found[0].disabled


def test_failures_are_not_remembered(cached: CachedKeys, notebook: Notebook) -> None:
    def fail() -> None:
        raise StoreError("down")

    run_sync(notebook.insert([FOUND]))
    notebook.meanwhile = fail
    with pytest.raises(StoreError):
        run_sync(cached.find(DIGEST))
    notebook.meanwhile = lambda: None
    assert run_sync(cached.find(DIGEST)) == FOUND


def test_no_age_is_no_cache(notebook: Notebook, time: FakeClock) -> None:
    cached = CachedKeys(notebook, time.clock(), age=0.0)
    for _ in range(3):
        run_sync(cached.find(DIGEST))
    assert notebook.asked == 3
    assert sizes(cached) == (0, 0)


def test_unknown_tokens_are_bounded_and_push_no_key_out(cached: CachedKeys, notebook: Notebook) -> None:
    run_sync(notebook.insert([FOUND]))
    run_sync(cached.find(DIGEST))
    for number in range(1, 1000):
        run_sync(cached.find(number.to_bytes(32)))
    assert sizes(cached) == (1, 10)
    run_sync(cached.find(DIGEST))
    assert notebook.asked == 1000


def test_keys_are_bounded(cached: CachedKeys, notebook: Notebook) -> None:
    for number in range(100):
        run_sync(notebook.insert([(FOUND[0], SecretRecord("p", number.to_bytes(32)))]))
        run_sync(cached.find(number.to_bytes(32)))
    assert sizes(cached) == (10, 0)


def test_threads(notebook: Notebook, time: FakeClock) -> None:
    cached = CachedKeys(notebook, time.clock(), age=5.0, size=50)
    known = {number.to_bytes(32): (FOUND[0], SecretRecord("p", number.to_bytes(32))) for number in range(0, 200, 2)}
    run_sync(notebook.insert(list(known.values())))

    def worker(seed: int) -> int:
        wrong = 0
        for number in islice(_numbers(seed), 5_000):
            wrong += run_sync(cached.find(number.to_bytes(32))) != known.get(number.to_bytes(32))
            if number == 0:
                time.monotonic += 5
                run_sync(cached.insert([]))
        return wrong

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(worker, range(8))) == [0] * 8
    assert max(sizes(cached)) <= 50


def _numbers(seed: int) -> Iterator[int]:
    number = seed
    while True:
        number = (number * 1_103_515_245 + 12_345) % 2**31
        yield number % 200


def sizes(cached: CachedKeys) -> tuple[int, int]:
    return len(cached._known), len(cached._unknown)


def test_a_child_does_not_wait_for_a_thread_of_its_parent(notebook: Notebook, time: FakeClock) -> None:
    keys = CachedKeys(notebook, time.clock(), 30.0)
    run_sync(keys.insert([FOUND]))
    with keys._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            os._exit(0 if run_sync(keys.find(DIGEST)) == FOUND else 1)
        assert os.waitpid(child, 0)[1] == 0
