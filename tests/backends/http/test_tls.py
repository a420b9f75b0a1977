"""Connections to upstreams are encrypted for whom they name (docs/promises.md, Secrets)."""

import ssl

import pytest

from completions_mw.backends.http.request_head import tls_context


def test_certificates_and_their_names_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    tls_context.cache_clear()
    context = tls_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
