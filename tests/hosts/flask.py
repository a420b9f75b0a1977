"""A Flask app with the extension."""

from collections.abc import Iterator
from contextlib import contextmanager

import flask

from completions_mw.adapters.flask import Completions
from tests.hosts.base import HELLO, PAGES, Host, Project
from tests.support.wsgi_driver import WSGIServer


@contextmanager
def host(project: Project) -> Iterator[Host]:
    """Run the host for the time of a `with` block."""
    app = flask.Flask(__name__)
    for page in PAGES:
        app.add_url_rule(page, view_func=hello)
    with project.gateway() as gateway:
        Completions(app, gateway)
        yield Host(WSGIServer(app), write_rows=gateway.usage)


def hello() -> bytes:
    """Be a page of the app."""
    return HELLO
