"""Random numbers that are no secrets: which of equal targets is asked, and how long a retry waits."""

from random import random as draw  # noqa: TID251 - nothing drawn here is an identifier or a key

__all__ = ["draw"]
