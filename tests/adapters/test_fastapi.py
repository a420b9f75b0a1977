"""FastAPI's router: documented like all endpoints, answered in the gateway's own words."""

import json
import re
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request

from completions_mw import AsyncGateway
from completions_mw.adapters.fastapi import router
from tests.adapters.given import CHAT_BODY, HEADERS, MAX_BODY, STREAM_BODY, settings, upstream_settings
from tests.hosts.base import CHAT, EMBEDDINGS, MODELS, PREFIX, Host
from tests.support.asgi_driver import ASGIServer
from tests.support.grammar import check_stream
from tests.support.upstream import MockUpstream


def make_app(*dependencies: Any, prefix: str = "") -> FastAPI:
    app = FastAPI()
    app.include_router(router(AsyncGateway(settings())), prefix=prefix, dependencies=[Depends(each) for each in dependencies])
    return app


@pytest.fixture
def docs() -> dict[str, Any]:
    return make_app().openapi()


def test_the_docs_name_our_paths_and_verbs_only(docs: dict[str, Any]) -> None:
    paths = {CHAT: ["post"], EMBEDDINGS: ["post"], MODELS: ["get"], f"{MODELS}/{{model}}": ["get"]}
    assert {path: [*verbs] for path, verbs in docs["paths"].items()} == paths


def test_the_docs_say_what_a_request_is(docs: dict[str, Any]) -> None:
    body = docs["paths"][CHAT]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert body["required"] is True
    assert schema["required"] == ["model", "messages"]
    assert {"temperature", "stream", "tools", "response_format"} < schema["properties"].keys()


def test_the_docs_say_what_the_answers_are(docs: dict[str, Any]) -> None:
    responses = docs["paths"][CHAT]["post"]["responses"]
    assert sorted(responses) == ["200", "4XX", "5XX"]
    assert responses["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ChatCompletion"}
    assert responses["200"]["content"]["text/event-stream"]["schema"]["title"] == "ChatCompletionChunk"
    error = docs["components"]["schemas"]["GatewayErrorObject"]
    assert sorted(error["required"]) == ["code", "message", "param", "type"]


def test_the_docs_say_what_embeddings_are(docs: dict[str, Any]) -> None:
    create = docs["paths"][EMBEDDINGS]["post"]
    schema = create["requestBody"]["content"]["application/json"]["schema"]
    assert (schema["required"], schema["properties"].keys()) == (
        ["model", "input"],
        {"model", "input", "dimensions", "encoding_format", "user"},
    )
    answer = create["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/EmbeddingResponse"}


def test_the_docs_ask_for_a_key(docs: dict[str, Any]) -> None:
    assert docs["components"]["securitySchemes"]["ApiKeyAuth"]["scheme"] == "bearer"
    assert all(operation["security"] == [{"ApiKeyAuth": []}] for path in docs["paths"].values() for operation in path.values())


def test_every_reference_in_the_docs_leads_somewhere(docs: dict[str, Any]) -> None:
    text = json.dumps(docs)
    for reference in {part.partition('"')[0] for part in text.split('"$ref": "')[1:]}:
        kind, _, name = reference.rpartition("/")
        assert kind == "#/components/schemas"
        assert name in docs["components"]["schemas"]


def test_the_docs_cite_no_file_of_this_repository(docs: dict[str, Any]) -> None:
    text = json.dumps(docs)
    assert "https://platform.openai.com/docs/api-reference/chat/create" in text
    assert not re.findall(r"\w+\.md|completions_mw|core\.\w+", text)


def test_a_router_may_be_included_below_prefixes(portal: BlockingPortal) -> None:
    app, outer = FastAPI(), APIRouter(prefix="/outer")
    outer.include_router(router(AsyncGateway(settings())), prefix="/inner")
    app.include_router(outer)
    host = Host(ASGIServer(app, portal), prefix=f"/outer/inner{PREFIX}")
    assert host.request("POST", f"/outer/inner{CHAT}", HEADERS, CHAT_BODY).status == 200
    assert host.request("GET", f"/outer/inner{MODELS}/m", HEADERS, mount="/proxy").json()["id"] == "m"
    assert host.request("GET", f"/outer/inner{MODELS}", HEADERS).json()["data"][0]["id"] == "m"
    assert host.request("PUT", f"/outer/inner{CHAT}", HEADERS).error["code"] == "method_not_supported"
    assert host.request("GET", f"/outer/inner{MODELS}/", HEADERS).status == 307


def test_dependencies_may_refuse_in_the_apps_own_words(portal: BlockingPortal) -> None:
    async def refuse() -> None:
        raise HTTPException(403, "closed on Sundays")

    host = Host(ASGIServer(make_app(refuse, prefix="/ai"), portal))
    for verb in ("POST", "GET"):
        assert host.request(verb, f"/ai{CHAT}", HEADERS).json() == {"detail": "closed on Sundays"}


@pytest.mark.parametrize("pieces", [[CHAT_BODY], [CHAT_BODY[:9], CHAT_BODY[9:]]], ids=["one-piece", "two-pieces"])
def test_a_dependency_may_read_the_body_first(portal: BlockingPortal, pieces: list[bytes]) -> None:
    seen = []

    async def read(request: Request) -> None:
        seen.append(await request.body())

    host = Host(ASGIServer(make_app(read), portal))
    assert host.request("POST", CHAT, HEADERS, pieces).status == 200
    assert seen == [CHAT_BODY]
    assert host.request("POST", CHAT, HEADERS, [b" " * MAX_BODY, *pieces]).error["code"] == "request_too_large"


def test_a_client_that_leaves_stops_the_upstream_though_a_dependency_read_the_body(portal: BlockingPortal, upstream: MockUpstream) -> None:
    async def read(request: Request) -> None:
        await request.body()

    app = FastAPI(dependencies=[Depends(read)])
    with portal.wrap_async_context_manager(AsyncGateway(upstream_settings(upstream.url))) as gateway:
        app.include_router(router(gateway))
        with Host(ASGIServer(app, portal)).stream("POST", CHAT, HEADERS, CHAT_BODY):
            upstream.wait_for(lambda: upstream.active_requests == 1)
        upstream.wait_closed()


@pytest.mark.parametrize("body", [CHAT_BODY, STREAM_BODY], ids=["json", "stream"])
def test_background_tasks_of_dependencies_run_after_the_answer(portal: BlockingPortal, body: bytes) -> None:
    done: list[str] = []

    async def later(tasks: BackgroundTasks) -> None:
        tasks.add_task(done.append, "later")

    assert Host(ASGIServer(make_app(later), portal)).request("POST", CHAT, HEADERS, body).status == 200
    assert done == ["later"]


def test_fastapi_itself_parses_nothing(portal: BlockingPortal) -> None:
    host = Host(ASGIServer(make_app(), portal))
    assert host.request("POST", CHAT, HEADERS, b"{").error["message"].startswith("We could not parse the JSON body")
    assert host.request("POST", CHAT, HEADERS, b'{"model": 7}').error["code"] == "invalid_type"


def test_the_stream_is_a_stream(portal: BlockingPortal) -> None:
    check_stream(Host(ASGIServer(make_app(), portal)).request("POST", CHAT, HEADERS, STREAM_BODY).body)
