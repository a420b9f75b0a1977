"""The root of the settings: joins the tables, and checks references between them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator

from completions_mw.errors import ConfigurationError
from completions_mw.settings.base import Location, SettingsModel, faults, suggestion
from completions_mw.settings.cache import CacheSettings
from completions_mw.settings.embeddings import EmbeddingSettings
from completions_mw.settings.errors import explain
from completions_mw.settings.keys import KeySettings
from completions_mw.settings.limits import Allowance
from completions_mw.settings.models import ModelSettings
from completions_mw.settings.providers import UPSTREAM_KINDS, ProviderSettings, TimeoutSettings, UpstreamSettings
from completions_mw.settings.providers.implied import implied_names, implied_provider
from completions_mw.settings.routing import BreakerSettings, RetrySettings
from completions_mw.settings.secrets import DEFAULT_LEDGER_FILE
from completions_mw.settings.sources import read_environment, read_toml
from completions_mw.settings.stores import Connections, StoreSettings
from completions_mw.settings.types import (
    Abandoned,
    Amount,
    Count,
    Depth,
    Interval,
    KeepAliveForm,
    ModelName,
    Name,
    Prefix,
    Seconds,
    UnknownParams,
    UnsupportedParams,
    file_path,
)


class Settings(SettingsModel):
    """All settings of a gateway, in one frozen tree. docs/settings.md shows every setting with its default.

    `Settings(providers={...}, models={...}, keys={...})` takes the same tables as the TOML file. All values are checked at once.

    Secrets may be written `env:NAME` or `file:PATH`. They are read when the settings are built, without a newline at the end of a file.
    Relative paths start in the folder of the TOML file, or in the working directory if there is none. A pickle of the settings holds the
    credentials of upstreams in plain text; of the secrets of API keys only digests are kept.

    Raises:
        ConfigurationError: at least one setting is wrong; the message has a line for each, such as `keys.team-a.models[1]: should be ...`.
    """

    prefix: Prefix = "/api/v1"
    """Prefix of the routes `{prefix}/chat/completions`, `{prefix}/embeddings`, `{prefix}/models` and `{prefix}/models/{id}`."""
    unknown_params: UnknownParams = "reject"
    """What happens to parameters that OpenAI's API does not have (docs/contract.md, Differences from OpenAI)."""
    unsupported_params: UnsupportedParams = "reject"
    """What happens to parameters that a target does not take: the request is refused, or goes to the model's next target; the parameter is
    left out; or the nearest value that the target takes is sent. The header `x-completions-dropped` names what was left out or changed."""
    max_body_bytes: Count = 10_485_760
    """Bytes that the body of a request may have at most."""
    max_buffered_bytes: Count = 134_217_728
    """Bytes that the bodies of all requests may have together while they are received; further requests are `overloaded`."""
    max_depth: Depth = 64
    """Levels of nesting that the JSON of a request may have at most."""
    max_items: Count = 100_000
    """Values that the JSON of a request may have at most."""
    max_messages: Count = 2048
    """Messages that a request may have at most."""
    max_response_bytes: Count = 16_777_216
    """Bytes that an upstream's answer may have at most, streamed or not."""
    max_event_bytes: Count = 1_048_576
    """Bytes that one event of an upstream's stream may have at most."""
    keep_alive: Interval = 15.0
    """Seconds of silence after which a stream gets a keep-alive; 0 for never."""
    keep_alive_form: KeepAliveForm = "chunk"
    """Form of the keep-alives: a chunk with an empty delta, which every client reads, or a comment, which some decoders do not skip."""
    send_timeout: Seconds = 60.0
    """Seconds in which a client must take a piece of a stream, or of a whole answer above 16 KiB; then the answer ends."""
    abandoned: Abandoned = "estimate"
    """Charge for answers whose clients left, or that came too late: an estimate; the real usage, for which answers are read to their end
    without their clients, 16 at a time and for a minute at most; or all that was reserved."""
    model_threads: Count = 64
    """Threads of an `AsyncGateway` in which llama.cpp and Python functions that are not async answer. A request waits `connections.wait`
    for one; then it is refused as `overloaded`. One caller may have `connections.share` of them."""
    body_timeout: Seconds = 30.0
    """Seconds in which a client must send the whole body of its request. WSGI servers have a limit of their own."""
    debug: bool | None = None
    """Whether logs quote exceptions of the host app's functions, which may quote requests: for development only. None follows the debug
    mode of the host app."""
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
    """Timeouts of the providers that set none of their own."""
    request_timeout: Seconds | None = None
    """Seconds in which a request must be answered, all attempts and the whole stream together. By default the longest `total` of the
    timeouts of its model. A client may want it sooner, by the header `x-request-timeout-ms`."""
    retries: RetrySettings = Field(default_factory=RetrySettings)
    """Retries of targets that fail."""
    breaker: BreakerSettings = Field(default_factory=BreakerSettings)
    """Circuit breaker of each target."""
    expose_targets: bool = True
    """Whether answers of models with several targets name the one that answered, in `x-completions-target`."""
    connections: Connections = Field(default_factory=Connections)
    """Connections to each upstream, and how they are shared out among callers."""
    transport: Literal["httptools", "httpx2"] = "httptools"
    """HTTP client of all calls to upstreams. `httpx2` speaks HTTP/2 too, and is several times as slow. Providers with a `proxy` have it."""
    stores: StoreSettings = Field(default_factory=StoreSettings)
    """Stores of limits, keys, money and cached answers (docs/stores.md)."""
    cache: CacheSettings = Field(default_factory=CacheSettings)
    """Caching of answers; off by default."""
    embeddings: EmbeddingSettings = Field(default_factory=EmbeddingSettings)
    """Bounds of requests for embeddings, and of the answers to them."""
    max_cost: Amount | None = None
    """USD that one request of any caller may cost at most."""
    unpriced: Literal["deny", "free"] | None = None
    """Whether models without a price are refused or free. By default they are refused to callers with a budget, and free for others."""
    price_table: Literal["genai-prices"] | None = None
    """Source of the prices of upstreams' models that have none in the settings. It needs the extra `prices`."""
    tenants: Mapping[Name, Allowance] = Field(default_factory=dict)
    """Limits and budgets that all keys and callers of a tenant share."""
    callers: Allowance = Field(default_factory=Allowance)
    """Limits and budget of each caller that the `authenticate` function names, unless its `Caller` has others."""
    providers: Mapping[Name, ProviderSettings] = Field(default_factory=dict)
    """Upstreams, and models in this process. A known service that has its API key in the environment needs no table."""
    models: Mapping[ModelName, ModelSettings] = Field(default_factory=dict)
    """Models, by the name that clients send."""
    keys: Mapping[Name, KeySettings] = Field(default_factory=dict)
    """API keys, by their id. More may be stored in the ledger's database at run time."""

    def __init__(self, /, **values: Any) -> None:
        __traceback_hide__ = True
        self._build(values, None)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Return the settings in a mapping, such as one in the settings of the host app.

        Raises:
            ConfigurationError: at least one setting is wrong.
        """
        __traceback_hide__ = True
        return cls._built(mapping, None)

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Self:
        """Return the settings in a TOML file.

        Raises:
            ConfigurationError: the file cannot be read or is not TOML, or at least one setting is wrong.
        """
        __traceback_hide__ = True
        return cls._built(read_toml(Path(path)), Path(path).parent)

    @classmethod
    def from_env(cls, prefix: str = "COMPLETIONS_MW_", config: str | os.PathLike[str] | None = None) -> Self:
        """Return the settings in the environment variables whose names start with `prefix`.

        `COMPLETIONS_MW_CONFIG` names a TOML file to start from. The name of every other variable is the path of one setting, its parts
        joined by two underscores and in any case, and its value replaces that of the file: `COMPLETIONS_MW_KEEP_ALIVE=5`,
        `COMPLETIONS_MW_PROVIDERS__OPENAI__API_KEY=sk-...`. A value that starts with `{` or `[` is JSON, which can hold names that a
        variable cannot have: `COMPLETIONS_MW_MODELS={"gpt-3.5-turbo": {"targets": ["openai/gpt-4o-mini"]}}`.

        Args:
            prefix: what the names of the variables start with.
            config: TOML file to start from, instead of the one that `COMPLETIONS_MW_CONFIG` names.

        Raises:
            ConfigurationError: the file cannot be read or is not TOML, or at least one setting is wrong.
        """
        __traceback_hide__ = True
        return cls._built(*read_environment(prefix, None if config is None else Path(config)))

    @classmethod
    def _built(cls, values: Mapping[str, Any], folder: Path | None) -> Self:
        __traceback_hide__ = True
        settings = cls.__new__(cls)
        settings._build(values, folder)
        return settings

    def _build(self, values: Mapping[str, Any], folder: Path | None) -> None:
        # Error pages of Django and Flask, and Sentry, show no local variables of these frames, which hold secrets.
        __traceback_hide__ = True
        try:
            self.__pydantic_validator__.validate_python(values, self_instance=self, context=folder)
        except ValidationError as error:
            message = explain(error)
        else:
            return
        # Raised here and not in the handler: pydantic's error holds the values, and some of them are secrets.
        raise ConfigurationError(message)

    @field_validator("providers")
    @classmethod
    def _complete_providers(cls, providers: Mapping[str, ProviderSettings], info: ValidationInfo) -> Mapping[str, ProviderSettings]:
        general = info.data.get("timeouts", TimeoutSettings())
        return {name: provider.completed(name, general) for name, provider in providers.items()}

    @field_validator("keys")
    @classmethod
    def _tell_keys_apart(cls, keys: Mapping[str, KeySettings]) -> Mapping[str, KeySettings]:
        owners: dict[str, str] = {}
        twins = {name: owner for name, key in keys.items() if (owner := owners.setdefault(key.secret_sha256, name)) != name}
        if twins:
            raise faults(((name,), f"should have another secret than keys.{owner}") for name, owner in twins.items())
        return keys

    @model_validator(mode="after")
    def _choose_ledger(self, info: ValidationInfo) -> Self:
        """Set the default ledger if there is a budget and the settings name no ledger."""
        allowances: tuple[KeySettings | Allowance, ...] = (self.callers, *self.keys.values(), *self.tenants.values())
        if self.stores.ledger is None and any(allowance.budget for allowance in allowances):
            ledger = SecretStr(f"sqlite:///{file_path(DEFAULT_LEDGER_FILE, info)}")
            # Written past pydantic, since the model is frozen.
            self.__dict__["stores"] = self.stores.model_copy(update={"ledger": ledger})
        return self

    @model_validator(mode="after")
    def _find_providers(self) -> Self:
        """Add the providers that targets name and that need no table."""
        implied: dict[str, UpstreamSettings] = {}
        missing: list[tuple[Location, str]] = []
        for model, table in self.models.items():
            for index, target in enumerate(table.targets):
                name = target.provider
                if name in self.providers or name in implied:
                    continue
                try:
                    implied[name] = implied_provider(name, UPSTREAM_KINDS, self.timeouts)
                except LookupError:
                    hint = suggestion(name, self.providers, implied_names(UPSTREAM_KINDS))
                    missing.append((("models", model, "targets", index), f"`{name}` is not a provider; {hint}"))
                except ValueError as error:
                    missing.append((("models", model, "targets", index), f"`{name}` has no table in the settings, and {error}"))
        if missing:
            raise faults(missing)
        # Written past pydantic, since the model is frozen.
        self.__dict__["providers"] = {**self.providers, **implied}
        return self
