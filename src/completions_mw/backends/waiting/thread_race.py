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


class Leash:
    """The connection that a thread in a race watches in place of its client's, by which it is called back.

    Args:
        client: connection of the client, which it stands for once the race is won.
    """

    def __init__(self, client: ClientConnection | None) -> None:
        self._client = client
        self._end, self._held = socket.socketpair()
        self._is_racing = True
        self._is_pulled = False

    def fileno(self) -> int:
        if self._is_racing:
            return self._end.fileno()
        return -1 if self._client is None else self._client.fileno()

    def is_gone(self) -> bool:
        return self._is_pulled or (not self._is_racing and self._client is not None and self._client.is_gone())

    def pull(self) -> None:
        """Call the thread back: from now on its client seems to be gone."""
        self._is_pulled = True
        # `end` has closed it if the thread has just ended.
        with suppress(OSError):
            self._held.shutdown(socket.SHUT_WR)

    def end(self) -> None:
        """Note that the thread has ended."""
        self._is_racing = False
        self._end.close()
        self._held.close()


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
        self._leashes: list[Leash] = []
        self._running = 0
        self._is_over = False
        self._has_ended = False
        self._winner: Leash | None = None
        self._result: T | None = None
        self._fault: BaseException | None = None
        self._bell, self._rope = socket.socketpair()
        """Each thread that ends rings the bell."""

    @property
    def is_open(self) -> bool:
        """Whether there may still be a result."""
        return self._running > 0 and not self._is_over

    def begin(self, contestant: Contestant[T]) -> None:
        """Begin to work in a thread of its own, with the context variables of this one."""
        leash = Leash(self._client)
        self._leashes.append(leash)
        self._running += 1
        # A daemon, since one that was called back may still wait for a name server when the process ends.
        thread = Thread(target=copy_context().run, args=(self._work, contestant, leash), daemon=True)
        try:
            thread.start()
        except BaseException:
            self._running -= 1
            leash.end()
            raise

    def wait(self, seconds: float = inf) -> bool:
        """Return whether a thread has ended within so many seconds.

        Raises:
            ClientDisconnectedError: the client left.
        """
        until = SYSTEM_CLOCK.monotonic() + seconds
        poll = new_poll()
        poll.register(self._bell, select.POLLIN)
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
            if self._bell.fileno() in ready:
                self._bell.recv(16)
                return True
            if SYSTEM_CLOCK.monotonic() >= until:
                return False

    def result(self) -> T | None:
        """Return the result; None if no thread had one.

        Raises:
            BaseException: a thread has failed with something that is no `GatewayError`.
        """
        if self._fault is not None:
            raise self._fault
        return self._result

    def end(self) -> None:
        """Call back the threads that still work."""
        with self._lock:
            self._is_over = self._has_ended = True
            self._fault = None
            self._bell.close()
            self._close_last()
        for leash in self._leashes:
            if leash is not self._winner:
                leash.pull()

    def _work(self, contestant: Contestant[T], leash: Leash) -> None:
        result: T | None = None
        fault: BaseException | None = None
        try:
            result = run_sync(contestant(leash))
        except ClientDisconnectedError:
            # It was called back.
            pass
        except BaseException as error:
            fault = error
        with self._lock:
            leash.end()
            self._running -= 1
            is_late = self._is_over
            if not is_late and (result is not None or fault is not None):
                self._is_over, self._winner, self._result, self._fault = True, leash, result, fault
            with suppress(OSError):
                self._rope.send(b".")
            self._close_last()
        # The exception holds this frame by its traceback.
        del fault
        if is_late and result is not None:
            run_sync(self._drop(result))

    def _close_last(self) -> None:
        if self._has_ended and not self._running:
            self._rope.close()
