"""The two kinds of backends. They are imported when a gateway needs them: importing the library imports no HTTP client."""

from typing import Protocol

from completions_mw.core.ports import Model, ModelFunction, Transport
from completions_mw.settings import LlamaCppSettings, Settings


class Kit(Protocol):
    """Makes the backends of one kind."""

    def transport(self, settings: Settings) -> Transport: ...
    def function(self, function: ModelFunction, settings: Settings) -> Model: ...
    def llama_cpp(self, provider: LlamaCppSettings, settings: Settings) -> Model: ...


class BlockingKit:
    """Backends that do their I/O inline: for threads and greenlets."""

    def transport(self, settings: Settings) -> Transport:
        from completions_mw.backends.transport import BlockingTransport

        return BlockingTransport(settings.connections.max, settings.connections.keep_alive, settings.keep_alive)

    def function(self, function: ModelFunction, settings: Settings) -> Model:
        from completions_mw.backends.models import BlockingFunctionModel

        return BlockingFunctionModel(function, settings.keep_alive)

    def llama_cpp(self, provider: LlamaCppSettings, settings: Settings) -> Model:
        from completions_mw.backends.models import BlockingLlamaCppModel

        return BlockingLlamaCppModel(provider, settings.keep_alive)


class AsyncKit:
    """Backends that suspend: for event loops."""

    def transport(self, settings: Settings) -> Transport:
        from completions_mw.backends.transport import AsyncTransport

        return AsyncTransport(settings.connections.max, settings.connections.keep_alive, settings.keep_alive)

    def function(self, function: ModelFunction, settings: Settings) -> Model:
        from completions_mw.backends.models import AsyncFunctionModel

        return AsyncFunctionModel(function, settings.keep_alive)

    def llama_cpp(self, provider: LlamaCppSettings, settings: Settings) -> Model:
        from completions_mw.backends.models import AsyncLlamaCppModel

        return AsyncLlamaCppModel(provider, settings.keep_alive)
