"""The rows of the servers that speak OpenAI's API."""

import pytest

from completions_mw.settings.compatible import SERVICES, Capabilities, capabilities_at, known_base_url

MODERN = "max_completion_tokens"
"""OpenAI's newer name for the maximum."""
OPENAI = Capabilities(unsupported=frozenset({"top_k"}), max_tokens=MODERN, developer_role=True)
OTHERS = Capabilities(min_top_k=-1)


@pytest.mark.parametrize(
    ("base_url", "capabilities"),
    [
        ("https://api.openai.com/v1", OPENAI),
        ("https://api.openai.com:443/v1", OPENAI),
        ("https://eu.api.openai.com/v1", OPENAI),
        ("https://mine.openai.azure.com/openai/v1", Capabilities(max_tokens=MODERN, developer_role=True)),
        ("https://API.OPENAI.com/v1", OPENAI),
        ("https://api.groq.com/openai/v1", Capabilities()),
        ("https://myapi.openai.com.example.com/v1", OTHERS),
        ("https://notapi.openai.com.test/v1", OTHERS),
        ("https://notopenai.azure.com/v1", OTHERS),
        ("http://localhost:8000/v1", OTHERS),
        ("http://[::1]:8000/v1", OTHERS),
    ],
)
def test_a_host_has_the_capabilities_of_its_row(base_url: str, capabilities: Capabilities) -> None:
    assert capabilities_at(base_url) == capabilities


def test_servers_on_one_host_are_told_apart_by_their_port() -> None:
    found = {service.name for service in SERVICES for url in ("http://localhost:11434/v1", "http://localhost:8000") if service.serves(url)}
    assert found == {"ollama"}


@pytest.mark.parametrize(
    ("name", "base_url"),
    [
        ("openai", "https://api.openai.com/v1"),
        ("Groq", "https://api.groq.com/openai/v1"),
        ("ollama", "http://localhost:11434/v1"),
        ("my-own", "https://api.openai.com/v1"),
        ("", "https://api.openai.com/v1"),
    ],
)
def test_a_well_known_name_has_a_base_url(name: str, base_url: str) -> None:
    assert known_base_url(name) == base_url


def test_no_service_hides_another() -> None:
    assert len({service.name for service in SERVICES}) == len(SERVICES)
    for service in SERVICES:
        assert [other for other in SERVICES if other.serves(service.base_url)] == [service]
