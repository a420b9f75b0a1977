"""Certificates for tests of TLS."""

import ssl
from pathlib import Path

import pytest

from tests.support.tls import make_certificate


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "localhost")


@pytest.fixture(scope="session")
def expired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost that was good until yesterday."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "localhost", has_expired=True)


def trust(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    """Let the transports trust a certificate that no authority has signed."""
    for module in ("blocking", "asynchronous", "httpx2.engine"):
        context = ssl.create_default_context(cafile=certificate)
        monkeypatch.setattr(f"completions_mw.backends.http.{module}.tls_context", lambda context=context: context)


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    trust(monkeypatch, certificate)


@pytest.fixture
def trusting_expired(monkeypatch: pytest.MonkeyPatch, expired: Path) -> None:
    trust(monkeypatch, expired)
