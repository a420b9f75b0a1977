"""Flask: `Completions(app)`, or `init_app(app)` in an app factory."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Unpack

from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from completions_mw.adapters import wsgi
from completions_mw.adapters.support import check_gateway, needs, settings_of
from completions_mw.blocking import BlockingIterator
from completions_mw.core.routes import Routes
from completions_mw.core.validation.headers import body_too_large_error
from completions_mw.errors import ClientDisconnectedError
from completions_mw.gateway import Gateway
from completions_mw.gateway.options import GatewayOptions, check_option_names
from completions_mw.http import Request, Response

with needs("flask"):
    import flask

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

VERBS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE")
"""OPTIONS is left to Flask, so that extensions for CORS can answer it."""


class Completions:
    """The extension: adds the gateway's paths to Flask apps, as routes of theirs.

    `before_request` hooks, logins and the contexts work as for every view; a streamed answer keeps the contexts of its request to its
    end. Flask-WTF's protection refuses clients without its token, unless told `csrf.exempt("completions_mw.adapters.flask.answer")`.

    Args:
        app: gets the paths at once; None to call `init_app` later.
        gateway: answers; without one, each app gets its own from `app.config["COMPLETIONS_MW"]`: a mapping, the path of a TOML
            file, or a `Settings`.
        **options: for the gateway that is built, any of `GatewayOptions`:

            - models: Python functions as models, by the name that clients send.
            - authenticate: the app's own login, as `lambda request: current_user.get_id()`.
            - transport: makes the calls to all upstreams instead of the built-in HTTP client.
            - on_budget: called once with a `BudgetAlert` when a budget reaches 50, 80 and 100 per cent, or refuses its first
              request.

    Raises:
        ConfigurationError: the settings ask for something that cannot work.
        TypeError: `app` is no app, the gateway is not a blocking one, an option is not known, or options come beside a gateway.
    """

    def __init__(self, app: flask.Flask | None = None, gateway: Gateway | None = None, **options: Unpack[GatewayOptions]) -> None:
        self._gateway = gateway
        self._options = options
        check_arguments(gateway, options)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask, gateway: Gateway | None = None, **options: Unpack[GatewayOptions]) -> None:
        """Add the gateway's paths to `app`, and the gateway as `app.extensions["completions_mw"]`.

        Args:
            app: gets the paths.
            gateway: answers for this app, instead of the constructor's.
            **options: as for the constructor, whose options they replace one by one.

        Raises:
            ConfigurationError: the settings ask for something that cannot work.
            TypeError: `app` is no app, the gateway is not a blocking one, an option is not known, or options come beside a gateway.
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
        for name, path in (("chat", routes.chat), ("models", routes.models), ("model", f"{routes.models}/<path:model>")):
            # Two slashes are another path, where Flask would redirect.
            app.add_url_rule(path, f"completions_mw_{name}", answer, methods=VERBS, merge_slashes=False)


def check_arguments(gateway: Gateway | None, options: GatewayOptions) -> None:
    """Check the arguments of the extension when they are given, before `init_app` or the first request fails.

    Raises:
        TypeError: the gateway is not a blocking one, an option is not known, or options come beside a gateway.
    """
    check_option_names(options)
    if gateway is not None:
        check_gateway(gateway, Gateway)
        if given := [f"`{name}`" for name, value in options.items() if value is not None]:
            raise TypeError(f"{', '.join(given)}: for the gateway itself, as in `Gateway(settings, ...)`")


def answer(model: str = "") -> flask.Response:
    """Answer the current request: the view of all paths."""
    gateway: Gateway = flask.current_app.extensions["completions_mw"]
    request = to_request(flask.request)
    if not gateway.owns(request.method, request.path):
        # Flask takes `//api` for `/api`.
        flask.abort(404)
    if flask.request.is_multiprocess:
        gateway.note_processes()
    return to_flask_response(gateway.handle(request))


def to_request(request: flask.Request) -> Request:
    """Return a request of Flask as the gateway takes it."""
    return replace(wsgi.to_request(request.environ, request), body=FlaskBody(request), debug=flask.current_app.debug)


def to_flask_response(response: Response[BlockingIterator[bytes]]) -> flask.Response:
    """Return the gateway's answer as Flask sends it; hooks that look at bodies leave one alone that is passed through."""
    if isinstance(response.body, bytes):
        return flask.Response(response.body, response.status, wsgi.headers_of(response))
    return StreamedResponse(response.body, response.status, wsgi.headers_of(response), direct_passthrough=True)


class StreamedResponse(flask.Response):
    """A stream that keeps the contexts of its request until it ends or is closed."""

    def get_app_iter(self, environ: "WSGIEnvironment") -> Iterable[bytes]:
        pieces = flask.stream_with_context(_begun(super().get_app_iter(environ)))
        # Takes the contexts before Flask gives them up: they are torn down once, and a stream that is closed unread is closed within them.
        next(pieces)
        return pieces


def _begun(pieces: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield b""
        yield from pieces
    finally:
        getattr(pieces, "close", _nothing)()


def _nothing() -> None:
    """Stands for the `close` of a body that a hook has put in the place of ours."""


class FlaskBody:
    """The `RequestBody` of a Flask request, which a hook may have read before."""

    def __init__(self, request: flask.Request) -> None:
        self._request = request

    async def read(self, limit: int) -> bytes:
        # One more than is accepted: werkzeug ends a chunked body at its limit without a word.
        self._request.max_content_length = limit + 1
        try:
            return self._request.get_data()
        except RequestEntityTooLarge:
            raise body_too_large_error(limit) from None
        except ClientDisconnected:
            raise ClientDisconnectedError from None
