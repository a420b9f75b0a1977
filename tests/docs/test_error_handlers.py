"""The error handlers of docs/errors.md: a refusal of a model that a view asks is OpenAI's envelope, in every framework."""

import json
from collections.abc import Callable

import flask
import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from fastapi import FastAPI, Request, Response
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from completions_mw import GatewayError, RateLimitError
from completions_mw.errors import error_response
from tests.hosts.django import set_up

REFUSAL = RateLimitError("Too many.", headers=(("retry-after", "1"),))


async def refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    answer = error_response(error)
    assert isinstance(answer.body, bytes)
    return Response(answer.body, answer.status, dict(answer.headers))


async def refuse(request: object) -> PlainTextResponse:
    raise REFUSAL


def ask_flask() -> tuple[int, str | None, bytes]:
    app = flask.Flask(__name__)

    @app.errorhandler(GatewayError)
    def refused(error: GatewayError) -> tuple[bytes, int, list[tuple[str, str]]]:
        answer = error_response(error)
        assert isinstance(answer.body, bytes)
        return answer.body, answer.status, list(answer.headers)

    @app.get("/")
    def page() -> str:
        raise REFUSAL

    answer = app.test_client().get("/")
    return answer.status_code, answer.headers.get("retry-after"), answer.data


def ask_starlette() -> tuple[int, str | None, bytes]:
    app = Starlette(routes=[Route("/", refuse)], exception_handlers={GatewayError: refused})
    with TestClient(app) as client:
        answer = client.get("/")
    return answer.status_code, answer.headers.get("retry-after"), answer.content


def ask_fastapi() -> tuple[int, str | None, bytes]:
    app = FastAPI()
    app.exception_handler(GatewayError)(refused)

    @app.get("/")
    async def page() -> None:
        raise REFUSAL

    with TestClient(app) as client:
        answer = client.get("/")
    return answer.status_code, answer.headers.get("retry-after"), answer.content


class Refusals:
    """A middleware of Django."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, GatewayError):
            return None
        answer = error_response(error)
        return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))


def ask_django() -> tuple[int, str | None, bytes]:
    set_up()
    answer = Refusals(lambda _: HttpResponse()).process_exception(RequestFactory().get("/"), REFUSAL)
    assert answer is not None
    return answer.status_code, answer.headers.get("retry-after"), answer.content


@pytest.mark.parametrize("ask", [ask_flask, ask_starlette, ask_fastapi, ask_django])
def test_a_refusal_is_the_envelope(ask: Callable[[], tuple[int, str | None, bytes]]) -> None:
    status, retry_after, body = ask()
    assert (status, retry_after) == (429, "1")
    assert json.loads(body)["error"] == {"message": "Too many.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
