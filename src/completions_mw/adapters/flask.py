"""Adapter for Flask: `Completions(app)`, or `init_app(app)` in an app factory."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Final, Unpack, cast

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.routing import BaseConverter

from completions_mw.adapters import wsgi
from completions_mw.adapters.support import check_gateway, needs, settings_of
from completions_mw.adapters.wsgi_client import CountedStream, check_chunks, discard, is_small, read, write_at_once
from completions_mw.blocking import BlockingIterator
from completions_mw.core.routes import Routes
from completions_mw.core.validation.body_room import BodyRoom, BodyShare
from completions_mw.core.validation.headers import body_too_large_error
from completions_mw.gateway import Gateway
from completions_mw.gateway.options import GatewayOptions, check_options
from completions_mw.http import Request, Response

with needs("flask"):
    import flask

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

CONVERTER: Final = "completions_mw_model"


class ModelConverter(BaseConverter):
    """The id of a model in a path: any text but none, with slashes anywhere."""

    part_isolating = False
    regex = r"[\s\S]+"
    weight = 200


class Completions:
    """Flask extension that adds the gateway's paths to an app as routes.

    `before_request` functions, logins and contexts work as for every view. A streamed response keeps the contexts of its request until it
    ends. Flask-WTF refuses requests without a CSRF token, unless the view is exempt:
    `csrf.exempt("completions_mw.adapters.flask.answer")`.

    Args:
        app: gets the routes at once; None to call `init_app` later.
        gateway: answers the requests. Without it, each app gets a gateway of its own, built from `app.config["COMPLETIONS_MW"]`: a
            mapping, the path of a TOML file, or a `Settings`.
        **options: options of the gateways that are built, any of `GatewayOptions`:

            - models: Python functions as models, by the name that clients send.
            - embeddings: Python functions as embeddings models, by the name that clients send.
            - authenticate: the app's own login, such as `lambda request: current_user.get_id()`.
            - providers: wire formats of the app, instances of `CustomFormat`, by the `format` of their providers.
            - credentials: functions that return a bearer token, by the name of the provider that gets it.
            - transport: used for all calls to upstreams instead of the built-in HTTP client.
            - on_budget: called with a `BudgetAlert` once when a budget reaches 50, 80 and 100 per cent, and when it refuses its first
              request.
            - semantic_cache: a cache of the app for similar requests, with the methods `lookup` and `store` (docs/caching.md).

    Raises:
        ConfigurationError: the settings cannot work.
        TypeError: `app` is not a Flask app, `gateway` is not a `Gateway`, an option is not known, or both a gateway and options are given.
    """

    def __init__(self, app: flask.Flask | None = None, gateway: Gateway | None = None, **options: Unpack[GatewayOptions]) -> None:
        self._gateway = gateway
        self._options = options
        check_arguments(gateway, options)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask, gateway: Gateway | None = None, **options: Unpack[GatewayOptions]) -> None:
        """Add the gateway's paths to `app` as routes, and the gateway as `app.extensions["completions_mw"]`.

        Args:
            app: gets the routes.
            gateway: answers the requests of this app, instead of the gateway given to the constructor.
            **options: any of `GatewayOptions`; each replaces the option of that name given to the constructor.

        Raises:
            ConfigurationError: the settings cannot work.
            TypeError: `app` is not a Flask app, `gateway` is not a `Gateway`, an option is not known, or both a gateway and options are
                given.
        """
        if not isinstance(app, flask.Flask):
            raise TypeError(f'`app` should be a Flask app, not {type(app).__name__}; settings belong in app.config["COMPLETIONS_MW"]')
        gateway = gateway or self._gateway
        options = {**self._options, **options}
        check_arguments(gateway, options)
        if gateway is None:
            settings = settings_of(app.config.get("COMPLETIONS_MW"), 'app.config["COMPLETIONS_MW"]')
            gateway = Gateway(settings, **options)
        app.extensions["completions_mw"] = gateway
        routes = Routes(gateway.settings.prefix)
        app.teardown_request(close_stream)
        app.after_request(refuse_missing)
        app.url_map.converters[CONVERTER] = ModelConverter
        paths = {"chat": routes.chat, "embeddings": routes.embeddings, "models": routes.models}
        for name, path in (*paths.items(), ("model", f"{routes.models}/<{CONVERTER}:model>")):
            # Not by `add_url_rule`, which needs a list of methods: the gateway refuses all others itself, as OpenAI does. A path with two
            # slashes is another path, and must not be redirected to this one.
            app.url_map.add(app.url_rule_class(path, endpoint=f"completions_mw_{name}", merge_slashes=False))
            app.endpoint(f"completions_mw_{name}")(answer)


def check_arguments(gateway: Gateway | None, options: GatewayOptions) -> None:
    """Check the arguments of the extension when it is made, and not only at `init_app` or at the first request.

    Raises:
        TypeError: `gateway` is not a `Gateway`, an option is not known, or both a gateway and options are given.
    """
    check_options(options)
    if gateway is not None:
        check_gateway(gateway, Gateway)
        if given := [f"`{name}`" for name, value in options.items() if value is not None]:
            raise TypeError(f"{', '.join(given)}: for the gateway itself, as in `Gateway(settings, ...)`")


def answer(model: str = "") -> flask.Response:
    """Answer the current request: the view of all routes."""
    gateway: Gateway = flask.current_app.extensions["completions_mw"]
    request = to_request(flask.request, gateway.body_room)
    if not gateway.has_path(request.path):
        # Flask matches `//api` with the route `/api`.
        flask.abort(404)
    if flask.request.is_multiprocess:
        gateway.note_processes()
    write_at_once(flask.request.environ)
    response = gateway.handle(request)
    if not isinstance(response.body, bytes):
        flask.g.completions_mw_stream = response.body
    return to_flask_response(response)


def refuse_missing(response: flask.Response) -> flask.Response:
    """Replace the app's 404 for a path of OpenAI's API that the gateway lacks and no route of the app has."""
    gateway: Gateway = flask.current_app.extensions["completions_mw"]
    request = flask.request
    if response.status_code == HTTPStatus.NOT_FOUND and request.url_rule is None and gateway.lacks(request.path):
        return to_flask_response(gateway.refuse(request.method, request.path))
    return response


def close_stream(error: BaseException | None) -> None:
    """Close the stream of a request that failed after our view, as in an `after_request` function: no server has got it."""
    stream: BlockingIterator[bytes] | None = flask.g.pop("completions_mw_stream", None)
    if error is not None and stream is not None:
        stream.close()


def to_request(request: flask.Request, room: BodyRoom) -> Request:
    """Return the `Request` for a Flask request.

    Args:
        request: the request of Flask.
        room: memory for the bodies of all requests.
    """
    return replace(wsgi.to_request(request.environ, room, request), body=FlaskBody(request, room), debug=flask.current_app.debug)


def to_flask_response(response: Response[BlockingIterator[bytes]] | Response[bytes]) -> flask.Response:
    """Return a Flask response. A stream is passed through directly, so that `after_request` functions do not read it.

    They may read a whole answer, also one that is sent in pieces, which has its length.
    """
    if isinstance(response.body, bytes):
        # In a list, since Flask would set the length of bytes, which is none where HEAD has the length of GET.
        return flask.Response([response.body], response.status, wsgi.headers_of(response))
    headers = wsgi.headers_of(response)
    is_stream = all(name != "content-length" for name, _ in headers)
    return StreamedResponse(response.body, response.status, headers, direct_passthrough=is_stream)


class StreamedResponse(flask.Response):
    """A response in pieces that keeps the contexts of its request until it ends or is closed."""

    def get_app_iter(self, environ: "WSGIEnvironment") -> Iterable[bytes]:
        pieces = flask.stream_with_context(_begun(super().get_app_iter(environ)))
        # Enters the contexts before Flask leaves them: they are torn down once, also for a stream that is closed before it was read.
        next(pieces)
        return pieces


def _begun(pieces: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield b""
        yield from pieces
    finally:
        getattr(pieces, "close", _nothing)()


def _nothing() -> None:
    """Do nothing, in place of the `close` that a body has not if an `after_request` function replaced it."""


class FlaskBody:
    """The `RequestBody` of a Flask request, which a `before_request` function may have read already."""

    def __init__(self, request: flask.Request, room: BodyRoom) -> None:
        self._request = request
        self._room = room

    async def read(self, limit: int) -> bytes:
        check_chunks(self._request.environ)
        # One byte more than is accepted, since werkzeug ends a chunked body at its limit without an error.
        self._request.max_content_length = limit + 1
        try:
            stream = self._request.stream
            if is_small(self._request.environ):
                return read(self._request.get_data, stream)
            with BodyShare(self._room) as share:
                # Read by Flask all the same: somebody may have read it before, and Flask keeps it for others.
                self._request.stream = cast("IO[bytes]", CountedStream(stream, share))
                try:
                    return read(self._request.get_data, stream)
                finally:
                    self._request.stream = stream
        except RequestEntityTooLarge:
            raise body_too_large_error(limit) from None

    async def discard(self, limit: int, seconds: float) -> bool:
        # The limit of the app is for bodies that are kept.
        self._request.max_content_length = None
        return discard(self._request.stream, self._request.environ, limit, seconds)
