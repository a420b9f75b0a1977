"""Which failures let a model's next target answer (docs/routing.md, Failures), in both gateways."""

from collections.abc import Iterator

import pytest

from tests.faults.conftest import SLOW, AsyncClient, BlockingClient, Client, settings_for
from tests.support.process import free_port
from tests.support.proxy import Blackhole, FaultProxy
from tests.support.upstream import MockUpstream


@pytest.fixture(params=[BlockingClient, AsyncClient], ids=["blocking", "async"])
def chain(request: pytest.FixtureRequest, upstream: MockUpstream) -> Iterator[Client]:
    """Models whose first target fails as their names say, and whose second one answers."""
    firsts = ["status-400", "status-401", "status-404", "status-408", "status-413", "status-429", "status-503", "unknown", "html", "ttfb"]
    with FaultProxy("127.0.0.1", upstream.port, Blackhole()) as blackhole:
        settings = settings_for(
            upstream,
            providers={
                "refused": {"api": "openai", "base_url": f"http://127.0.0.1:{free_port()}/v1"},
                "blackhole": {"api": "openai", "base_url": f"http://127.0.0.1:{blackhole.port}/v1", "timeouts": {"connect": 0.3}},
            },
            models={
                **{first: {"targets": [f"{SLOW.get(first, 'up')}/{first}", "up/ok"]} for first in [*firsts, "trunc", "cut"]},
                "refused": {"targets": ["refused/x", "up/ok"]},
                "blackhole": {"targets": ["blackhole/x", "up/ok"]},
                "hopeless": {"targets": ["refused/x", "up/status-503"]},
            },
        )
        client = request.param(settings)
        yield client
        client.close()


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    "model", ["refused", "blackhole", "status-401", "status-404", "status-408", "status-429", "status-503", "unknown", "html"]
)
def test_the_next_target_answers(chain: Client, model: str, stream: bool) -> None:
    answer = chain.post(model, stream=stream)
    assert (answer.status, answer.text) == (200, "one two three")


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(("model", "status"), [("status-400", 400), ("status-413", 413), ("ttfb", 504)])
def test_the_next_target_is_not_asked(chain: Client, upstream: MockUpstream, model: str, status: int, stream: bool) -> None:
    assert chain.post(model, stream=stream).status == status
    assert len(upstream.requests) == 1


def test_nothing_is_tried_again_once_an_answer_began(chain: Client, upstream: MockUpstream) -> None:
    """See docs/routing.md, Failures."""
    answer = chain.post("trunc", stream=True)
    assert answer.error["code"] == "upstream_incomplete"
    assert len(upstream.requests) == 1


def test_nor_after_half_of_a_whole_answer(chain: Client, upstream: MockUpstream) -> None:
    assert chain.post("cut").error["code"] == "upstream_disconnected"
    assert len(upstream.requests) == 1


def test_the_last_targets_failure_is_the_answer(chain: Client) -> None:
    assert chain.post("hopeless").status == 502
