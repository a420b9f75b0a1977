"""Answers that are given again: the place of a response cache in the pipeline, between admission and reservation.

    cache.py  `ResponseCache`: what the pipeline needs of one

No cache is built yet; settings that ask for one are refused.
"""

from completions_mw.core.cache.cache import Lookup, ResponseCache

__all__ = ["Lookup", "ResponseCache"]
