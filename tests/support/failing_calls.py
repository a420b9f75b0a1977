"""Stores of which one call fails, whichever a test wants: every store call of a request in turn (docs/promises.md, Clients that leave)."""

from typing import Any, Final, TypeVar, cast

T = TypeVar("T")
NEVER: Final = 0
ALWAYS: Final = -1


class FailingCalls:
    """Counts the calls of all stores that it is put around.

    Args:
        at: which of them fails, counted from 1.
        error: what it raises.
        too_late: whether it is carried out all the same, as when only the answer is lost.
    """

    def __init__(self, at: int = NEVER, error: BaseException | None = None, *, too_late: bool = False) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        """The method of each call, and its arguments."""
        self._at = at
        self._error = error
        self._too_late = too_late

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    @property
    def failed(self) -> bool:
        return NEVER < self._at <= len(self.calls)

    def of(self, method: str) -> list[tuple[Any, ...]]:
        """Return the arguments of each call of a method."""
        return [arguments for name, arguments in self.calls if name == method]

    def around(self, store: T) -> T:
        """Return `store` with calls that count, and fail."""
        return cast("T", _Counted(self, store))

    def fail_always(self, error: BaseException) -> None:
        """Let every later call fail, until `stop`."""
        self._at, self._error = ALWAYS, error

    def stop(self) -> None:
        """Let no later call fail."""
        self._at = NEVER

    def about_to(self, name: str, arguments: tuple[Any, ...]) -> None:
        self.calls.append((name, arguments))
        if not self._too_late:
            self.done(len(self.calls))

    def done(self, number: int) -> None:
        if self._at in (number, ALWAYS) and self._error is not None:
            raise self._error


class _Counted:
    def __init__(self, calls: FailingCalls, store: Any) -> None:
        self._calls = calls
        self._store = store

    def __getattr__(self, name: str) -> Any:
        async def method(*arguments: Any) -> Any:
            self._calls.about_to(name, arguments)
            number = len(self._calls.calls)
            answer = await getattr(self._store, name)(*arguments)
            self._calls.done(number)
            return answer

        return method
