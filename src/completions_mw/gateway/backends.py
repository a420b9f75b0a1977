"""Makers of blocking and async backends, which are imported on first use: the package itself imports no HTTP client and no database."""

from typing import TYPE_CHECKING, Final, Protocol

from completions_mw.core.hooks import is_async
from completions_mw.core.ports import (
    Background,
    Clock,
    Credentials,
    Flights,
    Model,
    ModelFunction,
    SharedResponseStore,
    SpoolFile,
    Transport,
    Waiting,
)
from completions_mw.settings import AwsSignature, CacheSettings, LlamaCppSettings, Settings, StoreSettings

if TYPE_CHECKING:
    from completions_mw.backends.admission import CheckedAdmissionStore
    from completions_mw.backends.credentials import TokenFunction
    from completions_mw.backends.models.threads import ModelThreads
    from completions_mw.backends.sql.database import Database

_TOKEN_THREADS: Final = 8
"""Threads of a provider in which an `AsyncGateway` gets tokens from a function that is not async, or signs requests."""


class Backends(Protocol):
    """Makes all backends of a gateway, either blocking or async."""

    def transport(self, settings: Settings, proxy: str | None, share: float) -> Transport: ...
    def token_credentials(self, provider: str, function: "TokenFunction", settings: Settings) -> Credentials: ...
    def aws_credentials(self, provider: str, signature: AwsSignature, settings: Settings) -> Credentials: ...
    def model_threads(self, settings: Settings, share: float) -> "ModelThreads | None": ...
    def function(self, function: ModelFunction, settings: Settings, threads: "ModelThreads | None") -> Model: ...
    def llama_cpp(self, provider: LlamaCppSettings, settings: Settings, threads: "ModelThreads | None") -> Model: ...
    def background(self) -> Background: ...
    def admission(self, address: str, namespace: str, clock: Clock) -> "CheckedAdmissionStore": ...
    def database(self, address: str, clock: Clock, settings: StoreSettings) -> "Database": ...
    def spool_file(self, path: str) -> SpoolFile: ...
    def flights(self) -> Flights: ...
    def waiting(self) -> Waiting: ...
    def responses(self, address: str, namespace: str, settings: CacheSettings, max_bytes: int) -> SharedResponseStore: ...


class BlockingBackends:
    """Makes backends that do their I/O inline, for threads and greenlets."""

    def transport(self, settings: Settings, proxy: str | None, share: float) -> Transport:
        connections = settings.connections
        pool = connections.max, connections.wait, connections.keep_alive, settings.keep_alive, share
        if proxy is None and settings.transport == "httptools":
            from completions_mw.backends.http.blocking import BlockingTransport

            return BlockingTransport(*pool)
        from completions_mw.backends.http.httpx2.blocking import BlockingHttpx2Transport

        return BlockingHttpx2Transport(*pool, proxy=proxy)

    def token_credentials(self, provider: str, function: "TokenFunction", settings: Settings) -> Credentials:
        from completions_mw.backends.credentials import TokenCredentials
        from completions_mw.backends.runners import run_inline

        return TokenCredentials(provider, function, run_inline, debug=settings.debug is True)

    def aws_credentials(self, provider: str, signature: AwsSignature, settings: Settings) -> Credentials:
        from completions_mw.backends.aws_signature import AwsCredentials
        from completions_mw.backends.runners import run_inline

        return AwsCredentials(provider, signature, run_inline, debug=settings.debug is True)

    def model_threads(self, settings: Settings, share: float) -> "ModelThreads | None":
        return None

    def function(self, function: ModelFunction, settings: Settings, threads: "ModelThreads | None") -> Model:
        from completions_mw.backends.models import BlockingFunctionModel

        return BlockingFunctionModel(function, settings.keep_alive, threads)

    def llama_cpp(self, provider: LlamaCppSettings, settings: Settings, threads: "ModelThreads | None") -> Model:
        from completions_mw.backends.models import BlockingLlamaCppModel

        return BlockingLlamaCppModel(provider, settings.keep_alive, threads)

    def background(self) -> Background:
        from completions_mw.backends.background.blocking import BlockingBackground

        return BlockingBackground()

    def admission(self, address: str, namespace: str, clock: Clock) -> "CheckedAdmissionStore":
        from completions_mw.backends.admission import admission_store

        return admission_store(address, namespace, blocking=True, clock=clock)

    def database(self, address: str, clock: Clock, settings: StoreSettings) -> "Database":
        from completions_mw.backends.sql import call_times, open_database

        return open_database(address, blocking=True, clock=clock, times=call_times(settings))

    def spool_file(self, path: str) -> SpoolFile:
        from completions_mw.backends.spool_file import BlockingSpoolFile

        return BlockingSpoolFile(path)

    def flights(self) -> Flights:
        from completions_mw.backends.flights.blocking import BlockingFlights

        return BlockingFlights()

    def waiting(self) -> Waiting:
        from completions_mw.backends.waiting.blocking import BlockingWaiting

        return BlockingWaiting()

    def responses(self, address: str, namespace: str, settings: CacheSettings, max_bytes: int) -> SharedResponseStore:
        from completions_mw.backends.responses import shared_responses

        return shared_responses(address, namespace, settings, max_bytes, blocking=True)


