"""The connections to one upstream: who gets which, and when one is closed."""

from completions_mw.backends.pool import Pool


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

    def __init__(self, caller: str = "key:a") -> None:
        self.caller = caller
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
    pool.release(line, "key:a", 0)
    assert [call.offers for call in calls] == [[None], [], [], [line]]


def test_the_last_one_is_used_first_and_those_left_over_are_closed() -> None:
    pool, lines = Pool[Line](3, 4), [Line(), Line(), Line()]
    for _ in lines:
        pool.acquire(Call(), 0)
    for now, line in enumerate(lines):
        pool.release(line, "key:a", now)
    call = Call()
    pool.acquire(call, 3)
    assert call.offers == [lines[2]]
    pool.release(lines[2], "key:a", 5)
    assert [line.is_open for line in lines] == [False, False, True]
    assert repr(pool) == "<Pool: 0 active, 1 idle, 0 waiting>"


def test_a_connection_that_is_not_usable_makes_room_for_a_new_one() -> None:
    pool, line, call = Pool[Line](1, 4), Line(), Call()
    pool.acquire(Call(), 0)
    pool.release(line, "key:a", 0)
    line.close()
    assert pool.acquire(call, 1)
    assert call.offers == [None]


def test_what_the_collector_drops_makes_room() -> None:
    pool, call = Pool[Line](1, 4), Call()
    pool.acquire(Call(), 0)
    pool.drop("key:a")
    assert pool.acquire(call, 0)
    assert call.offers == [None]


def test_one_caller_has_its_share_and_the_others_the_rest() -> None:
    pool = Pool[Line](5, 4, share=0.5)
    calls = [Call("key:a") for _ in range(4)]
    assert [pool.acquire(call, 0) for call in calls] == [True, True, False, False]
    assert [pool.acquire(Call(caller), 0) for caller in ("key:b", "caller:a", "key:b")] == [True, True, True]
    pool.release(None, "key:b", 0)
    assert [len(call.offers) for call in calls] == [1, 1, 0, 0], "there is room, and not for this caller"
    pool.release(None, "key:a", 0)
    assert [len(call.offers) for call in calls] == [1, 1, 1, 0]


def test_callers_that_wait_are_served_in_turn() -> None:
    pool, order = Pool[Line](4, 4, share=0.5), list[str]()

    class Named(Call):
        def offer(self, connection: Line | None, /) -> bool:
            order.append(self.caller)
            return True

    for caller in ("a", "a", "b", "b"):
        assert pool.acquire(Call(caller), 0)
    for caller in ("c", "c", "c", "d", "d", "e"):
        assert not pool.acquire(Named(caller), 0)
    for caller in ("a", "a", "b", "b", "c", "d"):
        pool.release(None, caller, 0)
    assert order == ["c", "d", "e", "c", "d", "c"]


def test_the_host_app_itself_may_have_all() -> None:
    pool = Pool[Line](3, 4, share=0.5)
    assert [pool.acquire(Call(caller), 0) for caller in ("key:a", "key:a", "", "", "")] == [True, False, True, True, False]


def test_a_share_is_one_connection_at_least() -> None:
    pool = Pool[Line](1, 4, share=0.5)
    assert pool.acquire(Call("key:a"), 0)


def test_what_is_idle_and_in_use_never_exceeds_the_bound() -> None:
    pool, lines = Pool[Line](2, 4), [Line(), Line()]
    for _ in lines:
        pool.acquire(Call(), 0)
    for line in lines:
        pool.release(line, "key:a", 0)
    lines[1].close()
    calls = [Call() for _ in range(3)]
    assert [pool.acquire(call, 0) for call in calls] == [True, True, False]
    assert [call.offers for call in calls] == [[lines[0]], [None], []]


def test_a_call_that_waits_no_longer_costs_no_connection() -> None:
    pool, line, calls = Pool[Line](1, 4), Line(), [Call(), Call("key:b"), Call()]
    for call in calls:
        pool.acquire(call, 0)
    calls[1].waits = False
    pool.release(line, "key:a", 0)
    assert calls[2].offers == [line]
    pool.release(line, "key:a", 0)
    assert repr(pool) == "<Pool: 0 active, 1 idle, 0 waiting>"
