"""uWSGI behind nginx's `uwsgi_pass`, which repeats the length and the type of a body as headers (docs/servers.md)."""

from tests.servers.client import chat, content_of
from tests.servers.conftest import Running, Upstream
from tests.servers.kinds import UWSGI, every
from tests.support.grammar import check_stream
from tests.support.nginx_server import nginx
from tests.support.rawhttp import RawClient

UWSGI_PASS = "include /etc/nginx/uwsgi_params; uwsgi_pass app;"


@every((UWSGI,))
def test_nginx_passes_requests_to_uwsgi(server: Running, upstream: Upstream) -> None:
    with nginx(server.port, UWSGI_PASS) as port, RawClient(port) as client:
        assert content_of(client.exchange(chat(text="one two"))) == "one two"
        answer = client.exchange(chat(text="one two", stream=True))
    assert check_stream(answer.body).texts == {0: "one two"}
