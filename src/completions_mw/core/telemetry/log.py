"""Structured logs: the message is the name of the event, and its fields are attributes of the record (`extra`).

Sentry and other trackers then show one group for each kind of event, and every handler of the host app gets the fields as values. No field
holds content, a key or an address.
"""

import json
import logging
from contextlib import suppress
from datetime import UTC, datetime
from traceback import format_tb
from typing import Any, Final

from completions_mw.frames import clear_locals

access_log: Final = logging.getLogger("completions_mw.access")
event_log: Final = logging.getLogger("completions_mw")
LOG_SECONDS: Final = 10.0
"""Seconds between two records about the same failure."""
_STANDARD_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def log_event(level: int, event: str, *, exc_info: BaseException | None = None, logger: logging.Logger = event_log, **fields: Any) -> None:
    """Log an event of the gateway. An error of a logging handler is suppressed, so that it cannot fail the request.

    Args:
        level: level of `logging`.
        event: name of the event, which is the message.
        exc_info: exception to log with its traceback.
        logger: `completions_mw`, or `completions_mw.access`.
        **fields: fields of the event; None leaves a field out.
    """
    with suppress(Exception):
        logger.log(level, event, exc_info=exc_info, extra={name: value for name, value in fields.items() if value is not None})


def log_exception(event: str, error: Exception, *, debug: bool, **fields: Any) -> None:
    """Log an exception of this package or of the host app, with its traceback.

    Args:
        event: name of the event, which is the message.
        error: the exception.
        debug: whether to log the exception's text, which may quote a request.
        **fields: fields of the event; None leaves a field out.
    """
    if not debug:
        # Error trackers show the local variables of each frame.
        clear_locals(error)
    shown = error if debug else without_text(error)
    log_event(logging.ERROR, event, exc_info=shown, error=type(error).__name__, **fields)


def without_text(error: BaseException) -> BaseException:
    """Return an exception with the class name and traceback of `error`, without its text and its causes, which may quote a request."""
    kind = type(error)
    silent: type[Exception] = type(kind.__name__, (Exception,), {"__module__": kind.__module__, "__qualname__": kind.__qualname__})
    return silent().with_traceback(error.__traceback__)


class JsonFormatter(logging.Formatter):
    """Formats each record as one line of JSON, with all of its fields, so that no value can forge another line.

        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
        logging.basicConfig(level="INFO", handlers=[handler])

    A line begins with `{"time": "2027-01-31T12:00:00.000Z", "level": "INFO", "logger": "completions_mw.access", "event": "request", `, and
    goes on with the fields of the event. The time is UTC.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line of JSON."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, Any] = {"time": time, "level": record.levelname, "logger": record.name, "event": record.getMessage()}
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD_ATTRIBUTES}
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            line |= {"exception": type(error).__qualname__, "text": str(error) or None, "trace": "".join(format_tb(error.__traceback__))}
        return json.dumps({name: value for name, value in line.items() if value is not None}, default=str)
