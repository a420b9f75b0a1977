"""A race between threads for one result."""

import select
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from math import inf
from threading import Lock, Thread
from typing import Any, Final, Generic, TypeVar

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.polling import new_poll
from completions_mw.blocking import run_sync
from completions_mw.core.ports.waiting import Contestant
from completions_mw.errors import ClientDisconnectedError
from completions_mw.http import ClientConnection

T = TypeVar("T")
POLL_SECONDS: Final = 60.0
"""Longest wait at a time, as a wait for ever is written differently for each kind of poll."""


class RaceConnection:
    """The connection that a thread in a race watches in place of the client connection, so that it can be cancelled.

    Args:
        client: connection of the client, which is watched once the thread has won the race.
    """

    def __init__(self, client: ClientConnection | None) -> None:
        self._client = client
        self._watched, self._canceller = socket.socketpair()
        self._is_racing = True
        self._is_cancelled = False

    def fileno(self) -> int:
        if self._is_racing:
            return self._watched.fileno()
        return -1 if self._client is None else self._client.fileno()

    def is_gone(self) -> bool:
        return self._is_cancelled or (not self._is_racing and self._client is not None and self._client.is_gone())

    def cancel(self) -> None:
        """Cancel the work of the thread: from now on its client seems to be gone."""
        self._is_cancelled = True
        # `end` has closed it if the thread has just ended.
        with suppress(OSError):
            self._canceller.shutdown(socket.SHUT_WR)

    def end(self) -> None:
        """Note that the thread has ended."""
        self._is_racing = False
        self._watched.close()
        self._canceller.close()


class ThreadRace(Generic[T]):
    """Threads that work for the same result. The thread that waits for them watches the client.

    Args:
        client: connection of the client; None where it cannot be watched.
        drop: is given each further result.
    """

    def __init__(self, client: ClientConnection | None, drop: Callable[[T], Coroutine[Any, Any, None]]) -> None:
        self._client = client
        self._drop = drop
        self._lock = Lock()
        self._connections: list[RaceConnection] = []
        self._running = 0
        self._is_over = False
        self._has_ended = False
        self._winner: RaceConnection | None = None
        self._result: T | None = None
        self._fault: BaseException | None = None
        self._wakeup, self._wakeup_sender = socket.socketpair()
        """A pair of sockets: each thread that ends sends a byte, which wakes up the thread that waits."""

    @property
    def is_open(self) -> bool:
        """Whether there may still be a result."""
        return self._running > 0 and not self._is_over

    def begin(self, contestant: Contestant[T]) -> None:
        """Begin to work in a thread of its own, with the context variables of this one."""
        connection = RaceConnection(self._client)
        self._connections.append(connection)
        self._running += 1
        # A daemon, since one that was cancelled may still wait for a name server when the process ends.
        thread = Thread(target=copy_context().run, args=(self._work, contestant, connection), daemon=True)
        try:
            thread.start()
        except BaseException:
            self._running -= 1
            connection.end()
            raise

    def wait(self, seconds: float = inf) -> bool:
        """Return whether a thread has ended within so many seconds.

        Raises:
            ClientDisconnectedError: the client left.
        """
        until = SYSTEM_CLOCK.monotonic() + seconds
        poll = new_poll()
        poll.register(self._wakeup, select.POLLIN)
        client = self._client
        watched = -1 if client is None else client.fileno()
        if watched >= 0:
            poll.register(watched, select.POLLIN)
        while True:
            left = min(max(0.0, until - SYSTEM_CLOCK.monotonic()), POLL_SECONDS)
            ready = {descriptor for descriptor, _ in poll.poll(left * 1000)}
            if client is not None and watched in ready:
                if client.is_gone():
                    raise ClientDisconnectedError
                poll.unregister(watched)
                watched = -1
            if self._wakeup.fileno() in ready:
                self._wakeup.recv(16)
                return True
            if SYSTEM_CLOCK.monotonic() >= until:
                return False

    def result(self) -> T | None:
        """Return the result; None if no thread had one.

        Raises:
            BaseException: a thread failed with an exception other than a `GatewayError`.
        """
        if self._fault is not None:
            raise self._fault
        return self._result

    def end(self) -> None:
        """Cancel the work of the threads that still run."""
        with self._lock:
            self._is_over = self._has_ended = True
            self._fault = None
            self._wakeup.close()
            self._close_last()
        for connection in self._connections:
            if connection is not self._winner:
                connection.cancel()

    def _work(self, contestant: Contestant[T], connection: RaceConnection) -> None:
        result: T | None = None
        fault: BaseException | None = None
        try:
            result = run_sync(contestant(connection))
        except ClientDisconnectedError:
            # It was cancelled.
            pass
        except BaseException as error:
            fault = error
        with self._lock:
            connection.end()
            self._running -= 1
            is_late = self._is_over
            if not is_late and (result is not None or fault is not None):
                self._is_over, self._winner, self._result, self._fault = True, connection, result, fault
            with suppress(OSError):
                self._wakeup_sender.send(b".")
            self._close_last()
        # The exception holds this frame by its traceback.
        del fault
        if is_late and result is not None:
            run_sync(self._drop(result))

    def _close_last(self) -> None:
        if self._has_ended and not self._running:
            self._wakeup_sender.close()
