"""Starlette's routes among everything else that an app of Starlette is made of."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.from_thread import BlockingPortal
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import HTTPConnection
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from completions_mw import AsyncGateway, Request
from completions_mw.adapters.starlette import routes
from tests.adapters.given import CHAT_BODY, HEADERS, STREAM_BODY, USER_HEADERS, settings, upstream_settings
from tests.hosts.base import CHAT, MODELS, PREFIX, Host
from tests.support.asgi_driver import ASGIServer
from tests.support.asgi_lifespan import lifespan_of
from tests.support.grammar import check_stream
from tests.support.upstream import MockUpstream


def test_routes_work_below_mounts(portal: BlockingPortal) -> None:
    inner = Mount("/inner", routes=routes(AsyncGateway(settings())))
    host = Host(ASGIServer(Starlette(routes=[Mount("/outer", routes=[inner])]), portal), prefix=f"/outer/inner{PREFIX}")
    assert host.request("POST", f"/outer/inner{CHAT}", HEADERS, CHAT_BODY).status == 200
    assert host.request("GET", f"/outer/inner{MODELS}/m", HEADERS, mount="/proxy").json()["id"] == "m"
    assert "x-request-id" not in host.request("POST", CHAT, HEADERS, CHAT_BODY).headers


def test_the_paths_have_names() -> None:
    app = Starlette(routes=routes(AsyncGateway(settings())))
    assert app.url_path_for("completions_mw_chat") == CHAT
    assert app.url_path_for("completions_mw_model", model="org/model") == f"{MODELS}/org/model"


def test_the_app_may_answer_options_at_our_paths(portal: BlockingPortal) -> None:
    async def own(request: StarletteRequest) -> Response:
        return PlainTextResponse("mine")

    app = Starlette(routes=[*routes(AsyncGateway(settings())), Route(CHAT, own, methods=["OPTIONS"])])
    assert Host(ASGIServer(app, portal)).request("OPTIONS", CHAT).body == b"mine"


def test_middleware_for_cors_answers_for_our_paths(portal: BlockingPortal) -> None:
    cors = Middleware(CORSMiddleware, allow_origins=["https://a.example"], allow_methods=["POST"])
    host = Host(ASGIServer(Starlette(routes=routes(AsyncGateway(settings())), middleware=[cors]), portal))
    origin = ("origin", "https://a.example")
    asked = host.request("OPTIONS", CHAT, (origin, ("access-control-request-method", "POST")))
    assert (asked.status, asked.headers["access-control-allow-origin"]) == (200, "https://a.example")
    refused = host.request("POST", CHAT, (origin,), CHAT_BODY)
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, "https://a.example")


class Cookies(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        name = conn.cookies.get("session")
        return (AuthCredentials(["authenticated"]), SimpleUser(name)) if name else None


def test_the_login_of_the_app_says_who_is_calling(portal: BlockingPortal) -> None:
    def user_of(request: Request) -> str | None:
        assert isinstance(request.native, StarletteRequest)
        return request.native.user.display_name or None

    gateway = AsyncGateway(settings(), authenticate=user_of)
    app = Starlette(routes=routes(gateway), middleware=[Middleware(AuthenticationMiddleware, backend=Cookies())])
    host = Host(ASGIServer(app, portal))
    assert host.request("POST", CHAT, USER_HEADERS, CHAT_BODY).status == 200
    assert host.request("POST", CHAT, USER_HEADERS[:1], CHAT_BODY).status == 401


class Plain(BaseHTTPMiddleware):
    """The middleware that most apps write; it runs the app in a task of its own."""

    async def dispatch(self, request: StarletteRequest, call_next: object) -> Response:
        await request.body()
        response: Response = await call_next(request)  # type: ignore[operator]
        return response


def test_middleware_neither_holds_a_stream_back_nor_hides_that_its_client_leaves(portal: BlockingPortal, upstream: MockUpstream) -> None:
    middleware = [Middleware(GZipMiddleware), Middleware(Plain)]
    with portal.wrap_async_context_manager(AsyncGateway(upstream_settings(upstream.url))) as gateway:
        host = Host(ASGIServer(Starlette(routes=routes(gateway), middleware=middleware), portal))
        headers = (*HEADERS, ("accept-encoding", "gzip"))
        with host.stream("POST", CHAT, headers, STREAM_BODY) as answer:
            arrived = next(answer)
            upstream.release()
            check_stream(arrived + b"".join(answer))
        upstream.reset()
        with host.stream("POST", CHAT, headers, STREAM_BODY) as answer:
            next(answer)
        upstream.wait_closed()


def test_the_apps_lifespan_closes_the_gateway(portal: BlockingPortal, upstream: MockUpstream) -> None:
    gateway = AsyncGateway(upstream_settings(upstream.url))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with gateway:
            yield

    app = Starlette(routes=routes(gateway), lifespan=lifespan)
    upstream.release()
    with lifespan_of(app, portal):
        assert Host(ASGIServer(app, portal)).request("POST", CHAT, HEADERS, CHAT_BODY).status == 200
        assert upstream.active_connections == 1
    upstream.wait_for(lambda: upstream.active_connections == 0)
