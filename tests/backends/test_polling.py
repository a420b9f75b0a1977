"""What stands in for `select.poll` below eventlet sees what it sees."""

import select
import socket
from collections.abc import Callable
from typing import Any

import pytest

from completions_mw.backends.polling import SelectPoll, new_poll


@pytest.mark.parametrize("make", [select.poll, SelectPoll], ids=["poll", "select"])
def test_events(make: Callable[[], Any]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        poll = make()
        poll.register(ours, select.POLLIN)
        poll.register(theirs.fileno(), select.POLLOUT)
        assert poll.poll(0) == [(theirs.fileno(), select.POLLOUT)]
        theirs.sendall(b"x")
        assert sorted(poll.poll(0)) == sorted([(ours.fileno(), select.POLLIN), (theirs.fileno(), select.POLLOUT)])
        poll.unregister(theirs)
        assert poll.poll(0) == [(ours.fileno(), select.POLLIN)]


def test_eventlet_takes_poll_away(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not isinstance(new_poll(), SelectPoll)
    monkeypatch.delattr(select, "poll")
    assert isinstance(new_poll(), SelectPoll)
