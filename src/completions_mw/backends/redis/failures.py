"""Turns exceptions of redis-py into store errors."""

from typing import Final

from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from completions_mw.core.ports import StoreError, StoreRefusalError, StoreTimeoutError

FAILURES: Final = (RedisError, OSError, UnicodeError)
"""The exceptions that a call of redis-py may raise."""
_TIMEOUTS: Final = (RedisTimeoutError, TimeoutError)


def store_error(error: Exception) -> StoreError:
    """Return the store error for a failure: its text is fixed words and the name of the failure's class."""
    name = type(error).__name__
    if isinstance(error, _TIMEOUTS):
        return StoreTimeoutError(f"Redis did not answer in time: {name}")
    if isinstance(error, ResponseError):
        if "WRONGTYPE" in str(error):
            return StoreRefusalError(f"Redis holds something else under a name of ours: {name}")
        code = str(error).partition(" ")[0]
        # The first word of a refusal is a code of Redis; the rest may quote anything.
        return StoreError(f"Redis refused: {name}{f' {code}' if code.isalpha() and code.isupper() else ''}")
    return StoreError(f"Redis cannot be reached: {name}")


def refusal(error: ResponseError) -> Exception:
    """Return the error for a command that Redis refuses, free of the frames in which the refusal was read."""
    if isinstance(error, NoScriptError):
        return NoScriptError()
    failure = store_error(error)
    failure.__cause__ = without_message(error.with_traceback(None))
    return failure


def without_message(error: Exception) -> Exception | None:
    """Return the cause of a failure as tracebacks may show it: the texts of redis-py's exceptions quote addresses."""
    if not isinstance(error, RedisError):
        return None
    error.args = ()
    error.__cause__ = error.__context__ = None
    return error
