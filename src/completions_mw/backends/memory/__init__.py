"""State in this process.

admission.py  `MemoryAdmission`: rate limits and leases
finished.py   `FinishedRequests`: which requests finished a moment ago
key_cache.py  `CachedKeys`: caches key look-ups for a short time
responses.py  cached answers
"""

from completions_mw.backends.memory.admission import MemoryAdmission
from completions_mw.backends.memory.key_cache import CachedKeys

__all__ = ["CachedKeys", "MemoryAdmission"]
