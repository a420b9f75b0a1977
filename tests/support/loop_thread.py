"""An asyncio server in a thread of its own, so that blocking tests, other event loops and whole processes can use it."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
ACCEPT_TURNS = 5
"""Turns of an event loop within which a connection that was accepted has its handler."""


async def stop_listening(server: asyncio.Server) -> None:
    """Close a server, once each connection that it has accepted has a handler: asyncio closes no connection that has none by then."""
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())
    for _ in range(ACCEPT_TURNS):
        await asyncio.sleep(0)
    server.close()


class LoopThread:
    """Runs `open` and `close` on its own event loop, at the start and the end of a `with` block.

    Whatever a connection's handler raises by mistake is raised at the end of the block: a broken helper must not look like a fault.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        self._started: Future[None] = Future()
        self._connections: set[asyncio.Task[None]] = set()
        self._mistakes: list[Exception] = []

    async def open(self) -> None:
        """Start to serve."""

    async def close(self) -> None:
        """Stop to listen."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.call(self._stop.set)
        self._thread.join()
        if self._mistakes and error is None:
            raise ExceptionGroup(f"{type(self).__name__} failed", self._mistakes)

    def call(self, function: Callable[[], object]) -> None:
        """Run `function` on the loop, soon."""
        self._loop.call_soon_threadsafe(function)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` on the loop and wait for its end."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def handle(self, handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Run `handler` for one connection and close it."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await handler(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            writer.transport.abort()
        except Exception as mistake:
            self._mistakes.append(mistake)
        finally:
            writer.close()
            try:
                with contextlib.suppress(ConnectionError, TimeoutError):
                    await writer.wait_closed()
            except asyncio.CancelledError:
                writer.transport.abort()
            finally:
                self._connections.discard(task)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        try:
            await self.open()
        except BaseException as error:
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        await self._stop.wait()
        await self.close()
        while self._connections:
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
        # An aborted transport closes its socket at the loop's next turn.
        await asyncio.sleep(0)
