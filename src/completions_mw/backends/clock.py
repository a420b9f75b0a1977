"""The machine's clocks; the only module that reads them."""

import time

from completions_mw.core.ports import Clock

SYSTEM_CLOCK = Clock(monotonic=time.monotonic, time=time.time)
