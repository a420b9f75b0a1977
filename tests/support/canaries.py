"""All logs, at DEBUG, searched for what no log may have (docs/promises.md, Secrets)."""

import logging
import re
from typing import Self

_SECRETS = re.compile(r"sk-(?!\*)[\w-]{12,}|canary|(?i:bearer +\w|password=\w)")
"""All keys of all tests, whosoever they are, and all that tests hide where it should not be found."""


class Canaries(logging.Handler):
    """Listens to all loggers inside a `with` block.

    Args:
        caught: what tests look at, which sees no more than without us unless a test asks for it.
    """

    def __init__(self, caught: logging.Handler) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.seen: list[str] = []
        """The lines that have a secret."""
        self._caught = caught

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        # Django itself repeats the query string of what it refuses.
        if record.name != "django.request" and _SECRETS.search(line):
            self.seen.append(line)

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self._before = root.level, self._caught.level
        self._caught.setLevel(max(self._caught.level, root.level))
        root.setLevel(logging.DEBUG)
        root.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._before[0])
        self._caught.setLevel(self._before[1])
