"""Types of secrets and addresses, which may be written `env:NAME` or `file:PATH`."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, SecretStr, ValidationInfo

from completions_mw.settings.types import file_path, matching, split_url

_SCHEME_ALIASES = {"postgres": "postgresql"}
"""Schemes in the addresses that hosting platforms hand out, and the usual ones."""
MEMORY_ADDRESS = SecretStr("memory://")
"""Address of a store in the memory of each process."""
DEFAULT_LEDGER_FILE = "completions.db"
"""SQLite file of the ledger, beside the settings file, if there is a budget and the settings name no ledger."""
LIMITS_STORAGE_SCHEMES = (
    "memcached",
    "mongodb",
    "redis+cluster",
    "redis+sentinel",
    "valkey",
    "valkeys",
    "valkey+cluster",
    "valkey+sentinel",
)
"""Schemes of the storages of the `limits` package that can hold limits on requests, and no other limits."""
_MAX_FILE_BYTES = 65_536
"""Bytes that the file of a secret may have at most."""
_SQLITE_PREFIX = "sqlite:///"
_in_braces = re.compile(r"\{\{.*\}\}", re.DOTALL).fullmatch
_whole_variable = re.compile(
    r"\$\{(?P<shell>[a-z_]\w*)[^{}]*\}|\$(?P<bare>(?-i:[A-Z_][A-Z0-9_]*))|\$?env:(?P<prefix>[a-z_]\w*)|%(?P<windows>[a-z_]\w*)%"
    r"|\{\{\s*(?P<template>[a-z_]\w*)\s*\}\}|os\.environ\W{1,2}(?P<python>[a-z_]\w*)\W{0,2}",
    re.ASCII | re.IGNORECASE,
).fullmatch
"""Matches references to variables in shells, Windows, templates and Python. After a bare `$` only capitals count."""
_variable_within = re.compile(r"\$\{([A-Za-z_]\w*)[^{}]*\}", re.ASCII).search
_check_variable = matching(r"[a-z_][a-z0-9_]*", "`env:` and the name of an environment variable")


def sqlite_file(address: str) -> Path | None:
    """Return the file of a SQLite address; None for any other address."""
    return Path(address.removeprefix(_SQLITE_PREFIX)).absolute() if address.startswith(_SQLITE_PREFIX) else None


def _other_spelling(text: str) -> str | None:
    """Return the fault of a text that other tools would take for a reference and the settings for the secret itself; else None."""
    kind = text.partition(":")[0].strip().lower()
    if kind == "file":
        return "should be written `file:PATH`, in lower case"
    if found := _whole_variable(text.strip()):
        return f"should be written `env:{found[found.lastgroup or 0]}`"
    if kind in ("env", "$env") or _in_braces(text):
        return "should be written `env:NAME`"
    if found := _variable_within(text):
        return f"holds a variable; put the whole value into one, and write `env:NAME` instead of `${{{found[1]}}}` within it"
    return None


def _from_environment(name: str) -> str:
    _check_variable(name)
    if name not in os.environ:
        raise ValueError(f"the environment variable {name} is not set")
    return os.environ[name]


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None
    if len(content) > _MAX_FILE_BYTES:
        raise ValueError("the file is too large for a secret")
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError("the file is not text in UTF-8") from None


def _read(value: object, info: ValidationInfo) -> str:
    """Return the secret that `value` holds or refers to. The validation context is the folder of relative paths."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str):
        raise ValueError("should be text")
    kind, _, reference = text.partition(":")
    if kind == "env":
        text = _from_environment(reference)
    elif kind == "file":
        text = _from_file(Path(info.context or "", reference))
    elif other := _other_spelling(text):
        raise ValueError(other)
    if not text:
        raise ValueError("is empty")
    return text


def _secret(check: Callable[[str], str]) -> BeforeValidator:
    def validate(value: object, info: ValidationInfo) -> str:
        return check(_read(value, info))

    return BeforeValidator(validate)


def _address(*schemes: str) -> BeforeValidator:
    expected = "should be " + ", ".join("memory://" if scheme == "memory" else f"{scheme}://…" for scheme in schemes)

    def validate(value: object, info: ValidationInfo) -> str:
        address = _read(value, info)
        scheme, separator, rest = address.partition("://")
        scheme = _SCHEME_ALIASES.get(scheme, scheme)
        if scheme not in schemes or not separator or not address.isprintable() or " " in address:
            raise ValueError(expected)
        return f"{scheme}://{_checked(scheme, rest, info)}"

    return BeforeValidator(validate)


def _checked(scheme: str, rest: str, info: ValidationInfo) -> str:
    if scheme == "memory" and rest:
        raise ValueError("should have nothing after `memory://`")
    if scheme == "sqlite":
        if not rest.startswith("/") or rest == "/":
            raise ValueError(
                "should name a file, as `sqlite:///completions.db`, or `sqlite:////var/lib/app/completions.db` for a whole path"
            )
        return f"/{file_path(rest[1:], info)}"
    if scheme in ("redis", "rediss"):
        split_url(f"{scheme}://{rest}")
    return rest


def _proxy_url(value: str) -> str:
    if not _is_proxy_url(value):
        raise ValueError("should be an HTTP proxy, as http://proxy.example:3128 or http://user:password@proxy.example:3128")
    split_url(value)
    return value


_is_proxy_url = re.compile(r"http://[\x21-\x2e\x30-\x5b\x5d-\x7e]+/?", re.ASCII).fullmatch
client_secret = matching(
    r"[\x21-\x2b\x2d-\x7e]{8,505}",
    "8 to 505 printable ASCII characters without spaces and commas (servers join repeated headers with commas)",
)
"""Validator of a client's API key: with `Bearer ` before it, it fits the 512 bytes that an authorization header may have."""
ApiKey = Annotated[SecretStr, _secret(matching(r"[\x21-\x7e]{1,4096}", "1 to 4096 printable ASCII characters without spaces"))]
ClientSecret = Annotated[SecretStr, _secret(client_secret)]
AdmissionAddress = Annotated[SecretStr, _address("memory", "redis", "rediss", *LIMITS_STORAGE_SCHEMES)]
LedgerAddress = Annotated[SecretStr, _address("memory", "sqlite", "postgresql")]
ProxyUrl = Annotated[SecretStr, _secret(_proxy_url)]
CacheAddress = Annotated[SecretStr, _address("memory", "redis", "rediss")]
HeaderValue = Annotated[
    SecretStr, _secret(matching(r"[\x21-\x7e]([\x20-\x7e\t]{0,4094}[\x21-\x7e])?", "printable ASCII without spaces at its ends"))
]
