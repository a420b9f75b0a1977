"""Another target answers for one that is overloaded or at its limit, in whatever words it says so."""

import pytest

from completions_mw import Settings
from tests.faults.conftest import KEY, AsyncClient, BlockingClient
from tests.providers.corpus import FORMATS
from tests.providers.corpus.case import case
from tests.providers.corpus.replay import reply
from tests.support.canned import CannedTransport

ERRORS = {api: case(api, "error").error or {} for api in FORMATS}
BUSY = [api for api, error in ERRORS.items() if error["status"] in (429, 503)]


@pytest.mark.parametrize("api", BUSY)
@pytest.mark.parametrize("client", [BlockingClient, AsyncClient], ids=["blocking", "async"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_another_target_answers(client: type[BlockingClient | AsyncClient], api: str, stream: bool) -> None:
    format, one = FORMATS[api], case(api, "error")
    settings = Settings(
        providers={"up": {"api": api, **format.settings}, "local": {"api": "echo"}},
        models={"alone": {"targets": [f"up/{one.model}"]}, "rescued": {"targets": [f"up/{one.model}", "local/any"]}},
        keys={"client": {"secret": KEY}},
        # Retries would wait.
        retries={"attempts": 1},
    )
    made = client(settings, transport=CannedTransport(lambda request: reply(format, one, stream=False)))
    refused, rescued = made.post("alone", stream=stream), made.post("rescued", stream=stream)
    assert (refused.status, refused.error["code"]) == (ERRORS[api]["status"], ERRORS[api]["members"]["code"])
    assert (rescued.status, rescued.text) == (200, "one two three")
    made.close()
