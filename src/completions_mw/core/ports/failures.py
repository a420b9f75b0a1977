"""Errors of stores."""


class StoreError(Exception):
    """A call of a store failed: the store is down, slow, full, read-only, or refuses access.

    The text is for the operator's log, and holds no address, password, key or value. The cause is chained.
    """


class StoreTimeoutError(StoreError):
    """A store did not answer in time, and may have done what it was asked."""


class StoreBrokenError(StoreError):
    """A store is broken until an operator repairs it: a corrupt file, a newer schema, or data of another program."""


class StoreRefusalError(StoreError):
    """A store refused one call, as for a value that it cannot read, or the call was never made. The store itself may be healthy."""


class StoreOverloadedError(StoreError):
    """A call was not made, because too many calls wait for the store, or because the call has waited for too long. The store is well."""
