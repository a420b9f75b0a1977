"""A store that fails when a test says so, in front of a real one."""

from typing import Any, Generic, TypeVar, cast

from completions_mw.core.ports import StoreError

T = TypeVar("T")


class Fault(Generic[T]):
    """How a store behaves.

    Args:
        store: the real one.
    """

    def __init__(self, store: T) -> None:
        self.error: StoreError | None = None
        """What every call raises; None for none."""
        self.too_late = False
        """Whether a call is carried out before it raises, as when only the answer is lost."""
        self.calls: list[str] = []
        """Which methods were called."""
        self.store = cast("T", _Faulty(self, store))
        """The store to give to whoever is tested."""


class _Faulty:
    def __init__(self, fault: Fault[Any], store: Any) -> None:
        self._fault = fault
        self._store = store

    def __getattr__(self, name: str) -> Any:
        async def method(*args: Any) -> Any:
            self._fault.calls.append(name)
            if self._fault.error is not None and not self._fault.too_late:
                raise self._fault.error
            answer = await getattr(self._store, name)(*args)
            if self._fault.error is not None:
                raise self._fault.error
            return answer

        return method
