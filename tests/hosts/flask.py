"""A Flask app with the extension."""

import flask

from completions_mw.adapters.flask import Completions
from tests.hosts.base import HELLO, Gateways, Host
from tests.support.wsgi_driver import WSGIServer


def host(gateways: Gateways) -> Host:
    """Return the host."""
    app = flask.Flask(__name__)
    app.add_url_rule("/hello", view_func=hello)
    Completions(app, gateways.blocking)
    return Host(WSGIServer(app), is_async=False)


def hello() -> bytes:
    """Be a page of the app."""
    return HELLO
