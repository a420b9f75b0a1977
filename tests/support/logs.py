"""What the gateway has logged, in the terms of tests."""

import logging
from typing import Any, Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def line(record: logging.LogRecord) -> dict[str, Any]:
    """Return the event of a record with its fields."""
    return {"event": record.getMessage(), **{name: value for name, value in vars(record).items() if name not in _STANDARD}}
