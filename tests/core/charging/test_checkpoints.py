"""What a stream has cost so far is noted while it runs, and is charged where its worker dies (docs/budgets.md)."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from completions_mw.blocking import run_sync
from completions_mw.core.charging.charge import CHECKPOINT_CHUNKS
from completions_mw.core.charging.pace import DEFAULT_TOKENS_PER_SECOND
from completions_mw.core.context import LostAttempt
from completions_mw.core.ports import Tokens
from completions_mw.core.streaming.body import ChunkSource
from completions_mw.core.telemetry.observer import Observer
from completions_mw.sse import DONE
from tests.core.charging.given import BUDGETED, PROMPT, WORD, a_long_answer, price, three_words
from tests.support.charging import LEASE, Charging, read
from tests.support.failing_calls import FailingCalls
from tests.support.fake_clock import FakeClock


def test_what_a_client_has_a_checkpoint_has_but_for_64_chunks() -> None:
    charging = Charging(a_long_answer)
    stream = charging.stream(BUDGETED)
    words = 0
    for batch in batches(stream):
        words += sum(bool(event.data["choices"][0]["delta"].get("content")) for event in batch)
        noted = charging.faults.of("checkpoint")
        covered = noted[-1][2].completion if noted else 0
        assert words - covered <= CHECKPOINT_CHUNKS
    assert [tokens.prompt for _, _, tokens in charging.faults.of("checkpoint")] == [PROMPT] * 3


def test_a_checkpoint_is_made_before_its_chunks_are_given_away() -> None:
    charging = Charging(a_long_answer, faults=FailingCalls(2, KeyboardInterrupt()))
    given = iter(range(10_000))
    with pytest.raises(KeyboardInterrupt):
        deque(zip(given, batches(charging.stream(BUDGETED)), strict=False))
    assert charging.faults.names[:2] == ["reserve", "checkpoint"]
    assert next(given) <= CHECKPOINT_CHUNKS


def batches(stream: ChunkSource) -> Iterator[list[Any]]:
    """Give what comes of a stream, without the end."""
    with suppress(StopAsyncIteration):
        while True:
            yield [event for event in run_sync(stream.__anext__()) if event is not DONE]
    run_sync(stream.aclose())


def slow_words(time: FakeClock, seconds: float) -> Callable[[object], Iterator[str]]:
    def answer(_: object) -> Iterator[str]:
        for _ in range(20):
            time.advance(seconds)
            yield WORD

    return answer


@pytest.mark.parametrize(("seconds", "checkpoints"), [(0.3, 5), (1.0, 20), (5.0, 20), (0.01, 0)])
def test_a_checkpoint_is_made_every_second(seconds: float, checkpoints: int) -> None:
    holder: list[Charging] = []
    charging = Charging(lambda request: slow_words(holder[0].time, seconds)(request))
    holder.append(charging)
    read(charging.stream(BUDGETED))
    assert len(charging.faults.of("checkpoint")) == checkpoints


def test_what_was_given_away_before_a_silence_is_noted_within_a_second() -> None:
    charging = Charging(a_long_answer)
    stream = charging.stream(BUDGETED)
    for _ in range(5):
        run_sync(stream.__anext__())
    assert not charging.faults.of("checkpoint")
    charging.tick()
    charging.tick()
    ((_, amount, tokens),) = charging.faults.of("checkpoint")
    assert tokens.completion >= 4
    assert amount == price(tokens.prompt, tokens.completion)
    run_sync(stream.aclose())


class LosesAnAttempt(Observer):
    """Lets an attempt before the one that answers have taken half a second, and be billed."""

    observes_steps = True

    def completed(self, step: str, request: Any) -> None:
        if step == "dispatch":
            request.lost = (LostAttempt("python/m", 0.5, None),)


def test_a_checkpoint_counts_the_attempts_before_the_one_that_answers() -> None:
    charging = Charging(a_long_answer, observer=LosesAnAttempt())
    stream = charging.stream(BUDGETED)
    run_sync(stream.__anext__())
    charging.tick()
    charging.tick()
    ((_, amount, tokens),) = charging.faults.of("checkpoint")
    assert (tokens.prompt, tokens.completion) == (2 * PROMPT, 1 + int(0.5 * DEFAULT_TOKENS_PER_SECOND))
    assert amount == price(tokens.prompt, tokens.completion)
    run_sync(stream.aclose())


def test_a_worker_that_dies_before_its_model_says_anything_has_used_the_prompt() -> None:
    holder: list[Charging] = []

    def thinks(_: object) -> str:
        holder[0].tick()
        holder[0].tick()
        raise KeyboardInterrupt

    charging = Charging(thinks)
    holder.append(charging)
    with pytest.raises(KeyboardInterrupt):
        charging.complete(BUDGETED)
    ((_, amount, tokens),) = charging.faults.of("checkpoint")
    assert (tokens.completion, amount) == (0, price(tokens.prompt, 0))
    assert tokens.prompt > 0


def test_what_a_dead_worker_left_is_posted_at_its_checkpoint() -> None:
    """As after `kill -9`: nobody settles, nobody renews."""
    charging = Charging(a_long_answer)
    stream = charging.stream(BUDGETED)
    for _ in range(CHECKPOINT_CHUNKS + 1):
        run_sync(stream.__anext__())
    del stream
    noted = charging.faults.of("checkpoint")[-1]
    assert charging.balance(BUDGETED).reserved > 0
    charging.tick(LEASE + 1)
    assert charging.balance(BUDGETED)[4:] == (noted[1], 0)
    assert noted[1] == price(*noted[2][:2])


def test_a_late_settlement_corrects_what_was_reaped() -> None:
    """The worker was only asleep: its reservation expired, and it goes on."""
    charging = Charging(three_words)
    stream = charging.stream(BUDGETED)
    charging.time.advance(LEASE + 1)
    assert run_sync(charging.books.reap()) == 1
    assert charging.balance(BUDGETED)[4:] == (0, 0)
    read(stream)
    assert charging.balance(BUDGETED)[4:] == (price(PROMPT, 3), 0)


def test_a_checkpoint_never_says_more_than_the_tokens_cost() -> None:
    charging = Charging(a_long_answer)
    read(charging.stream(BUDGETED))
    for _, amount, tokens in charging.faults.of("checkpoint"):
        assert isinstance(tokens, Tokens)
        assert amount == price(tokens.prompt, tokens.completion)
