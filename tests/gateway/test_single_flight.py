"""Identical requests at the same time share one call of an upstream (docs/caching.md), in both gateways."""

import gc
import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from tests.support.cached_gateways import HeldModel, Made
from tests.support.grammar import check_failed_stream, check_stream
from tests.support.waiting import wait_until


def test_requests_at_the_same_time_share_one_call(made: Made) -> None:
    model = HeldModel(held=1)
    gateway = made(model)
    forms: list[dict[str, Any]] = [{}, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}]
    for seed, leader in enumerate(forms):
        model.calls = 0
        model.hold()
        first = gateway.later(seed=seed, **leader)
        gateway.wait_for_requests(1)
        others = [gateway.later(seed=seed, key=key, **form) for form in forms for key in ("ada", "eve")]
        gateway.wait_for_requests(7)
        model.release()
        replies = [first.result(), *(other.result() for other in others)]
        assert [reply.cache for reply in replies] == ["miss", *["coalesced"] * 6]
        bodies = [reply.read() for reply in replies]
        whole, streams, counted = set(bodies[1:3]), set(bodies[3:5]), set(bodies[5:7])
        assert len(whole) == len(streams) == len(counted) == 1
        assert check_stream(streams.pop()).texts == {0: "one two 1"}
        assert check_stream(counted.pop(), include_usage=True).texts == {0: "one two 1"}
        assert model.calls == 1
        assert gateway.stats().waiting == 0


def test_followers_join_a_live_stream_from_its_first_chunk(made: Made) -> None:
    model = HeldModel(held=1)
    gateway = made(model)
    leader = gateway.send(stream=True)
    began = next(leader.pieces)
    follower = gateway.send(stream=True)
    assert follower.cache == "coalesced"
    assert next(follower.pieces) == began
    model.release()
    assert began + leader.read() == began + follower.read()
    assert gateway.send(stream=True).cache == "hit"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_leader_that_leaves_does_not_stop_the_others(made: Made, stream: bool) -> None:
    model = HeldModel(held=1)
    gateway = made(model)
    leader = gateway.send(stream=True)
    next(leader.pieces)
    follower = gateway.later(stream=stream)
    gateway.wait_for_requests(2)
    leader.close()
    model.release()
    reply = follower.result()
    answered = reply.read()
    assert (check_stream(answered).texts[0] if stream else json.loads(answered)["choices"][0]["message"]["content"]) == "one two 1"
    assert (model.calls, model.stopped) == (1, 0)


def test_a_call_stops_when_the_last_request_leaves(made: Made) -> None:
    model = HeldModel(held=2)
    gateway = made(model)
    replies = [gateway.send(stream=True), gateway.send(stream=True)]
    for reply in replies:
        next(reply.pieces)
        reply.close()
    assert gateway.stats()[4:6] == (0, 0)
    model.release()
    assert gateway.send().text == "one two 2", "nothing of a call that was stopped is served"


def test_an_error_of_the_model_is_everybodys(made: Made) -> None:
    model = HeldModel(ValueError("canary"), held=0)
    gateway = made(model)
    replies = [gateway.later(stream=index % 2 == 0) for index in range(6)]
    gateway.wait_for_requests(6)
    model.release()
    assert [reply.result().status for reply in replies] == [500] * 6
    assert model.calls == 1
    assert sorted(str(reply.result().cache) for reply in replies) == ["coalesced"] * 5 + ["miss"]
    past = gateway.send(control="no-store")
    assert (past.status, past.cache) == (500, "bypass")


def test_a_stream_that_is_cut_fails_for_everybody(made: Made) -> None:
    model = HeldModel("one", ValueError("canary"), held=1)
    gateway = made(model)
    leader, *followers = [gateway.send(stream=True) for _ in range(3)]
    whole = gateway.later()
    gateway.wait_for_requests(4)
    model.release()
    assert {check_failed_stream(reply.read())["code"] for reply in (leader, *followers)} == {"internal_error"}
    assert whole.result().status == 500
    assert gateway.stats().entries == 0


def test_followers_are_bounded(made: Made) -> None:
    model = HeldModel(held=1)
    gateway = made(model, cache={"when": "always", "max_followers": 2})
    replies = [gateway.send(stream=True) for _ in range(5)]
    assert [reply.cache for reply in replies] == ["miss", "coalesced", "coalesced", "miss", "miss"]
    model.release()
    assert sorted(check_stream(reply.read()).texts[0] for reply in replies) == [f"one two {number}" for number in (1, 1, 1, 2, 3)]


def test_followers_do_not_wait_for_ever(made: Made) -> None:
    model = HeldModel(held=0)
    gateway = made(model, cache={"when": "always", "max_wait": 0.01})
    leader = gateway.later()
    gateway.wait_for_requests(1)
    follower = gateway.later()
    wait_until(lambda: model.calls == 2)
    model.release()
    assert [leader.result().cache, follower.result().cache] == ["miss", "miss"]


