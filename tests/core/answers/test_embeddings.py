"""Answers with embeddings: those that are right keep their bytes, others are corrected or refused (docs/contract.md, Embeddings)."""

import json
from base64 import b64encode
from struct import pack
from typing import Any

import pytest

from completions_mw.core.answers.embeddings import complete_embeddings
from completions_mw.core.validation.embeddings import Embed, validate_embeddings
from completions_mw.errors import GatewayError, InvalidRequestError, UpstreamError
from completions_mw.providers.base import Completion

ONE, TWO = [0.5, -0.25, 1], [0.0, 2.5, 3.5]
NUL = "\N{SNOWMAN}"


def base64(vector: list[float]) -> str:
    return b64encode(pack(f"<{len(vector)}f", *vector)).decode()


def asked(**fields: Any) -> Embed:
    return validate_embeddings({"model": "mine", "input": ["a", "b"], **fields}, max_inputs=10)


def answer(*vectors: Any, model: str = "mine", **changed: Any) -> Completion:
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    whole = {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": 2, "total_tokens": 2}, **changed}
    return Completion(whole, json.dumps(whole).encode())


def vectors(completion: Completion) -> list[Any]:
    return [item["embedding"] for item in completion.data["data"]]


@pytest.mark.parametrize(
    ("request_", "given"),
    [
        (asked(), answer(ONE, TWO)),
        (asked(encoding_format="base64"), answer(base64(ONE), base64(TWO))),
        (asked(dimensions=3), answer(ONE, TWO)),
    ],
    ids=["float", "base64", "dimensions"],
)
def test_a_right_answer_is_left_alone(request_: Embed, given: Completion) -> None:
    assert complete_embeddings(given, request_, "mine") is given


@pytest.mark.parametrize("old", ["text-embedding-3-small", 'a "quoted" name', "org/model", NUL])
def test_another_name_is_replaced_in_the_bytes(old: str) -> None:
    given = answer(ONE, TWO, model=old)
    renamed = complete_embeddings(given, asked(), "mine")
    assert renamed.data == {**given.data, "model": "mine"}
    if old == NUL:
        # Escaped in another way than here: then the answer is written anew.
        assert renamed.raw is None
    else:
        assert renamed.raw is not None
        assert json.loads(renamed.raw) == renamed.data


def test_a_name_that_stands_there_twice_is_not_replaced_in_the_bytes() -> None:
    renamed = complete_embeddings(answer(ONE, TWO, model="other", meta={"model": "other"}), asked(), "mine")
    assert (renamed.raw, renamed.data["model"], renamed.data["meta"]) == (None, "mine", {"model": "other"})


def test_a_form_that_was_not_asked_for_is_converted() -> None:
    made = complete_embeddings(answer(ONE, TWO), asked(encoding_format="base64"), "mine")
    assert (vectors(made), made.raw) == ([base64(ONE), base64(TWO)], None)
    assert vectors(complete_embeddings(answer(base64(ONE), base64(TWO)), asked(), "mine")) == [ONE, TWO]


def test_vectors_are_in_the_order_of_the_inputs() -> None:
    data = [{"object": "embedding", "index": 1, "embedding": TWO}, {"object": "embedding", "index": 0, "embedding": ONE}]
    made = complete_embeddings(answer(data=data), asked(), "mine")
    assert (vectors(made), [item["index"] for item in made.data["data"]]) == ([ONE, TWO], [0, 1])


def test_what_is_missing_is_added_in_openais_order() -> None:
    made = complete_embeddings(Completion({"data": [{"embedding": ONE}, {"embedding": TWO}]}), asked(), "mine")
    assert list(made.data) == ["object", "data", "model"]
    assert made.data["data"][1] == {"object": "embedding", "index": 1, "embedding": TWO}


@pytest.mark.parametrize(
    "given",
    [
        answer(ONE),
        answer(ONE, TWO, ONE),
        answer(ONE, []),
        answer(ONE, [[0.5]]),
        answer(ONE, ["0.5"]),
        answer(ONE, [True]),
        answer(ONE, [None]),
        answer(ONE, "no base64!"),
        answer(ONE, "AAA="),
        answer(ONE, ""),
    ],
    ids=["too-few", "too-many", "empty", "nested", "texts", "booleans", "nulls", "no-base64", "half-a-number", "empty-base64"],
)
@pytest.mark.parametrize("form", ["float", "base64"])
def test_what_cannot_be_the_answer_is_a_failure(given: Completion, form: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        complete_embeddings(given, asked(encoding_format=form), "mine")
    assert caught.value.code == "upstream_protocol_error"


@pytest.mark.parametrize("given", [[float("inf"), 1.0], [10**400, 1], base64([float("nan"), 1.0])], ids=["1e999", "10^400", "base64"])
def test_a_number_that_is_not_finite_is_a_failure(given: Any) -> None:
    with pytest.raises(UpstreamError):
        complete_embeddings(answer(ONE, given), asked(), "mine")


def test_a_number_that_has_no_32_bits_is_a_failure() -> None:
    with pytest.raises(GatewayError):
        complete_embeddings(answer(ONE, [1e300]), asked(encoding_format="base64"), "mine")


@pytest.mark.parametrize("given", [answer(ONE, TWO), answer(base64(ONE), base64(TWO))], ids=["float", "base64"])
def test_other_dimensions_than_were_asked_for_are_refused(given: Completion) -> None:
    with pytest.raises(InvalidRequestError, match=r"^This model does not support specifying dimensions\.$"):
        complete_embeddings(given, asked(dimensions=2), "mine")
