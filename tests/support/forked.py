"""Work in a forked child, as a server's worker does it: with what the parent had in memory, and limits of its own."""

import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 120
"""Seconds after which a child that hangs is ended."""


class Child:
    """A forked process that does one piece of work."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._reading, writing = os.pipe()
        self._id = os.fork()
        if self._id == 0:
            signal.alarm(PATIENCE)
            code = 1
            try:
                os.write(writing, json.dumps(work()).encode())
                code = 0
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(code)
        os.close(writing)

    def result(self) -> Any:
        """Wait for the end of the work; return what it returned, which is JSON."""
        with open(self._reading, "rb") as pipe:
            written = pipe.read()
        code = os.waitstatus_to_exitcode(os.waitpid(self._id, 0)[1])
        assert code == 0, f"the child ended with {code}"
        return json.loads(written)


def in_child(work: Callable[[], Any]) -> Any:
    """Return what `work` returns in a forked child."""
    return Child(work).result()


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Let this process open nothing more; for children only, since it concerns all threads."""
    free = os.dup(2)
    os.close(free)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
