"""What all tests of clients share."""

from typing import NamedTuple


class Endpoint(NamedTuple):
    """How a client is configured."""

    base_url: str
    api_key: str