def test_a_follower_that_stops_reading_slows_nobody_and_is_ended(made: Made) -> None:
    model = HeldModel(*["x" * 1000] * 100, held=1)
    gateway = made(model, cache={"when": "always", "max_entry_bytes": 5000})
    leader, stopped, other = [gateway.send(stream=True) for _ in range(3)]
    first = [next(reply.pieces) for reply in (leader, stopped, other)]
    model.release()
    both = [first[0]], [first[2]]
    for piece, same in zip(leader.pieces, other.pieces, strict=True):
        both[0].append(piece)
        both[1].append(same)
    assert both[0] == both[1]
    assert len(check_stream(b"".join(both[0])).texts[0]) == 100_001
    leader.close()
    other.close()
    assert check_failed_stream(first[1] + stopped.read())["code"] == "slow_reader"
    assert gateway.stats()[4:7] == (0, 0, 0)


def test_a_follower_that_takes_nothing_is_ended_in_time(made: Made) -> None:
    model = HeldModel(held=1)
    gateway = made(model, cache={"when": "always"}, send_timeout=0.5)
    leader, follower = gateway.send(stream=True), gateway.send(stream=True)
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(leader.read)
        first = next(follower.pieces)
        gateway.wait_for_requests(1)
        model.release()
        assert check_stream(reading.result()).texts == {0: "one two 1"}
    assert check_failed_stream(first + follower.read())["code"] == "send_timeout"
    assert model.calls == 1


@pytest.mark.parametrize("made", ["blocking"], indirect=True)
def test_a_stream_that_is_dropped_leaves_its_flight(made: Made) -> None:
    """By a server that does not close it: the garbage collector does."""
    model = HeldModel(held=2)
    gateway = made(model)
    dropped, kept = gateway.send(stream=True), gateway.send(stream=True)
    first = next(kept.pieces)
    next(dropped.pieces)
    del dropped
    gc.collect()
    assert gateway.stats().waiting == 1
    model.release()
    assert check_stream(first + kept.read()).texts == {0: "one two 1"}
    alone = gateway.send(stream=True, seed=1)
    next(alone.pieces)
    del alone
    gc.collect()
    assert (gateway.stats().waiting, model.stopped) == (0, 1)


@pytest.mark.parametrize("made", ["blocking"], indirect=True)
def test_a_large_stream_cannot_be_joined_late(made: Made) -> None:
    """On an event loop, what a function yields at once is one piece."""
    model = HeldModel(*["x" * 1000] * 20, held=15)
    gateway = made(model, cache={"when": "always", "max_entry_bytes": 5000})
    leader = gateway.send(stream=True)
    early = gateway.send(stream=True)
    began: list[bytes] = []
    while sum(map(len, began)) < 10_000:
        began.append(next(leader.pieces))
    late = gateway.send(stream=True)
    assert [leader.cache, early.cache, late.cache] == ["miss", "coalesced", "miss"]
    model.release()
    assert check_stream(b"".join(began) + leader.read()).texts[0].endswith("x1")
    assert check_stream(late.read()).texts[0].endswith("x2")
    early.close()


def test_a_stream_that_is_too_large_is_asked_for_once_more_by_all_who_want_it_whole(made: Made) -> None:
    gates, numbers = [threading.Event(), threading.Event()], count()

    def model(_: object) -> Iterator[str]:
        number = next(numbers)
        yield "x" * 1000
        assert gates[number].wait(30), "nobody opened the gate"
        yield from ["x" * 1000] * 20
        yield str(number)

    gateway = made(model, cache={"when": "always", "max_entry_bytes": 5000})
    # It may fall behind those who do not read what they wait for, and be ended.
    leader = gateway.send(stream=True)
    others = [gateway.later() for _ in range(8)]
    gateway.wait_for_requests(9)
    gates[0].set()
    gateway.wait_for_requests(8)
    gates[1].set()
    assert {other.result().text[-2:] for other in others} == {"x1"}
    assert sorted(other.result().cache or "" for other in others) == ["coalesced"] * 7 + ["miss"]
    leader.close()


@pytest.mark.soak
def test_two_hundred_followers_of_one_live_stream(made: Made) -> None:
    model = HeldModel(*[f"word {number} " for number in range(1500)], held=1)
    gateway = made(model)
    replies = [gateway.send(stream=True) for _ in range(201)]
    assert Counter(reply.cache for reply in replies) == {"miss": 1, "coalesced": 200}
    with ThreadPoolExecutor(201) as readers:
        reading = [readers.submit(reply.read) for reply in replies]
        model.release()
        bodies = {body.result() for body in reading}
    assert len(bodies) == 1, "the same bytes for all"
    check_stream(bodies.pop())
    assert (model.calls, gateway.stats()[4:6]) == (1, (0, 0))
