"""A host: a web app of some framework, with the gateway mounted in it beside pages of its own."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from anyio.from_thread import BlockingPortal

from completions_mw import AsyncGateway, BudgetAlert, Caller, Gateway, Request, Settings
from completions_mw.core.ports import ModelFunction
from completions_mw.core.routes import Routes
from tests.support.envelope import REFUSALS, Refusal
from tests.support.exchange import Answer, HeaderPairs, Sent, Server

HELLO: Final = b"hello from the app"
PREFIX: Final = "/api/v1"
CHAT: Final = f"{PREFIX}/chat/completions"
EMBEDDINGS: Final = f"{PREFIX}/embeddings"
MODELS: Final = f"{PREFIX}/models"
OWN_FILES: Final = f"{PREFIX}/files"
"""A page of the app at a path of OpenAI's API."""
PAGES: Final = ("/hello", OWN_FILES)
"""Paths of the app's own pages."""


@dataclass(frozen=True, slots=True)
class Project:
    """What a host is made of.

    Args:
        settings: of its gateway.
        portal: the event loop of the async ones.
        models: Python functions as models.
        authenticate: the project's own login.
        on_budget: told of the thresholds of budgets.
    """

    settings: Settings
    portal: BlockingPortal
    models: Mapping[str, ModelFunction] = field(default_factory=dict)
    authenticate: Callable[[Request], Caller | str | None] | None = None
    on_budget: Callable[[BudgetAlert], None] | None = None

    def gateway(self) -> AbstractContextManager[Gateway]:
        """Return the gateway of a blocking host, closed at the end of the `with` block."""
        return Gateway(self.settings, models=self.models, authenticate=self.authenticate, on_budget=self.on_budget)

    def async_gateway(self) -> AbstractContextManager[AsyncGateway]:
        """Return the gateway of an async host; its hooks are async, too."""
        authenticate, on_budget = self.authenticate and self._ask, self.on_budget and self._tell
        gateway = AsyncGateway(self.settings, models=self.models, authenticate=authenticate, on_budget=on_budget)
        return self.portal.wrap_async_context_manager(gateway)

    def rows_of(self, gateway: AsyncGateway) -> Callable[[], object]:
        """Return what makes the gateway of an async host write the rows of its requests."""
        return partial(self.portal.call, gateway.usage)

    async def _ask(self, request: Request) -> Caller | str | None:
        assert self.authenticate is not None
        return self.authenticate(request)

    async def _tell(self, alert: BudgetAlert) -> None:
        assert self.on_budget is not None
        self.on_budget(alert)


@dataclass(frozen=True, slots=True)
class HostResponse:
    """A whole answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    taken: int
    """How many bytes of the request's body the host has read."""

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json()["error"]


@dataclass(frozen=True, slots=True)
class Host:
    """One client for one host: requests as its server would hand them to the app.

    Args:
        server: calls the app.
        reads_ahead: whether it reads a whole body before it looks at the request.
        wraps: whether the gateway is a middleware around the app, and not routes of it.
        prefix: where the gateway's paths are in this host.
        write_rows: makes the gateway write the rows of requests that it would write within a second, behind their answers.
    """

    server: Server
    reads_ahead: bool = False
    wraps: bool = False
    prefix: str = PREFIX
    write_rows: Callable[[], object] | None = None

    def request(
        self, method: str, path: str, headers: HeaderPairs = (), body: bytes | Sequence[bytes] = b"", *, mount: str = ""
    ) -> HostResponse:
        """Return the whole answer to a request; refusals of the gateway are kept to be checked at the end of the test.

        Args:
            method: the verb.
            path: decoded, below `mount`.
            headers: without a content-length, which is added; a body in pieces gets none.
            body: whole, or in pieces.
            mount: SCRIPT_NAME or root_path.
        """
        with self.stream(method, path, headers, body, mount=mount) as answer:
            response = HostResponse(answer.status, answer.headers, b"".join(answer), answer.taken)
        if Routes(self.prefix).owns(method, path) and not 200 <= response.status < 300:
            REFUSALS.append(Refusal(method, response.status, response.headers, response.body))
        return response

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        headers: HeaderPairs = (),
        body: bytes | Sequence[bytes] = b"",
        *,
        mount: str = "",
        complete: bool = True,
    ) -> Iterator[Answer]:
        """Give the answer to a request as it comes; at the end of the block the client leaves.

        Args:
            method: this and what follows as `request`.
            path: see there.
            headers: see there.
            body: see there.
            mount: see there.
            complete: whether the end of the body ever comes.
        """
        pieces = (body,) if isinstance(body, bytes) else tuple(body)
        if isinstance(body, bytes) and body and "content-length" not in dict(headers):
            headers = (*headers, ("content-length", str(len(body))))
        with self.server.send(Sent(method, path, headers, pieces, mount, complete)) as answer:
            yield answer


def bearer(key: str) -> HeaderPairs:
    """Return the headers of a client that has a key."""
    return (("authorization", f"Bearer {key}"),)
