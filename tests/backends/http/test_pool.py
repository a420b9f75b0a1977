"""The connections to one upstream: who gets which, and when one is closed."""

from completions_mw.backends.http.pool import Pool


class Line:
    """A connection without a network."""

    def __init__(self) -> None:
        self.is_open = True

    def is_usable(self) -> bool:
        return self.is_open

    def close(self) -> None:
        self.is_open = False


class Call:
    """A call that waits for a connection."""

    def __init__(self) -> None:
        self.offers: list[Line | None] = []
        self.waits = True

    def offer(self, connection: Line | None, /) -> bool:
        if self.waits:
            self.offers.append(connection)
        return self.waits


def test_calls_are_served_in_the_order_of_their_coming() -> None:
    pool, line = Pool[Line](1, 4), Line()
    calls = [Call() for _ in range(4)]
    assert [pool.acquire(call, 0) for call in calls] == [True, False, False, False]
    calls[1].waits = False
    pool.withdraw(calls[2])
    pool.release(line, 0)
    assert [call.offers for call in calls] == [[None], [], [], [line]]


def test_the_last_one_is_used_first_and_those_left_over_are_closed() -> None:
    pool, lines = Pool[Line](3, 4), [Line(), Line(), Line()]
    for _ in lines:
        pool.acquire(Call(), 0)
    for now, line in enumerate(lines):
        pool.release(line, now)
    call = Call()
    pool.acquire(call, 3)
    assert call.offers == [lines[2]]
    pool.release(lines[2], 5)
    assert [line.is_open for line in lines] == [False, False, True]
    assert repr(pool) == "<Pool: 0 active, 1 idle, 0 waiting>"


def test_a_connection_that_is_not_usable_makes_room_for_a_new_one() -> None:
    pool, line, call = Pool[Line](1, 4), Line(), Call()
    pool.acquire(Call(), 0)
    pool.release(line, 0)
    line.close()
    assert pool.acquire(call, 1)
    assert call.offers == [None]


def test_what_the_collector_drops_makes_room() -> None:
    pool, call = Pool[Line](1, 4), Call()
    pool.acquire(Call(), 0)
    pool.drop()
    assert pool.acquire(call, 0)
    assert call.offers == [None]
