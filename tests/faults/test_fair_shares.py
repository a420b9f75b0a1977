"""One key cannot take all connections to an upstream from the others (docs/promises.md, Bounds)."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from completions_mw import Settings
from tests.faults.conftest import Answer, settings_for
from tests.faults.crowd import AsyncCrowd, BlockingCrowd, Crowd, asking, every_crowd
from tests.support.upstream import MockUpstream
from tests.support.waiting import wait_until

Kind = type[BlockingCrowd | AsyncCrowd]
MAX = 10
SHARE = 5
GREEDY = asking("sk-greedy", "ttfb")
MODEST = asking("sk-modest", "ok")
MODELS = {name: {"targets": [f"up/{name}"]} for name in ("ttfb", "ok")}


def settings(upstream: MockUpstream, *keys: str, **connections: Any) -> Settings:
    secrets = {name: {"secret": f"sk-{name}"} for name in keys}
    return settings_for(upstream, models=MODELS, keys=secrets, connections={"max": MAX, **connections})


def begin(crowd: Crowd, threads: ThreadPoolExecutor, count: int) -> list[Future[Answer]]:
    return [threads.submit(crowd.send, GREEDY) for _ in range(count)]


def done(answers: list[Future[Answer]]) -> list[Answer]:
    return [answer.result() for answer in answers if answer.done()]


@every_crowd
def test_one_key_has_its_share_of_the_connections(upstream: MockUpstream, kind: Kind) -> None:
    with kind(settings(upstream, "greedy", "modest", wait=60)) as crowd, ThreadPoolExecutor(3 * MAX) as threads:
        greedy = begin(crowd, threads, 3 * MAX)
        upstream.wait_for(lambda: upstream.active_requests == SHARE)
        assert [crowd.send(MODEST).status for _ in range(MAX)] == [200] * MAX
        assert done(greedy) == []
        assert [received.model for received in upstream.requests].count("ttfb") == SHARE, "some connections were free all the time"
        upstream.release()
        assert {answer.result().status for answer in greedy} == {200}


@every_crowd
def test_what_waits_too_long_is_told_when_to_come_back(upstream: MockUpstream, kind: Kind) -> None:
    with kind(settings(upstream, "greedy", "modest", wait=0.05)) as crowd, ThreadPoolExecutor(3 * MAX) as threads:
        greedy = begin(crowd, threads, SHARE + 2)
        wait_until(lambda: len(done(greedy)) == 2)
        for refused in done(greedy):
            assert (refused.status, refused.error["code"], refused.headers["retry-after"]) == (503, "overloaded", "1")
            assert refused.error["message"] == "Too many requests are under way. Please try again."
        upstream.release()
        assert sorted(answer.result().status for answer in greedy) == [200] * SHARE + [503] * 2


@every_crowd
def test_a_key_without_others_has_all(upstream: MockUpstream, kind: Kind) -> None:
    with kind(settings(upstream, "greedy", wait=60)) as crowd, ThreadPoolExecutor(3 * MAX) as threads:
        greedy = begin(crowd, threads, MAX)
        upstream.wait_for(lambda: upstream.active_requests == MAX)
        upstream.release()
        assert {answer.result().status for answer in greedy} == {200}
