"""Telemetry: reports of what happens to requests.

observer.py     `Observer`: base class of logs, metrics and spans
request_log.py  `RequestLog`: the observer that logs requests and failures
log.py          structured log records, and `JsonFormatter`

Metrics and spans are observers too, each in a file beside request_log.py.
"""

from completions_mw.core.telemetry.log import JsonFormatter
from completions_mw.core.telemetry.observer import Observer
from completions_mw.core.telemetry.request_log import RequestLog

__all__ = ["JsonFormatter", "Observer", "RequestLog"]
