import json
import logging
from typing import Any

import pytest

from completions_mw.blocking import run_sync
from completions_mw.core.budgets.spool import Spool
from completions_mw.core.ports import Account, Settlement, StoreError
from tests.support.fake_clock import FakeClock
from tests.support.logs import line
from tests.support.settlements import settlement


class Lines:
    """A spool's file that never reaches a disk."""

    def __init__(self, *left_behind: bytes) -> None:
        self.left_behind = list(left_behind)
        self.kept: dict[int, bytes] = {}
        self.aside: list[bytes] = []
        self.error: StoreError | None = None

    async def append(self, *lines: bytes) -> object:
        if self.error is not None:
            raise self.error
        (line,) = lines
        self.kept[len(self.kept)] = line
        return len(self.kept) - 1

    async def done(self, receipt: object) -> None:
        assert isinstance(receipt, int)
        self.kept.pop(receipt, None)

    async def adopt(self) -> list[tuple[bytes, object]]:
        if self.error is not None:
            raise self.error
        lines, self.left_behind = self.left_behind, []
        return [(line, 1000 + number) for number, line in enumerate(lines)]

    async def set_aside(self, line: bytes, receipt: object) -> str:
        if self.error is not None:
            raise self.error
        self.aside.append(line)
        if receipt is not None:
            await self.done(receipt)
        return "spool.1.aside"

    async def aclose(self) -> None: ...


def drained(spool: Spool) -> list[Settlement]:
    settlements = []
    while (spooled := run_sync(spool.oldest())) is not None:
        settlements.append(spooled.settlement)
        run_sync(spool.done(spooled))
    return settlements


