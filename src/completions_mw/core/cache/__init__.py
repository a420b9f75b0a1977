"""The response cache: identical requests cost one call of an upstream (docs/caching.md).

    cache.py          `ResponseCache`: what the pipeline asks
    key.py            the key of a request
    known.py          `KnownBodies`: bodies that were answered from the cache
    scopes.py         who shares answers with whom
    directives.py     the `Cache-Control` header of a request
    policy.py         `CachePolicy`: which requests and answers of a model are cached
    recording.py      from an answer in either form to a stored answer in both
    flight.py         `Flight`: one call whose answer several requests get, each at its own pace
    single_flight.py  `SingleFlight`: the flights under way
    call.py           `LeadingCall`: the call of a flight
    register.py       `CallRegister`: leases, by which the calls of all processes take turns, and the store of their answers
    reader.py         `FlightReader`: the stream of one request in a flight
    semantic.py       `SemanticCache`: the hook for answers to similar requests
    guarded_store.py  `GuardedResponses`: a store whose failures are misses

A store keeps both forms of an answer as bytes, so that a hit is parsed, hashed, looked up and written, and nothing else. A body that was
answered from the cache before is not even parsed.
"""

from completions_mw.core.cache.cache import CacheStats, CacheStatus, ResponseCache
from completions_mw.core.cache.known import KnownRequest
from completions_mw.core.cache.reader import FlightReader
from completions_mw.core.cache.semantic import SemanticCache

__all__ = ["CacheStats", "CacheStatus", "FlightReader", "KnownRequest", "ResponseCache", "SemanticCache"]
