"""The context of a request."""

import re

from completions_mw.core.context import RequestContext
from completions_mw.core.ports import Clock


def request_id(seconds: float) -> str:
    """Return the id of a request that arrives so many seconds after the epoch."""
    return RequestContext(Clock(monotonic=lambda: 0.0, time=lambda: seconds)).id


def test_ids_sort_by_the_time_of_arrival() -> None:
    ids = [request_id(seconds) for seconds in (0.0, 1.5, 1_795_000_000.0, 9e9)]
    assert ids == sorted(ids)
    assert all(re.fullmatch("req_[0-9a-f]{32}", id) for id in ids)
    assert ids[1].startswith("req_0000000005dc")


def test_ids_of_one_moment_differ() -> None:
    assert len({request_id(0.0) for _ in range(100)}) == 100