class AsyncBackends:
    """Makes backends that suspend, for event loops."""

    def transport(self, settings: Settings, proxy: str | None, share: float) -> Transport:
        connections = settings.connections
        pool = connections.max, connections.wait, connections.keep_alive, settings.keep_alive, share
        if proxy is None and settings.transport == "httptools":
            from completions_mw.backends.http.asynchronous import AsyncTransport

            return AsyncTransport(*pool)
        from completions_mw.backends.http.httpx2.asynchronous import AsyncHttpx2Transport

        return AsyncHttpx2Transport(*pool, proxy=proxy)

    def token_credentials(self, provider: str, function: "TokenFunction", settings: Settings) -> Credentials:
        from completions_mw.backends.credentials import TokenCredentials, call_on_loop
        from completions_mw.backends.runners import WorkerThreads

        call = call_on_loop if is_async(function) else WorkerThreads(_TOKEN_THREADS)
        return TokenCredentials(provider, function, call, debug=settings.debug is True)

    def aws_credentials(self, provider: str, signature: AwsSignature, settings: Settings) -> Credentials:
        from completions_mw.backends.aws_signature import AwsCredentials
        from completions_mw.backends.runners import WorkerThreads

        return AwsCredentials(provider, signature, WorkerThreads(_TOKEN_THREADS), debug=settings.debug is True)

    def model_threads(self, settings: Settings, share: float) -> "ModelThreads | None":
        from completions_mw.backends.models.threads import AsyncModelThreads

        return AsyncModelThreads(settings.model_threads, settings.connections.wait, share)

    def function(self, function: ModelFunction, settings: Settings, threads: "ModelThreads | None") -> Model:
        from completions_mw.backends.models import AsyncFunctionModel

        return AsyncFunctionModel(function, settings.keep_alive, threads)

    def llama_cpp(self, provider: LlamaCppSettings, settings: Settings, threads: "ModelThreads | None") -> Model:
        from completions_mw.backends.models import AsyncLlamaCppModel

        return AsyncLlamaCppModel(provider, settings.keep_alive, threads)

    def background(self) -> Background:
        from completions_mw.backends.background.asynchronous import AsyncBackground

        return AsyncBackground()

    def admission(self, address: str, namespace: str, clock: Clock) -> "CheckedAdmissionStore":
        from completions_mw.backends.admission import admission_store

        return admission_store(address, namespace, blocking=False, clock=clock)

    def database(self, address: str, clock: Clock, settings: StoreSettings) -> "Database":
        from completions_mw.backends.sql import call_times, open_database

        return open_database(address, blocking=False, clock=clock, times=call_times(settings))

    def spool_file(self, path: str) -> SpoolFile:
        from completions_mw.backends.spool_file import AsyncSpoolFile

        return AsyncSpoolFile(path)

    def flights(self) -> Flights:
        from completions_mw.backends.flights.asynchronous import AsyncFlights

        return AsyncFlights()

    def waiting(self) -> Waiting:
        from completions_mw.backends.waiting.asynchronous import AsyncWaiting

        return AsyncWaiting()

    def responses(self, address: str, namespace: str, settings: CacheSettings, max_bytes: int) -> SharedResponseStore:
        from completions_mw.backends.responses import shared_responses

        return shared_responses(address, namespace, settings, max_bytes, blocking=False)
