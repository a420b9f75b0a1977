"""Time for stores: where exactness is the subject, a machine that has much to do must not look like a store that is down."""

STORE_PATIENCE = 10.0
"""Seconds that a store may take."""
