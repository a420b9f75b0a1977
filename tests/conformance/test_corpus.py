"""What OpenAI answers to wrong requests, byte for byte, in every host and as exceptions (docs/contract.md, Validation)."""

import json

import pytest

from completions_mw import Gateway, GatewayError
from tests.conformance.corpus import ORDER_ROWS, ROWS, Row
from tests.conformance.given import post
from tests.hosts.base import Host, Project

every_row = pytest.mark.parametrize("row", [*ROWS, *ORDER_ROWS], ids=lambda row: row.id)


@every_row
def test_every_host_answers_as_openai_does(host: Host, row: Row) -> None:
    response = post(host, row.body)
    assert response.status == row.status
    assert response.headers["content-type"] == "application/json"
    if row.error is not None:
        assert response.body == json.dumps({"error": row.error}, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.fixture(scope="module")
def gateway(project: Project) -> Gateway:
    return Gateway(project.settings)


def _can_be_called(row: Row) -> bool:
    """Leave out what is no call: a body that is not JSON, no model, and `stream`, which is another method."""
    return row.id != "1" and "model" in json.loads(row.body) and (row.error is None or row.error["param"] != "stream")


@pytest.mark.parametrize("row", [*filter(_can_be_called, (*ROWS, *ORDER_ROWS))], ids=lambda row: row.id)
def test_a_direct_call_raises_what_http_answers(gateway: Gateway, row: Row) -> None:
    fields = {"messages": None, **json.loads(row.body)}
    if row.error is None:
        assert gateway.complete(**fields).choices
        return
    with pytest.raises(GatewayError) as caught:
        gateway.complete(**fields)
    error = caught.value
    assert (error.status, {"message": error.message, "type": error.type, "param": error.param, "code": error.code}) == (
        row.status,
        row.error,
    )
