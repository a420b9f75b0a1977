"""Tokens and prices. Amounts of money are integer nano-dollars.

tokens.py  tokens that a request may use, and tokens that its answer used
media/     tokens of images, audio and files
prices.py  the cost of tokens
"""

from completions_mw.core.costs.prices import Price
from completions_mw.core.costs.tokens import TokenEstimate, estimate_embeddings, estimate_request

__all__ = ["Price", "TokenEstimate", "estimate_embeddings", "estimate_request"]
