"""Django's URLs: the login, and what Django's middleware must not do to answers."""

import asyncio
import sys
from collections.abc import Callable
from functools import partial, update_wrapper
from types import ModuleType
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.asgi import get_asgi_application
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.urls import resolve, reverse
from django.utils.asyncio import async_unsafe
from django.utils.decorators import async_only_middleware, sync_only_middleware

from completions_mw import Request
from completions_mw.adapters.asgi import CompletionsMiddleware
from completions_mw.adapters.django import views
from tests.adapters.django_project import every_server, host, user_of
from tests.adapters.given import CHAT_BODY, HEADERS, MAX_BODY, STREAM_BODY, USER_HEADERS, settings, upstream_settings
from tests.hosts import django
from tests.hosts.base import CHAT, HELLO, MODELS, Host, Project
from tests.support.asgi_driver import ASGIServer
from tests.support.grammar import check_stream
from tests.support.upstream import MockUpstream


@every_server
def test_the_login_may_use_the_database(portal: BlockingPortal, is_async: bool) -> None:
    @async_unsafe  # type: ignore[untyped-decorator]
    def query(request: Request) -> str | None:
        return user_of(request)

    with host(portal, is_async, COMPLETIONS_MW_AUTHENTICATE=query) as project:
        assert project.request("POST", CHAT, USER_HEADERS, CHAT_BODY).status == 200
        assert project.request("POST", CHAT, USER_HEADERS[:1], CHAT_BODY).status == 401


async def ask_later(request: Request) -> str | None:
    await asyncio.sleep(0)
    return user_of(request)


class AsksLater:
    async def __call__(self, request: Request) -> str | None:
        return await ask_later(request)


@every_server
@pytest.mark.parametrize("hook", [ask_later, partial(ask_later), AsksLater()], ids=["function", "partial", "object"])
def test_the_login_may_be_async(portal: BlockingPortal, is_async: bool, hook: object) -> None:
    with host(portal, is_async, COMPLETIONS_MW_AUTHENTICATE=hook) as project:
        assert project.request("POST", CHAT, USER_HEADERS, CHAT_BODY).status == 200
        assert project.request("POST", CHAT, USER_HEADERS[:1], CHAT_BODY).status == 401


def test_the_login_may_return_something_to_await_under_asgi(portal: BlockingPortal) -> None:
    with host(portal, True, COMPLETIONS_MW_AUTHENTICATE=lambda request: ask_later(request)) as project:
        assert project.request("POST", CHAT, USER_HEADERS, CHAT_BODY).status == 200


@every_server
def test_the_login_of_django_guards_its_own_pages_only(portal: BlockingPortal, is_async: bool) -> None:
    with host(portal, is_async) as project:
        assert project.request("GET", "/private").status == 302
        assert project.request("GET", "/private", USER_HEADERS).body == HELLO
        assert project.request("POST", CHAT, HEADERS, CHAT_BODY).status == 200


@every_server
def test_djangos_own_bound_for_bodies_is_not_the_gateways(portal: BlockingPortal, is_async: bool) -> None:
    with host(portal, is_async, DATA_UPLOAD_MAX_MEMORY_SIZE=10) as project:
        assert project.request("POST", CHAT, HEADERS, CHAT_BODY).status == 200


@every_server
def test_a_middleware_may_read_the_body_first(portal: BlockingPortal, is_async: bool) -> None:
    with host(portal, is_async, MIDDLEWARE=[f"{__name__}.ReadingMiddleware"]) as project:
        assert project.request("POST", CHAT, HEADERS, CHAT_BODY).status == 200
        too_large = project.request("POST", CHAT, HEADERS, CHAT_BODY.ljust(MAX_BODY + 1))
    assert too_large.error["code"] == "request_too_large"


