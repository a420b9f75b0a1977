"""The root of the settings, which joins the tables and checks what they say about each other."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator

from completions_mw.errors import ConfigurationError
from completions_mw.settings.base import Location, SettingsModel, faults, suggestion
from completions_mw.settings.errors import explain
from completions_mw.settings.keys import KeySettings
from completions_mw.settings.limits import Allowance
from completions_mw.settings.models import ModelSettings
from completions_mw.settings.providers import ProviderSettings, TimeoutSettings
from completions_mw.settings.secrets import DEFAULT_LEDGER
from completions_mw.settings.sources import place_variables, read_toml
from completions_mw.settings.stores import Connections, StoreSettings
from completions_mw.settings.types import Amount, Count, Depth, Interval, ModelName, Name, Prefix, Seconds, file_path


class Settings(SettingsModel):
    """Everything that an operator can say, in one frozen tree; README, "Settings", shows it all.

    `Settings(providers={...}, models={...}, keys={...})` takes the same tables as the TOML file. Everything is checked at once.

    Secrets may be written `env:NAME` or `file:PATH`; they are read at once, too, and a newline at the end of a file is no part of
    them. Their relative paths, and those of model files, start in the TOML file's folder, or without one in the working directory.
    A pickle holds the credentials of upstreams, as it must; the secrets of API keys are nowhere, only their digests.

    Raises:
        ConfigurationError: a line for each wrong setting, as `keys.team-a.models[1]: should be ...`.
    """

    not_enforced: ClassVar = frozenset({"cache"})
    prefix: Prefix = "/api/v1"
    """Routes: {prefix}/chat/completions, {prefix}/models, {prefix}/models/{id}."""
    unknown_params: Literal["reject", "forward", "ignore"] = "reject"
    """What happens to parameters that are not in the API (docs/contract.md, Differences from OpenAI)."""
    max_body_bytes: Count = 10_485_760
    max_depth: Depth = 64
    """Levels of nesting in a request's JSON."""
    max_items: Count = 100_000
    """Values in a request's JSON."""
    max_messages: Count = 2048
    max_response_bytes: Count = 16_777_216
    """Of an upstream's answer, streamed or not."""
    max_event_bytes: Count = 1_048_576
    """Of one event of an upstream's stream."""
    keep_alive: Interval = 15.0
    """Seconds of silence after which a stream gets a comment; 0 for none."""
    body_timeout: Seconds = 30.0
    """For a client to send its whole request body."""
    debug: bool | None = None
    """Whether the log quotes the exceptions of functions and hooks, which may quote requests, so for development only; as the host app's
    own debug mode unless it is set."""
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
    connections: Connections = Field(default_factory=Connections)
    stores: StoreSettings = Field(default_factory=StoreSettings)
    max_cost: Amount | None = None
    """USD that one request of anybody may cost at most."""
    unpriced: Literal["deny", "free"] | None = None
    """Models without a price: for nobody, or for nothing. By default they are not for callers with a budget, and cost others nothing."""
    price_table: Literal["genai-prices"] | None = None
    """Where the prices of upstreams' models come from that have none here; needs the extra `prices`."""
    tenants: Mapping[Name, Allowance] = Field(default_factory=dict)
    """What all keys and callers of a tenant may use together."""
    callers: Allowance = Field(default_factory=Allowance)
    """What each caller may use that the `authenticate` hook names, unless it says otherwise."""
    providers: Mapping[Name, ProviderSettings] = Field(default_factory=dict)
    models: Mapping[ModelName, ModelSettings] = Field(default_factory=dict)
    keys: Mapping[Name, KeySettings] = Field(default_factory=dict)

    def __init__(self, /, **values: Any) -> None:
        self._build(values, None)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Return the settings of a mapping, as a host app's own settings hold it."""
        return cls._built(mapping, None)

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Self:
        """Return the settings of a TOML file."""
        return cls._built(read_toml(Path(path)), Path(path).parent)

    @classmethod
    def from_env(cls, prefix: str = "COMPLETIONS_MW_") -> Self:
        """Return the settings of the environment variables whose names start with `prefix`.

        `COMPLETIONS_MW_CONFIG` names a TOML file to start from. Every other variable is the path of one setting, its parts joined by
        two underscores and in any case, and replaces what the file says there: `COMPLETIONS_MW_PROVIDERS__OPENAI__API_KEY=sk-...`,
        `COMPLETIONS_MW_KEEP_ALIVE=5`. A value that starts with `{` or `[` is JSON, which can also spell names that a variable's
        name cannot: `COMPLETIONS_MW_MODELS={"gpt-3.5-turbo": {"targets": ["openai/gpt-4o-mini"]}}`.
        """
        variables = {name: value for name, value in os.environ.items() if name.startswith(prefix)}
        config = variables.pop(f"{prefix}CONFIG", "")
        tree = read_toml(Path(config)) if config else {}
        place_variables(tree, variables, prefix)
        return cls._built(tree, Path(config).parent if config else None)

    @classmethod
    def _built(cls, values: Mapping[str, Any], folder: Path | None) -> Self:
        settings = cls.__new__(cls)
        settings._build(values, folder)
        return settings

    def _build(self, values: Mapping[str, Any], folder: Path | None) -> None:
        try:
            self.__pydantic_validator__.validate_python(values, self_instance=self, context=folder)
        except ValidationError as error:
            message = explain(error)
        else:
            return
        # Not within the handler: pydantic's error carries the values, and some of them are secrets.
        raise ConfigurationError(message)

    @field_validator("providers")
    @classmethod
    def _complete_providers(cls, providers: Mapping[str, ProviderSettings], info: ValidationInfo) -> Mapping[str, ProviderSettings]:
        general = info.data.get("timeouts", TimeoutSettings())
        return {name: provider.completed(name, general) for name, provider in providers.items()}

    @field_validator("keys")
    @classmethod
    def _complete_tenants(cls, keys: Mapping[str, KeySettings]) -> Mapping[str, KeySettings]:
        return {name: key.model_copy(update={"tenant": key.tenant or name}) for name, key in keys.items()}

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
        """Keep money in a file, where there is money to count and no other place is named for it."""
        somebody: tuple[KeySettings | Allowance, ...] = (self.callers, *self.keys.values(), *self.tenants.values())
        if self.stores.ledger is None and any(one.budget for one in somebody):
            ledger = SecretStr(f"sqlite:///{file_path(DEFAULT_LEDGER, info)}")
            # Frozen for everybody else.
            self.__dict__["stores"] = self.stores.model_copy(update={"ledger": ledger})
        return self

    @model_validator(mode="after")
    def _find_providers(self) -> Self:
        if missing := list(self._missing_providers()):
            raise faults(missing)
        return self

    def _missing_providers(self) -> Iterator[tuple[Location, str]]:
        for name, model in self.models.items():
            for index, target in enumerate(model.targets):
                if target.provider not in self.providers:
                    at = ("models", name, "targets", index)
                    yield at, f"`{target.provider}` is no provider; {suggestion(target.provider, self.providers)}"
