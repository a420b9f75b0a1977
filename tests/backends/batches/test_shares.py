"""One key cannot take all places that wait for the ledger from the others (docs/promises.md, Bounds)."""

import pytest

from completions_mw.backends.batches.queue import BatchQueue, Bounds, Waiting
from completions_mw.core.ports import StoreOverloadedError


class Call(Waiting):
    """A call that always waits."""

    def is_wanted(self) -> bool:
        return True

    def refuse(self, error: Exception) -> None:
        raise AssertionError(error)


def queue(share: float = 0.5, calls: int = 6) -> BatchQueue[Call]:
    return BatchQueue(Bounds(calls, 60, share), lanes=1)


def add(waiting: BatchQueue[Call], *callers: str) -> None:
    for caller in callers:
        waiting.add(Call(), refusable=True, caller=caller)


def test_one_caller_has_its_share_and_the_others_the_rest() -> None:
    waiting = queue()
    add(waiting, *["key:greedy"] * 3)
    for _ in range(2):
        with pytest.raises(StoreOverloadedError):
            add(waiting, "key:greedy")
    add(waiting, "key:modest", "caller:greedy", "")
    with pytest.raises(StoreOverloadedError):
        add(waiting, "key:third")


def test_places_come_back_with_a_batch_and_go_with_one_that_is_put_back() -> None:
    waiting = queue()
    add(waiting, *["key:greedy"] * 3)
    batch = waiting.begin()
    add(waiting, "key:greedy")
    waiting.put_back(batch)
    with pytest.raises(StoreOverloadedError):
        add(waiting, "key:greedy")
    assert len(waiting.begin()) == 4
    add(waiting, *["key:greedy"] * 3)


def test_what_may_not_be_refused_always_has_a_place() -> None:
    waiting = queue()
    add(waiting, *["key:greedy"] * 3)
    waiting.add(Call(), refusable=False, caller="key:greedy")
    assert len(waiting.begin()) == 4


def test_a_share_is_one_place_at_least() -> None:
    waiting = queue(share=0.1)
    add(waiting, "key:a", "key:b")
    with pytest.raises(StoreOverloadedError):
        add(waiting, "key:a")


def test_the_host_app_itself_may_have_all() -> None:
    add(queue(), *[""] * 6)
