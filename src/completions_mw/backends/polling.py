"""Waits for sockets, also where eventlet has taken `select.poll` away."""

import select
from typing import Any


def new_poll() -> Any:
    """Return a `select.poll`, or what stands in for it below eventlet."""
    return select.poll() if hasattr(select, "poll") else SelectPoll()


class SelectPoll:
    """The methods of `select.poll` over `select.select`, which eventlet has made to switch greenlets."""

    def __init__(self) -> None:
        self._events: dict[int, int] = {}

    def register(self, socket: Any, events: int) -> None:
        self._events[socket if isinstance(socket, int) else socket.fileno()] = events

    def unregister(self, socket: Any) -> None:
        del self._events[socket if isinstance(socket, int) else socket.fileno()]

    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        reading = [descriptor for descriptor, events in self._events.items() if events & select.POLLIN]
        writing = [descriptor for descriptor, events in self._events.items() if events & select.POLLOUT]
        readable, writable, _ = select.select(reading, writing, [], milliseconds / 1000)
        return [*((descriptor, select.POLLIN) for descriptor in readable), *((descriptor, select.POLLOUT) for descriptor in writable)]
