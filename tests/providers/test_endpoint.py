"""What is taken out of an upstream's errors."""

import pytest

from completions_mw.errors import InternalError, UpstreamError
from completions_mw.http import Timeouts
from completions_mw.providers.endpoint import Endpoint, secrets_of

KEY = "sk-canary-upstream"
URL = "http://upstream.internal/v1"
ENDPOINT = Endpoint(URL, (("authorization", f"Bearer {KEY}"),), Timeouts(), secrets_of(URL, (KEY,)))


def test_no_text_of_an_error_keeps_a_secret() -> None:
    error = UpstreamError(f"key {KEY} at {URL} " + "x" * 9000, code=f"c {KEY}", type=f"t {KEY}", param="x" * 190 + KEY)
    error.upstream_code = f"{KEY} " + "x" * 900
    ENDPOINT.redact(error)
    assert error.message.startswith("key *** at *** xxx")
    assert str(error) == error.message
    assert len(error.message) == 2000
    assert (error.code, error.type, error.param) == ("c ***", "t ***", "x" * 190 + "***")
    assert error.upstream_code == "*** " + "x" * 196


def test_what_is_not_there_stays_away() -> None:
    error = InternalError()
    ENDPOINT.redact(error)
    assert (error.code, error.param, error.upstream_code) == ("internal_error", None, None)


@pytest.mark.parametrize(
    ("base_url", "credentials", "secrets"),
    [
        ("https://up.test/v1", ["sk-1234567"], ("https://up.test/v1", "sk-1234567", "up.test")),
        ("https://up.test/v1", ["", "abc"], ("https://up.test/v1", "up.test")),
        ("https://up.test/v1", ["same", "same"], ("https://up.test/v1", "up.test", "same")),
        ("https://up.test/accounts/me", [], ("https://up.test/accounts/me", "/accounts/me", "up.test")),
    ],
    ids=["key", "too short", "twice", "path"],
)
def test_what_is_secret(base_url: str, credentials: list[str], secrets: tuple[str, ...]) -> None:
    assert secrets_of(base_url, credentials) == secrets


def test_a_repr_shows_no_secret() -> None:
    assert KEY not in repr(ENDPOINT)
