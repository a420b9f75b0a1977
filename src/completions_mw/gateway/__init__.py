"""The two gateways: settings and backends, joined to one pipeline.

`Gateway` is for threads and greenlets, `AsyncGateway` for event loops. They differ in their backends and in nothing else.
"""

from completions_mw.gateway.asynchronous import AsyncGateway
from completions_mw.gateway.blocking import Gateway

__all__ = ["AsyncGateway", "Gateway"]
