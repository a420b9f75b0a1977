"""The Flask extension: what makes the gateway's paths views of the app like all others."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import flask
import pytest
from flask.cli import routes_command

from completions_mw import ChatRequest, ConfigurationError, Gateway
from completions_mw.adapters.flask import Completions
from tests.adapters.given import CHAT_BODY, HEADERS, MAX_BODY, STREAM_BODY, TOML, TREE, settings, upstream_settings
from tests.hosts.base import CHAT, MODELS, Host, HostResponse
from tests.support.exchange import HeaderPairs
from tests.support.grammar import check_stream
from tests.support.upstream import MockUpstream
from tests.support.wsgi_driver import WSGIServer


@pytest.fixture
def app() -> flask.Flask:
    """An app that is configured and has no gateway yet."""
    app = flask.Flask(__name__)
    app.config["COMPLETIONS_MW"] = TREE
    app.secret_key = "for-tests-only"
    return app


def post(app: flask.Flask, body: bytes | list[bytes] = CHAT_BODY, headers: HeaderPairs = HEADERS) -> HostResponse:
    return Host(WSGIServer(app)).request("POST", CHAT, headers, body)


def test_an_app_gets_its_gateway_from_its_config(app: flask.Flask) -> None:
    Completions(app)
    assert isinstance(app.extensions["completions_mw"], Gateway)
    assert post(app).status == 200


def test_a_factory_gives_each_app_a_gateway_of_its_own(app: flask.Flask, tmp_path: Path) -> None:
    (tmp_path / "completions.toml").write_text(TOML.replace("models.m", "models.other"))
    other = flask.Flask("other")
    other.config["COMPLETIONS_MW"] = tmp_path / "completions.toml"
    completions = Completions()
    for each in (app, other):
        completions.init_app(each)
    assert post(app).status == 200
    assert post(other).error["code"] == "model_not_found"


def test_an_app_may_be_given_a_gateway(app: flask.Flask) -> None:
    with Gateway(settings()) as gateway:
        Completions(app, gateway)
        assert app.extensions["completions_mw"] is gateway
        assert post(app).status == 200


def test_what_is_for_the_gateway_is_not_taken_beside_one(app: flask.Flask) -> None:
    with Gateway(settings()) as gateway, pytest.raises(TypeError, match="for the gateway itself"):
        Completions(app, gateway, authenticate=lambda request: None)


def test_a_factory_gives_each_app_what_is_its_own(app: flask.Flask) -> None:
    completions = Completions(models={"my-bot": lambda request: "of all apps"}, authenticate=lambda request: None)
    other = flask.Flask("other")
    other.config["COMPLETIONS_MW"] = TREE
    completions.init_app(app)
    completions.init_app(other, models={"my-bot": lambda request: "of the other app"}, authenticate=lambda request: "ada")
    body = CHAT_BODY.replace(b'"m"', b'"my-bot"')
    assert post(app, body).json()["choices"][0]["message"]["content"] == "of all apps"
    assert post(app, body, HEADERS[1:]).status == 401
    assert post(other, body, HEADERS[1:]).json()["choices"][0]["message"]["content"] == "of the other app"


def test_a_factory_may_be_given_a_gateway_for_one_app(app: flask.Flask) -> None:
    with Gateway(settings()) as gateway:
        Completions().init_app(app, gateway)
        assert app.extensions["completions_mw"] is gateway


def test_a_factory_takes_no_options_beside_a_gateway(app: flask.Flask) -> None:
    with Gateway(settings()) as gateway, pytest.raises(TypeError, match=r"^`authenticate`: for the gateway itself"):
        Completions(authenticate=lambda request: None).init_app(app, gateway)


def test_an_option_with_a_slip_in_it_is_refused_at_once(app: flask.Flask) -> None:
    with pytest.raises(TypeError, match="did you mean `authenticate`"):
        Completions(authentcate=lambda request: None)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="did you mean `models`"):
        Completions().init_app(app, modles={})  # type: ignore[call-arg]


def test_an_app_without_settings_is_told_so() -> None:
    with pytest.raises(ConfigurationError, match=r'^app\.config\["COMPLETIONS_MW"\]: is not set'):
        Completions(flask.Flask(__name__))


@pytest.mark.parametrize("given", ["completions.toml", TREE, settings()], ids=["path", "mapping", "settings"])
def test_what_is_no_app_is_told_where_settings_belong(given: Any) -> None:
    with pytest.raises(TypeError, match=r'app\.config\["COMPLETIONS_MW"\]'):
        Completions(given)


def test_functions_of_the_app_are_models(app: flask.Flask) -> None:
    Completions(app, models={"my-bot": lambda request: f"hello from {flask.current_app.name}"})
    response = post(app, CHAT_BODY.replace(b'"m"', b'"my-bot"'))
    assert response.json()["choices"][0]["message"]["content"] == f"hello from {__name__}"


def test_the_login_of_the_app_says_who_is_calling(app: flask.Flask) -> None:
    Completions(app, authenticate=lambda request: flask.session.get("user"))
    app.add_url_rule("/login", view_func=log_in)
    cookie = app.test_client().get("/login").headers["set-cookie"].partition(";")[0]
    as_json = (("content-type", "application/json"),)
    assert post(app, headers=as_json).status == 401
    assert post(app, headers=(*as_json, ("cookie", cookie))).status == 200


def log_in() -> str:
    flask.session["user"] = "alice"
    return "welcome"


def test_hooks_of_the_app_run(app: flask.Flask) -> None:
    Completions(app)
    seen: list[str | None] = []
    app.before_request(lambda: seen.append(flask.request.endpoint))
    app.after_request(mark)
    for body in (CHAT_BODY, STREAM_BODY):
        assert post(app, body).headers["x-app"] == "mine"
    assert seen == ["completions_mw_chat", "completions_mw_chat"]


def mark(response: flask.Response) -> flask.Response:
    response.headers["x-app"] = "mine"
    return response


def test_a_hook_may_refuse_in_the_apps_own_words(app: flask.Flask) -> None:
    Completions(app)
    app.before_request(lambda: ("closed on Sundays", 403))
    answer = app.test_client().post(CHAT, data=CHAT_BODY, headers=list(HEADERS))
    assert (answer.status_code, answer.text) == (403, "closed on Sundays")


READERS: dict[str, Callable[[], object]] = {
    "get_data": lambda: flask.request.get_data(),
    "get_json": lambda: flask.request.get_json(silent=True),
    "form": lambda: flask.request.form.to_dict(),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
def test_a_hook_may_read_the_body_first(app: flask.Flask, read: Callable[[], object], chunked: bool) -> None:
    Completions(app)
    app.before_request(lambda: (read(), None)[1])
    app.config["MAX_CONTENT_LENGTH"] = 100 * MAX_BODY
    assert post(app, [CHAT_BODY] if chunked else CHAT_BODY).status == 200
    too_large = CHAT_BODY.ljust(MAX_BODY + 1)
    assert post(app, [too_large] if chunked else too_large).error["code"] == "request_too_large"


def test_a_hook_may_read_the_body_afterwards(app: flask.Flask) -> None:
    Completions(app)
    seen = []

    @app.after_request
    def look(response: flask.Response) -> flask.Response:
        seen.append(flask.request.get_data())
        return response

    assert post(app).status == 200
    assert seen == [CHAT_BODY]


def test_the_apps_own_bound_for_bodies_is_not_the_gateways(app: flask.Flask) -> None:
    Completions(app)
    app.config["MAX_CONTENT_LENGTH"] = 10
    assert post(app).status == 200


def test_a_stream_is_never_collected_for_a_hook(app: flask.Flask) -> None:
    Completions(app)
    passed: list[bool] = []

    @app.after_request
    def look(response: flask.Response) -> flask.Response:
        passed.append(response.direct_passthrough)
        return response

    check_stream(post(app, STREAM_BODY).body)
    post(app)
    assert passed == [True, False]


def test_an_extension_for_cors_answers_for_our_paths(app: flask.Flask) -> None:
    Completions(app)

    @app.after_request
    def allow(response: flask.Response) -> flask.Response:
        response.headers["access-control-allow-origin"] = "https://a.example"
        return response

    answer = app.test_client().options(CHAT)
    assert (answer.status_code, answer.allow.to_header()) == (200, "POST")
    assert answer.headers["access-control-allow-origin"] == "https://a.example"


def test_a_function_that_raises_over_a_stream_closes_it(app: flask.Flask, upstream: MockUpstream) -> None:
    app.config["COMPLETIONS_MW"] = upstream_settings(upstream.url)
    Completions(app)
    kept: list[BaseException] = []

    @app.after_request
    def fail(response: flask.Response) -> flask.Response:
        raise RuntimeError(f"no room for a response with {response.status_code}")

    # As error trackers do, with all that its frames hold.
    flask.got_request_exception.connect(lambda _, exception: kept.append(exception), app, weak=False)
    answer = app.test_client().post(CHAT, headers=dict(HEADERS), data=STREAM_BODY)
    assert (answer.status_code, len(kept)) == (500, 1)
    upstream.wait_closed()


def test_the_routes_are_listed(app: flask.Flask) -> None:
    Completions(app)
    listed = app.test_cli_runner().invoke(routes_command)
    assert (listed.exit_code, f"{MODELS}/<completions_mw_model:model>" in listed.output) == (0, True)


def test_the_paths_have_names(app: flask.Flask) -> None:
    Completions(app)
    with app.test_request_context():
        assert flask.url_for("completions_mw_chat") == CHAT
        assert flask.url_for("completions_mw_models") == MODELS
        assert flask.url_for("completions_mw_model", model="org/model") == f"{MODELS}/org/model"


def remembers(request: ChatRequest) -> Iterator[str]:
    """Be a model that uses the contexts of the app to its end."""
    try:
        for _ in range(3):
            yield f"{flask.session['user']} of {flask.current_app.name}, {flask.request.path}, {flask.g.answer}; "
    finally:
        flask.g.ended = flask.session["user"]


@pytest.fixture
def remembering(app: flask.Flask) -> flask.Flask:
    """The app with such a model; what its contexts held at their end is in `app.extensions["ended"]`."""
    Completions(app, models={"m2": remembers}, authenticate=lambda request: flask.session.get("user"))
    app.extensions["ended"] = []
    app.add_url_rule("/login", view_func=log_in)
    app.before_request(lambda: setattr(flask.g, "answer", 42))
    app.teardown_request(lambda error: app.extensions["ended"].append(flask.g.get("ended")))
    return app


MODEL_BODY = STREAM_BODY.replace(b'"m"', b'"m2"')


def test_a_stream_has_the_contexts_of_its_request_to_its_end(remembering: flask.Flask) -> None:
    client = remembering.test_client()
    client.get("/login")
    answer = client.post(CHAT, data=MODEL_BODY, content_type="application/json")
    assert answer.text.count(f"alice of {__name__}, {CHAT}, 42; ") == 3
    assert "internal_error" not in answer.text
    # Once for the login, and once for the stream: not when its view has returned.
    assert remembering.extensions["ended"] == [None, "alice"]
    assert not flask.has_app_context()


@pytest.mark.parametrize("read", [0, 1], ids=["before-a-piece", "after-a-piece"])
def test_a_stream_that_is_left_ends_in_its_contexts(remembering: flask.Flask, read: int) -> None:
    client = remembering.test_client()
    client.get("/login")
    answer = client.post(CHAT, data=MODEL_BODY, content_type="application/json", buffered=False)
    assert [next(answer.iter_encoded()) for _ in range(read)] == [ANY] * read
    assert remembering.extensions["ended"] == [None]
    answer.close()
    assert remembering.extensions["ended"] == [None, "alice"]
    assert not flask.has_app_context()


def test_a_stream_that_a_hook_drops_leaves_no_context_behind(app: flask.Flask) -> None:
    Completions(app)

    @app.after_request
    def drop(response: flask.Response) -> flask.Response:
        assert not response.is_streamed, "dropped"
        return response

    assert app.test_client().post(CHAT, data=STREAM_BODY, headers=list(HEADERS)).status_code == 500
    assert not flask.has_app_context()


def test_a_hook_may_put_its_own_body_in_the_place_of_a_stream(remembering: flask.Flask) -> None:
    @remembering.after_request
    def shout(response: flask.Response) -> flask.Response:
        response.response = [piece.upper() for piece in response.iter_encoded()]
        return response

    client = remembering.test_client()
    client.get("/login")
    assert f"ALICE OF {__name__.upper()}" in client.post(CHAT, data=MODEL_BODY, content_type="application/json").text
