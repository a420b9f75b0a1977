"""The request in an ASGI scope."""

from collections.abc import Callable
from functools import cached_property, lru_cache
from itertools import chain

from completions_mw.adapters.asgi_client import Scope
from completions_mw.http import Headers, Request, RequestBody


class ScopeRequest(Request):
    """The request in an ASGI scope. Its headers are decoded when they are asked for, since clients send many that only a login may want.

    Args:
        scope: the scope of an HTTP request.
        path: path below the mount point of the app.
        body: reads the body.
        native: request object of the framework; the scope by default.
        disconnect: ends the request of a client that does not take its answer.
        debug: whether the app runs in debug mode.
    """

    def __init__(
        self,
        scope: Scope,
        path: str,
        body: RequestBody,
        native: object = None,
        disconnect: Callable[[], None] | None = None,
        *,
        debug: bool = False,
    ) -> None:
        self.method = scope["method"]
        self.path = path
        self.body = body
        address = scope.get("client")
        self.client = address[0] if address else None
        self.native = scope if native is None else native
        self.connection = None
        self.disconnect = disconnect
        # Starlette and FastAPI put the app into the scope.
        self.debug = debug or ("app" in scope and getattr(scope["app"], "debug", None) is True)
        self._scope = scope

    @cached_property
    def headers(self) -> Headers:  # type: ignore[override]
        return tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._scope["headers"]])

    def pick(self, names: frozenset[str]) -> tuple[dict[str, str], int]:
        named, headers = _by_bytes(names), self._scope["headers"]
        picked: dict[str, str] = {}
        for raw, value in headers:
            name = named.get(raw)
            if name is not None:
                text = value.decode("latin-1")
                picked[name] = text if name not in picked else f"{picked[name]},{text}"
        return picked, len(b"".join(chain.from_iterable(headers)))


@lru_cache
def _by_bytes(names: frozenset[str]) -> dict[bytes, str]:
    return {name.encode("latin-1"): name for name in names}
