"""What the library logs, as its JSON formatter would write it."""

import logging
from typing import Any, Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def line(record: logging.LogRecord) -> dict[str, Any]:
    """Return the event's name and its fields."""
    return {"event": record.getMessage(), **{name: value for name, value in vars(record).items() if name not in _STANDARD}}
