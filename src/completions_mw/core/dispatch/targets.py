"""Targets, which answer requests: a model of an upstream behind HTTP, or a model in this process."""

from dataclasses import dataclass
from sys import maxsize
from typing import ClassVar, NamedTuple, Protocol

from completions_mw.core.dispatch.parameters import TargetParams
from completions_mw.core.keys.caller import Caller
from completions_mw.core.ports import EventSource, Model
from completions_mw.core.resilience import TargetHealth
from completions_mw.core.validation.embeddings import Embed
from completions_mw.core.validation.request import Chat
from completions_mw.http import ClientConnection
from completions_mw.providers.base import Completion


class CallOptions(NamedTuple):
    """What a target is told beside the request: for whom it is asked, and how long it may take."""

    connection: ClientConnection | None = None
    """Connection of the client, who may leave meanwhile."""
    caller: str = ""
    """Scope and id of the caller, who may have a share of the connections; empty for the host app itself."""
    seconds: float | None = None
    """Seconds that the answer may take; None for the target's own `total`. A model in this process answers as long as it likes."""

    @classmethod
    def of(cls, connection: ClientConnection | None, caller: Caller | None) -> "CallOptions":
        """Return the options for a request of a caller; None is the host app itself."""
        return cls(connection, "" if caller is None else f"{caller.scope}:{caller.id}")


class Target(Protocol):
    """A model of an upstream or in this process, which answers requests of all callers."""

    @property
    def name(self) -> str:
        """`provider/model`, for logs and prices."""
        ...

    @property
    def model(self) -> str:
        """The model's name at its provider."""
        ...

    @property
    def variant(self) -> str:
        """What its answers depend on beside its name and the request: the same text in each process with the same settings."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether the model runs in this process."""
        ...

    @property
    def total(self) -> float:
        """Seconds that an answer may take."""
        ...

    @property
    def max_inputs(self) -> int:
        """Inputs that an embeddings request may have."""
        ...

    @property
    def params(self) -> TargetParams | None:
        """The parameters that the target does not take; None if it takes all."""
        ...

    @property
    def health(self) -> TargetHealth:
        """What this process knows of its failures, and of how soon it answers."""
        ...

    async def complete(self, chat: Chat, options: CallOptions) -> Completion:
        """Return a whole answer.

        Args:
            chat: the request, with parameters that fit the target.
            options: for whom the target is asked, and in how much time.

        Raises:
            GatewayError: the target gives no answer.
        """
        ...

    async def embed(self, request: Embed, options: CallOptions) -> Completion:
        """Return an answer with a vector for each input.

        Args:
            request: the request, with no more inputs than the target takes.
            options: for whom the target is asked, and in how much time.

        Raises:
            GatewayError: the target gives no answer.
        """
        ...

    async def open(self, chat: Chat, options: CallOptions) -> EventSource:
        """Return the events of a streamed answer.

        Args:
            chat: the request.
            options: for whom the target is asked, and in how much time.

        Raises:
            GatewayError: the target gives no answer.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class InProcessTarget:
    """A target in this process: a Python function, echo, llama.cpp."""

    is_local: ClassVar = True
    max_inputs: ClassVar = maxsize
    params: ClassVar = None

    name: str
    model: str
    port: Model
    total: float
    health: TargetHealth
    ignored: frozenset[str] = frozenset()
    """Parameters that change nothing at this model, of which its clients are told."""
    variant: str = ""

    async def complete(self, chat: Chat, options: CallOptions) -> Completion:
        return Completion(await self.port.complete(chat.request))

    async def embed(self, request: Embed, options: CallOptions) -> Completion:
        return Completion(await self.port.embed(request.request))

    async def open(self, chat: Chat, options: CallOptions) -> EventSource:
        return await self.port.stream(chat.request)
