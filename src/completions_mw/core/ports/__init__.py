"""Ports: the protocols of all I/O of the core, which awaits nothing else.

admission.py   `AdmissionStore`: counters and leases
ledger.py      `Ledger`: reservations, settlements and budgets
spool.py       `SpoolFile`: what the ledger could not take, on disk
usage.py       queries of the ledger's rows
keys.py        `KeyStore`: stored keys
failures.py    errors of stores
upstreams.py   `Transport`: calls of upstreams, their events, and `Credentials` that are made for each request
models.py      `Model`: models in this process
responses.py   `ResponseStore`: cached answers, and the leases of those that are being made
flights.py     `Flights`: how equal requests wait for one call
background.py  `Background`: work beside requests
waiting.py     `Waiting`: waits within a request
clock.py       `Clock`: time

Each port has a blocking and an async implementation in `backends/`, with the same method names. Blocking ones do their I/O inside
`async def` methods that never suspend (see `completions_mw/blocking.py`).
"""

from completions_mw.core.ports.admission import Admission, AdmissionStore, Lease, TokenDemand, Window
from completions_mw.core.ports.background import Background, Stopping, Watched
from completions_mw.core.ports.clock import Clock
from completions_mw.core.ports.failures import StoreBrokenError, StoreError, StoreOverloadedError, StoreRefusalError, StoreTimeoutError
from completions_mw.core.ports.flights import Flights, Steps
from completions_mw.core.ports.keys import FoundKey, KeyExistsError, KeyFinder, KeyRecord, KeyStore, SecretRecord
from completions_mw.core.ports.ledger import (
    THRESHOLDS,
    Account,
    Balance,
    BudgetChange,
    Entry,
    Ledger,
    Outcome,
    Refusal,
    Settlement,
    Tokens,
)
from completions_mw.core.ports.models import Model, ModelFunction
from completions_mw.core.ports.responses import (
    CacheKey,
    Claim,
    FlightLeases,
    FoundAnswer,
    PurgeFilter,
    ResponseStore,
    SharedResponseStore,
    StoreContents,
    StoredAnswer,
)
from completions_mw.core.ports.spool import SpoolFile
from completions_mw.core.ports.upstreams import Credentials, EventSource, Transport
from completions_mw.core.ports.usage import UsageBy, UsageQuery, UsageRow
from completions_mw.core.ports.waiting import Waiting

__all__ = [
    "THRESHOLDS",
    "Account",
    "Admission",
    "AdmissionStore",
    "Background",
    "Balance",
    "BudgetChange",
    "CacheKey",
    "Claim",
    "Clock",
    "Credentials",
    "Entry",
    "EventSource",
    "FlightLeases",
    "Flights",
    "FoundAnswer",
    "FoundKey",
    "KeyExistsError",
    "KeyFinder",
    "KeyRecord",
    "KeyStore",
    "Lease",
    "Ledger",
    "Model",
    "ModelFunction",
    "Outcome",
    "PurgeFilter",
    "Refusal",
    "ResponseStore",
    "SecretRecord",
    "Settlement",
    "SharedResponseStore",
    "SpoolFile",
    "Steps",
    "Stopping",
    "StoreBrokenError",
    "StoreContents",
    "StoreError",
    "StoreOverloadedError",
    "StoreRefusalError",
    "StoreTimeoutError",
    "StoredAnswer",
    "TokenDemand",
    "Tokens",
    "Transport",
    "UsageBy",
    "UsageQuery",
    "UsageRow",
    "Waiting",
    "Watched",
    "Window",
]