def events(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    assert {record.levelname for record in caplog.records} <= {"ERROR"}
    return [line(record) for record in caplog.records]


def test_the_oldest_comes_first() -> None:
    spool = Spool(FakeClock().clock())
    for number in range(5):
        run_sync(spool.put(settlement(number)))
    assert len(spool) == 5
    assert drained(spool) == [settlement(number) for number in range(5)]
    assert len(spool) == 0


def test_a_full_spool_keeps_the_oldest_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    time = FakeClock()
    spool = Spool(time.clock(), max=3)
    for number in range(10):
        run_sync(spool.put_unreserved([settlement(number)]))
        time.advance(2)
    assert spool.lost == 7
    assert events(caplog) == [{"event": "spool_full", "held": 3, "lost": 1}, {"event": "spool_full", "held": 3, "lost": 6}]
    assert drained(spool) == [settlement(number) for number in range(3)]


def test_ten_thousand_are_held() -> None:
    spool = Spool(FakeClock().clock())
    run_sync(spool.put_unreserved([settlement(number) for number in range(10_001)]))
    assert (len(spool), spool.lost) == (10_000, 1)


def test_a_spool_full_of_others_takes_what_releases_a_reservation() -> None:
    spool = Spool(FakeClock().clock(), max=2)
    run_sync(spool.put_unreserved([settlement(number) for number in range(5)]))
    run_sync(spool.put(settlement(7)))
    assert drained(spool) == [settlement(0), settlement(1), settlement(7)]


def test_what_is_done_leaves_the_file() -> None:
    file = Lines()
    spool = Spool(FakeClock().clock(), file=file)
    run_sync(spool.put(settlement(1)))
    assert len(file.kept) == 1
    assert drained(spool) == [settlement(1)]
    assert file.kept == {}


def test_done_twice_is_done_once() -> None:
    spool = Spool(FakeClock().clock(), file=Lines())
    run_sync(spool.put(settlement(1)))
    run_sync(spool.put(settlement(2)))
    oldest = run_sync(spool.oldest())
    assert oldest is not None
    run_sync(spool.done(oldest))
    run_sync(spool.done(oldest))
    assert drained(spool) == [settlement(2)]


@pytest.mark.parametrize(
    "name", ["team-a", 'quo"te', "new\nline", "ünï ☃ \U0001f600", "\0", "a\ud800", "\udfff\ufdd0d800;", "\ufdd0"], ids=ascii
)
def test_what_another_process_left_is_read_back(name: str) -> None:
    file = Lines()
    run_sync(Spool(FakeClock().clock(), file=file).put(settlement(7, name)))
    (line,) = file.kept.values()
    assert b"\n" not in line
    assert drained(Spool(FakeClock().clock(), file=Lines(line))) == [settlement(7, name)]


def test_it_comes_after_what_is_our_own() -> None:
    file = Lines()
    run_sync(Spool(FakeClock().clock(), file=file).put(settlement(1)))
    spool = Spool(FakeClock().clock(), file=Lines(*file.kept.values()))
    run_sync(spool.put(settlement(2)))
    assert drained(spool) == [settlement(2), settlement(1)]


@pytest.mark.parametrize("line", [b"", b"{}", b"nonsense", b'{"entry": 1, "outcome": 2}'], ids=ascii)
def test_a_line_that_cannot_be_read_is_set_aside_and_told(line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    file = Lines()
    run_sync(Spool(FakeClock().clock(), file=file).put(settlement(1)))
    left = Lines(line, *file.kept.values())
    assert drained(Spool(FakeClock().clock(), file=left)) == [settlement(1)]
    assert left.aside == [line]
    assert events(caplog) == [{"event": "spool_unreadable", "bytes": len(line), "file": "spool.1.aside"}]


def test_a_line_of_a_version_with_other_fields_is_set_aside(caplog: pytest.LogCaptureFixture) -> None:
    file = Lines()
    run_sync(Spool(FakeClock().clock(), file=file).put(settlement(1, "canary")))
    (line,) = (line.replace(b'"cost":', b'"new_cost":') for line in file.kept.values())
    left = Lines(line)
    assert drained(Spool(FakeClock().clock(), file=left)) == []
    assert left.aside == [line]
    assert "canary" not in caplog.text


def test_a_settlement_that_is_refused_is_set_aside_and_told(caplog: pytest.LogCaptureFixture) -> None:
    file = Lines()
    spool = Spool(FakeClock().clock(), file=file)
    run_sync(spool.put(settlement(1, "canary")))
    (line,) = file.kept.values()
    refused = run_sync(spool.oldest())
    assert refused is not None
    run_sync(spool.set_aside(refused))
    run_sync(spool.set_aside(refused))
    assert (len(spool), file.kept, file.aside) == (0, {}, [line])
    request_id = settlement(1).entry.request_id
    assert events(caplog) == [{"event": "settlement_refused", "request_id": request_id, "cost": 10**12 + 1, "file": "spool.1.aside"}]
    assert "canary" not in caplog.text


def test_what_cannot_be_set_aside_stays(caplog: pytest.LogCaptureFixture) -> None:
    file = Lines()
    spool = Spool(FakeClock().clock(), file=file)
    run_sync(spool.put(settlement(1)))
    refused = run_sync(spool.oldest())
    assert refused is not None
    file.error = StoreError("no space")
    run_sync(spool.set_aside(refused))
    assert len(file.kept) == 1
    assert drained(spool) == [settlement(1)]
    assert events(caplog) == [{"event": "spool_file_failed", "error": "StoreError"}]


def test_what_is_postponed_comes_last() -> None:
    spool = Spool(FakeClock().clock())
    for number in range(3):
        run_sync(spool.put(settlement(number)))
    first = run_sync(spool.oldest())
    assert first is not None
    spool.postpone(first, tries=1)
    spool.postpone(first, tries=1)
    assert drained(spool) == [settlement(number) for number in (1, 2, 0)]


def test_a_file_that_fails_leaves_the_memory(caplog: pytest.LogCaptureFixture) -> None:
    file = Lines()
    file.error = StoreError("no space")
    file.error.__cause__ = OSError(28, "canary")
    spool = Spool(FakeClock().clock(), file=file)
    for number in range(3):
        run_sync(spool.put(settlement(number)))
    assert drained(spool) == [settlement(number) for number in range(3)]
    assert events(caplog) == [{"event": "spool_file_failed", "error": "OSError"}]


def test_what_is_only_in_memory_survives_a_close() -> None:
    file = Lines()
    spool = Spool(FakeClock().clock(), file=file)
    run_sync(spool.put(settlement(1)))
    file.error = StoreError("no space")
    run_sync(spool.put(settlement(2)))
    run_sync(spool.aclose())
    assert drained(spool) == [settlement(2)]


def test_the_log_of_a_full_spool_holds_no_values(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    spool = Spool(FakeClock().clock(), max=0, file=Lines())
    run_sync(spool.put_unreserved([settlement(1, "canary")]))
    assert "canary" not in caplog.text


def forged(**changes: Any) -> bytes:
    """Return a line as a process writes it, with other values."""
    file = Lines()
    account = Account("key", "team-a", "2026-11", 10**9)
    run_sync(Spool(FakeClock().clock(), file=file).put(settlement(1)._replace(accounts=(account,))))
    line = json.loads(file.kept[0])
    for path, value in changes.items():
        *parents, name = path.split("__")
        part = line
        for parent in parents:
            part = part[int(parent) if parent.isdigit() else parent]
        part[name] = value
    return json.dumps(line).encode()


FORGED: dict[str, dict[str, Any]] = {
    "negative cost": {"outcome__cost": -1},
    "endless cost": {"outcome__cost": 10**30},
    "negative tokens": {"outcome__tokens__prompt": -1},
    "negative time": {"outcome__total_ms": -1},
    "no status": {"outcome__status": 7},
    "somebody's budget": {"accounts__0__name": "team-b"},
    "a budget of another kind": {"accounts__0__scope": "caller"},
    "negative budget": {"accounts__0__limit": -1},
    "text for a number": {"outcome__cost": "much"},
}


@pytest.mark.parametrize("changes", FORGED.values(), ids=FORGED)
def test_a_line_that_no_process_writes_is_set_aside(changes: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Whoever can write to the folder cannot take money back (docs/promises.md, Stores that fail)."""
    assert len(drained(Spool(FakeClock().clock(), file=Lines(forged())))) == 1
    line = forged(**changes)
    file = Lines(line)
    assert drained(Spool(FakeClock().clock(), file=file)) == []
    assert file.aside == [line]
    assert [found["event"] for found in events(caplog)] == ["spool_unreadable"]


def test_a_line_of_an_older_version_is_read() -> None:
    line = json.loads(forged())
    del line["accounts"]
    assert drained(Spool(FakeClock().clock(), file=Lines(json.dumps(line).encode()))) == [settlement(1)]
