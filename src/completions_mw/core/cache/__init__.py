"""Cached answers: the seam of a response cache in the pipeline, between admission and reservation.

    cache.py  `ResponseCache`: the protocol of a cache

There is no cache yet; settings that enable one are refused.
"""

from completions_mw.core.cache.cache import Lookup, ResponseCache

__all__ = ["Lookup", "ResponseCache"]