class ReadingMiddleware:
    """A middleware of the plainest kind: it knows nothing of event loops."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        assert isinstance(request.body, bytes)
        return self._get_response(request)


@every_server
def test_no_middleware_compresses_an_answer(portal: BlockingPortal, is_async: bool, upstream: MockUpstream) -> None:
    headers = (*HEADERS, ("accept-encoding", "gzip"))
    silent = Project(upstream_settings(upstream.url), portal)
    with host(portal, is_async, silent) as project, project.stream("POST", CHAT, headers, STREAM_BODY) as answer:
        assert "content-encoding" not in answer.headers
        arrived = next(answer)
        assert upstream.active_requests == 1
        upstream.release()
        check_stream(arrived + b"".join(answer))


@pytest.mark.xfail(
    sys.version_info >= (3, 12),
    reason="asgiref's bridge to such a middleware breaks when it is cancelled: `CurrentThreadExecutor already quit or is broken`",
    strict=False,
)
@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "json"])
def test_leaving_reaches_the_upstream_through_a_middleware_of_the_plainest_kind(
    portal: BlockingPortal, upstream: MockUpstream, streamed: bool
) -> None:
    middleware = [*django.MIDDLEWARE, f"{__name__}.ReadingMiddleware"]
    with host(portal, True, Project(upstream_settings(upstream.url), portal), MIDDLEWARE=middleware) as project:
        with project.stream("POST", CHAT, HEADERS, STREAM_BODY if streamed else CHAT_BODY):
            upstream.wait_for(lambda: upstream.active_requests == 1)
        upstream.wait_closed()


@every_server
def test_no_transaction_waits_for_a_model(portal: BlockingPortal, is_async: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # The database is Django's dummy, which fails over the first transaction.
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    with host(portal, is_async) as project:
        assert project.request("POST", CHAT, HEADERS, CHAT_BODY).status == 200


@every_server
def test_the_urls_may_be_included_anywhere(portal: BlockingPortal, is_async: bool) -> None:
    with host(portal, is_async, below="ai/") as project:
        assert project.request("POST", f"/ai{CHAT}", HEADERS, CHAT_BODY).status == 200
        assert project.request("GET", f"/ai{MODELS}/m", HEADERS).json()["id"] == "m"
        assert "x-request-id" not in project.request("POST", CHAT, HEADERS, CHAT_BODY).headers
        assert reverse("completions_mw:chat") == f"/ai{CHAT}"


@every_server
def test_the_name_of_the_script_may_be_forced(portal: BlockingPortal, is_async: bool) -> None:
    with host(portal, is_async, FORCE_SCRIPT_NAME="/one") as project:
        # Only WSGI's paths never hold it.
        path = f"/one{CHAT}" if is_async else CHAT
        assert project.request("POST", path, HEADERS, CHAT_BODY).status == 200


@every_server
def test_no_slash_is_appended(portal: BlockingPortal, is_async: bool) -> None:
    with host(portal, is_async, APPEND_SLASH=True) as project:
        assert project.request("GET", f"{MODELS}/unknown", HEADERS).status == 404
        assert project.request("POST", CHAT, HEADERS, CHAT_BODY).status == 200


def test_the_projects_own_code_can_ask_too(portal: BlockingPortal) -> None:
    with django.configured(Project(settings(), portal)) as urls:
        assert isinstance(urls, ModuleType)
        answer = urls.gateway.complete(model="m", messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == "hi"


class SeesTemplates:
    """A middleware that changes responses with templates, as Django's documentation tells it to."""

    async_capable = True
    sync_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        return self._get_response(request)

    def process_template_response(self, request: HttpRequest, response: Any) -> Any:
        response.context_data["team"] = "ours"
        response.template_name = response.template_name or "page.html"
        response["x-team"] = "ours"
        response.set_cookie("team", "ours")
        return response


@pytest.mark.parametrize("body", [CHAT_BODY, STREAM_BODY], ids=["json", "stream"])
def test_middleware_for_templates_changes_the_headers_only(portal: BlockingPortal, body: bytes) -> None:
    with host(portal, is_async=True, MIDDLEWARE=[f"{__name__}.SeesTemplates", *django.MIDDLEWARE]) as project:
        answer = project.request("POST", CHAT, HEADERS, body)
    assert (answer.status, answer.headers["x-team"], answer.headers["set-cookie"]) == (200, "ours", "team=ours; Path=/")
    assert answer.headers["content-type"] == ("application/json" if body is CHAT_BODY else "text/event-stream; charset=utf-8")


def test_the_view_is_a_function_as_all_views(portal: BlockingPortal) -> None:
    with host(portal, is_async=False):
        view = resolve(CHAT).func
        assert (view.__name__, view.__module__, view.csrf_exempt, view.login_required) == ("answer", views.__name__, True, False)
        assert update_wrapper(lambda request: None, view).__doc__ == view.__doc__


@every_server
def test_a_middleware_that_raises_over_a_stream_closes_it(portal: BlockingPortal, is_async: bool, upstream: MockUpstream) -> None:
    middleware = [f"{__name__}.{'raises_async' if is_async else 'raises'}"]
    with host(portal, is_async, Project(upstream_settings(upstream.url), portal), MIDDLEWARE=middleware) as project:
        with project.stream("POST", CHAT, HEADERS, STREAM_BODY) as answer:
            assert answer.status == 500
        upstream.wait_closed()
    KEPT.clear()


def test_around_the_projects_asgi_app_bodies_are_not_received_before_the_key_is_checked(portal: BlockingPortal) -> None:
    """See docs/django.md, CSRF and middleware."""
    announced = (*HEADERS[1:], ("content-length", "999999999"))
    with django.configured(project := Project(settings(), portal)), project.async_gateway() as gateway:
        wrapped = Host(ASGIServer(CompletionsMiddleware(get_asgi_application(), gateway), portal), wraps=True)
        assert wrapped.request("POST", CHAT, HEADERS, CHAT_BODY).status == 200
        refused = wrapped.request("POST", CHAT, announced, CHAT_BODY)
        assert (refused.status, refused.taken) == (401, 0)
        assert wrapped.request("GET", "/hello").body == HELLO


KEPT: list[BaseException] = []
"""Failures as an error tracker keeps them: with all that their frames hold."""


@sync_only_middleware  # type: ignore[untyped-decorator]
def raises(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        return fail(get_response(request))

    return middleware


@async_only_middleware  # type: ignore[untyped-decorator]
def raises_async(get_response: Any) -> Any:
    async def middleware(request: HttpRequest) -> HttpResponse:
        return fail(await get_response(request))

    return middleware


def fail(response: HttpResponse) -> HttpResponse:
    try:
        raise RuntimeError(f"no room for a response with {response.status_code}")
    except RuntimeError as error:
        KEPT.append(error)
        raise
