"""A caller with a stored key of its own, and what its operator sees of it: so tests that share hosts share no limit and no budget."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from completions_mw import Gateway, NewKey
from completions_mw.core.ports import Balance, UsageRow
from tests.conformance.given import JSON, chat_body, post
from tests.hosts.base import CHAT, Host, HostResponse, bearer
from tests.support.exchange import Answer
from tests.support.waiting import wait_until


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody with a key.

    Args:
        host: answers.
        operator: of the ledger that the host writes.
        created: the key.
    """

    host: Host
    operator: Gateway
    created: NewKey

    @property
    def id(self) -> str:
        return self.created.key.id

    def post(self, **fields: Any) -> HostResponse:
        """Return the whole answer to a chat request."""
        return post(self.host, json.dumps(chat_body(**fields)).encode(), key=self.created.secret)

    def stream(self, **fields: Any) -> AbstractContextManager[Answer]:
        """Give a streamed answer as it comes; the client leaves at the end of the block."""
        body = json.dumps(chat_body(stream=True, **fields)).encode()
        return self.host.stream("POST", CHAT, (*bearer(self.created.secret), *JSON), body)

    def usage(self, requests: int = 1) -> UsageRow:
        """Return the sums over so many requests, as soon as they are in the ledger: a client may leave while its last one is settled."""
        rows: list[UsageRow] = []

        def are_written() -> bool:
            assert self.host.write_rows is not None
            self.host.write_rows()
            rows[:] = self.operator.usage(key=self.id)
            return [row.requests for row in rows] == [requests]

        wait_until(are_written)
        return rows[0]

    def has_rows(self) -> bool:
        """Return whether the ledger has any row of a request that has ended."""
        return bool(self.operator.usage(key=self.id))

    def balance(self) -> Balance:
        """Return how the key's budget stands; there must have been one period of it only."""
        [balance] = self.operator.balances(self.id)
        return balance


CustomerMaker = Callable[..., Customer]
