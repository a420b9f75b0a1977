"""The rows of the servers that speak OpenAI's API."""

import pytest

from completions_mw import Settings
from completions_mw.errors import ConfigurationError
from completions_mw.settings.capabilities import Capabilities
from completions_mw.settings.compatible import SERVICES, capabilities_at

OPENAI = Capabilities(unsupported=frozenset({"top_k"}), max_tokens="max_completion_tokens", developer_role=True, takes_additions=False)
OTHERS = Capabilities(min_top_k=-1)
PARAMS = frozenset({"logit_bias", "logprobs", "top_logprobs"})


@pytest.mark.parametrize(
    ("base_url", "capabilities"),
    [
        ("https://api.openai.com/v1", OPENAI),
        ("https://api.openai.com:443/v1", OPENAI),
        ("https://eu.api.openai.com/v1", OPENAI),
        ("https://mine.openai.azure.com/openai/v1", OPENAI),
        ("https://API.OPENAI.com/v1", OPENAI),
        ("https://api.groq.com/openai/v1", Capabilities(unsupported=PARAMS, max_choices=1, takes_additions=False)),
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
    found = {service.name for service in SERVICES for url in ("http://localhost:11434/v1", "http://localhost:9999") if service.serves(url)}
    assert found == {"ollama"}


def base_url(name: str) -> str:
    provider = Settings(providers={name: {"api": "openai"}}).providers[name]
    assert not provider.is_local
    return provider.base_url


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("openai", "https://api.openai.com/v1"),
        ("Groq", "https://api.groq.com/openai/v1"),
        ("llama.cpp", "http://localhost:8080/v1"),
        ("my-own", "https://api.openai.com/v1"),
        ("openai-eu", "https://api.openai.com/v1"),
    ],
)
def test_a_well_known_name_has_a_base_url(name: str, url: str) -> None:
    assert base_url(name) == url


@pytest.mark.parametrize("name", ["groq-eu", "my_mistral", "team.groq"])
def test_the_key_of_a_service_does_not_go_to_openai(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"providers\.{name}\.base_url: is missing, and the provider's name is like"):
        base_url(name)


def test_an_address_has_the_variables_of_its_customer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "https://dbc.cloud.databricks.com/")
    assert base_url("databricks") == "https://dbc.cloud.databricks.com/serving-endpoints"
    monkeypatch.delenv("DATABRICKS_HOST")
    with pytest.raises(
        ConfigurationError, match=r"providers\.databricks\.base_url: is missing, and the environment variable DATABRICKS_HOST is not set"
    ):
        base_url("databricks")


def test_no_service_hides_another() -> None:
    names = [service.name for service in SERVICES if service.name]
    assert len(set(names)) == len(names)
    for service in SERVICES:
        if not service.base_url.startswith("{"):
            assert [other for other in SERVICES if other.serves(service.base_url)] == [service]


def implied(target: str) -> Settings:
    return Settings(models={"m": {"targets": [target]}})


@pytest.mark.parametrize(
    ("target", "api", "variable", "url"),
    [
        ("groq/llama-3.3-70b", "openai", "GROQ_API_KEY", "https://api.groq.com/openai/v1"),
        ("Mistral/small", "openai", "MISTRAL_API_KEY", "https://api.mistral.ai/v1"),
        ("openai/gpt-4o", "openai", "OPENAI_API_KEY", "https://api.openai.com/v1"),
        ("gemini/gemini-2.5-flash", "gemini", "GEMINI_API_KEY", "https://generativelanguage.googleapis.com/v1beta"),
        ("ollama/llama3.2", "openai", "OLLAMA_API_KEY", "http://localhost:11434/v1"),
    ],
)
def test_a_provider_whose_key_is_in_the_environment_needs_no_table(
    monkeypatch: pytest.MonkeyPatch, target: str, api: str, variable: str, url: str
) -> None:
    monkeypatch.setenv(variable, "sk-canary")
    [provider] = implied(target).providers.values()
    assert not provider.is_local
    assert (provider.api, provider.base_url, provider.timeouts.total) == (api, url, 600)
    assert provider.api_key is not None
    assert provider.api_key.get_secret_value() == "sk-canary"


def test_a_server_of_ones_own_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    provider = implied("vllm/Qwen/Qwen3-8B").providers["vllm"]
    assert not provider.is_local
    assert provider.api_key is None


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("groq/m", "`groq` has no table in the settings, and the environment variable GROQ_API_KEY is not set"),
        ("gemini/m", "`gemini` has no table in the settings, and the environment variable GEMINI_API_KEY is not set"),
        ("gorq/m", r"`gorq` is not a provider; did you mean `groq`\?"),
        ("azure/m", "and its `resource` is missing, and the environment variable AZURE_OPENAI_ENDPOINT is not set"),
        ("bedrock/m", "and its `region` should be an AWS region such as `eu-central-1`, here or in the environment variable AWS_REGION"),
        ("cloudflare/m", "and its `base_url` is missing, and the environment variable CLOUDFLARE_ACCOUNT_ID is not set"),
        ("databricks/m", "and its `base_url` is missing, and {DATABRICKS_HOST}/serving-endpoints should be a URL that starts with http"),
        ("mistral/m", "and the environment variable MISTRAL_API_KEY should be 1 to 4096 printable ASCII characters without spaces$"),
    ],
)
def test_a_provider_that_cannot_be_meant_is_named(monkeypatch: pytest.MonkeyPatch, target: str, words: str) -> None:
    for name in ("GROQ_API_KEY", "GEMINI_API_KEY", "CLOUDFLARE_ACCOUNT_ID", "AZURE_OPENAI_ENDPOINT", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AZURE_OPENAI_API_KEY", "CLOUDFLARE_API_KEY", "DATABRICKS_TOKEN", "DATABRICKS_HOST"):
        monkeypatch.setenv(name, "sk-1")
    monkeypatch.setenv("MISTRAL_API_KEY", "sk canary")
    with pytest.raises(ConfigurationError, match=rf"^models\.m\.targets\[0\]: .*{words}"):
        implied(target)


def test_azure_and_bedrock_are_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com/")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    found = Settings(models={"m": {"targets": ["azure/m", "bedrock/m"]}}).providers
    urls = [provider.base_url for provider in found.values() if not provider.is_local]
    assert urls == ["https://mine.openai.azure.com", "https://bedrock-runtime.eu-central-1.amazonaws.com"]
