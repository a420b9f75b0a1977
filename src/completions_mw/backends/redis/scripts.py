"""Scripts that run in Redis: one round trip, and atomic."""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from logging import WARNING
from typing import Any, NamedTuple, Protocol

from redis.exceptions import NoScriptError

from completions_mw.core.ports import Clock, StoreError
from completions_mw.core.resilience.throttle import Throttle
from completions_mw.core.telemetry.log import LOG_SECONDS, log_event

Argument = str | bytes | int


class Session(Protocol):
    """Sends commands to Redis."""

    async def call(self, *command: Argument) -> Any:
        """Send one command and return its answer.

        Raises:
            NoScriptError: Redis does not know a script.
            StoreError: any other failure.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections of this process or event loop."""
        ...


class _Script(NamedTuple):
    text: str
    digest: str


@cache
def _script(name: str) -> _Script:
    text = files(__package__).joinpath(f"{name}.lua").read_text()
    return _Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


class Scripts:
    """Runs the scripts of one store, and loads those that Redis does not know.

    Args:
        session: sends commands, blocking or async.
        store: name of the store, for the log.
        clock: limits how often a line is logged.
    """

    def __init__(self, session: Session, store: str, clock: Clock) -> None:
        self._session = session
        self._store = store
        self._monotonic = clock.monotonic
        self._known: set[str] = set()
        self._log_lines = Throttle(LOG_SECONDS)

    async def run(self, name: str, keys: Sequence[bytes], arguments: Sequence[Argument]) -> Any:
        """Run the script `<name>.lua` and return its answer.

        Raises:
            StoreError: Redis fails.
        """
        script = _script(name)
        try:
            answer = await self._session.call("EVALSHA", script.digest, len(keys), *keys, *arguments)
        except NoScriptError:
            if name in self._known:
                # Redis lost its scripts by a restart or a flush, and what it has stored may be lost with them.
                self._known.clear()
                if self._log_lines.ready(self._monotonic()):
                    log_event(WARNING, "store_reset", store=self._store)
            await self._session.call("SCRIPT", "LOAD", script.text)
            try:
                answer = await self._session.call("EVALSHA", script.digest, len(keys), *keys, *arguments)
            except NoScriptError as error:
                raise StoreError("Redis forgets its scripts") from error
        self._known.add(name)
        return answer
