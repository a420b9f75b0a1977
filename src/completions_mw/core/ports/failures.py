"""How stores fail."""


class StoreError(Exception):
    """A store did not do what it was asked, or may have: it is down, slow, full, read-only, or refuses us.

    The text is for the operator's log: never an address, a password, a key or a value. What caused it is chained.
    """


class StoreTimeoutError(StoreError):
    """No answer in time: it may have been done."""


class StoreBrokenError(StoreError):
    """Waiting does not mend it: a corrupt file, a schema of a newer version, data that is not ours."""


class StoreRefusalError(StoreError):
    """It tells nothing of how the store is doing: it is about this question alone, as a value that cannot be read, or was never asked."""
