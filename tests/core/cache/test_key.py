"""Requests share a key exactly if they are equal in all that affects the answer (docs/caching.md)."""

import copy
import json
import unicodedata
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from completions_mw import Caller, Settings
from completions_mw.core.cache.key import IGNORED_FIELDS, content_of, digest_of, model_prefix
from completions_mw.core.cache.policy import policy_of
from completions_mw.core.cache.scopes import Sharing, sharing_label
from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.validation.json_body import Bounds, parse_json_body
from completions_mw.gateway.backends import BlockingBackends
from completions_mw.gateway.models import ModelRegistry
from completions_mw.settings import CacheSettings, ModelCacheSettings

PREFIX = model_prefix("m", ["up/m"])
REQUEST: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "caf\u00e9"}, {"role": "assistant", "content": None, "tool_calls": []}],
    "temperature": 0,
}

atoms = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
values = st.recursive(
    atoms, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=8
)
requests = st.dictionaries(st.sampled_from(["messages", "seed", "stop", "temperature", "tools", "x"]), values, max_size=5)


def digest(fields: dict[str, Any], scope: str = "tenant:a", prefix: bytes = PREFIX, cap: int | None = None) -> bytes:
    return digest_of(prefix, scope, content_of(fields), cap)


def exact(value: Any) -> Any:
    """Return what two values must share to be the same JSON: Python takes 1, 1.0 and True for equal, and 0.0 for -0.0."""
    if isinstance(value, dict):
        return frozenset((name, exact(inner)) for name, inner in value.items())
    if isinstance(value, list):
        return tuple(exact(inner) for inner in value)
    return type(value).__name__, repr(value)


def changed(data: st.DataObject, value: Any) -> Any:
    """Return a value with one part changed in its value, type, order or Unicode form, or not at all."""
    if isinstance(value, dict) and value:
        name = data.draw(st.sampled_from(sorted(value)))
        if data.draw(st.booleans()):
            return {inner: value[inner] for inner in reversed(value)}
        return {**value, name: changed(data, value[name])}
    if isinstance(value, list) and value:
        if data.draw(st.booleans()):
            return value[::-1]
        at = data.draw(st.integers(0, len(value) - 1))
        return [*value[:at], changed(data, value[at]), *value[at + 1 :]]
    return data.draw(st.sampled_from([value, *twins(value)]) | values)


def twins(value: Any) -> list[Any]:
    """Return values that are easily taken for `value`."""
    if isinstance(value, bool):
        return [int(value), float(value), str(value), str(value).lower()]
    if isinstance(value, int):
        return [str(value), bool(value), *([float(value)] if abs(value) < 2**53 else [])]
    if isinstance(value, float):
        return [-value, str(value), repr(value), *([int(value)] if value.is_integer() else [])]
    if isinstance(value, str):
        return [unicodedata.normalize(form, value) for form in ("NFC", "NFD", "NFKC")] + [value + '"', value + "\\", json.dumps(value)]
    return ["", "null", False, [], {}]


def check_pair(data: st.DataObject) -> None:
    one = data.draw(requests)
    other = changed(data, copy.deepcopy(one))
    if isinstance(other, dict):
        assert (digest(one) == digest(other)) == (exact(one) == exact(other))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_keys_are_equal_exactly_if_requests_are(data: st.DataObject) -> None:
    check_pair(data)


@pytest.mark.soak
@settings(max_examples=100_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_hundred_thousand_pairs(data: st.DataObject) -> None:
    check_pair(data)


@settings(max_examples=60, deadline=None)
@given(requests, st.integers(0, 4), st.booleans())
def test_spelling_does_not_matter(fields: dict[str, Any], indent: int, ascii: bool) -> None:
    """Order of members, spacing and escapes are the writer's."""
    texts = (json.dumps(fields), json.dumps(dict(reversed(fields.items())), indent=indent or None, ensure_ascii=ascii))
    one, other = (parse_json_body(text.encode(), Bounds()) for text in texts)
    assert digest(one) == digest(other)


@pytest.mark.parametrize("name", sorted(IGNORED_FIELDS))
def test_fields_that_do_not_affect_the_answer_are_ignored(name: str) -> None:
    assert digest({**REQUEST, name: "x"}) == digest(REQUEST)
    nested = {**REQUEST, "messages": [{**REQUEST["messages"][0], name: "x"}]}
    assert digest(nested) != digest({**REQUEST, "messages": REQUEST["messages"][:1]})


def test_models_targets_scopes_and_caps_have_keys_of_their_own() -> None:
    keys = {
        digest(REQUEST),
        digest(REQUEST, scope="tenant:b"),
        digest(REQUEST, scope="tenant:"),
        digest(REQUEST, cap=100),
        digest(REQUEST, cap=1000),
        digest(REQUEST, prefix=model_prefix("other", ["up/m"])),
        digest(REQUEST, prefix=model_prefix("m", ["other/m"])),
        digest(REQUEST, prefix=model_prefix("m", ["up/m", "other/m"])),
    }
    assert len(keys) == 8


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1, max_size=6), st.text(min_size=1, max_size=6), st.sampled_from(["tenant", "key"]))
def test_no_two_callers_meet_by_name(one: str, other: str, sharing: Sharing) -> None:
    """Neither by a tenant called like a user or key, nor by a name that holds the separator."""
    callers = [
        *(Caller(one), Caller(one, scope="key"), Caller("ada", one), Caller(f"{one}:{other}")),
        *(Caller(f"tenant:{one}"), Caller(f"key:{one}"), Caller(f"{one}%3A{other}"), None),
    ]
    labels = {sharing_label(caller, sharing) for caller in callers}
    assert len(labels) == len({repr(caller) for caller in callers})


def test_tenants_share_and_may_be_told_not_to() -> None:
    ada, eve = Caller("ada", "acme"), Caller("eve", "acme", scope="key")
    assert sharing_label(ada, "tenant") == sharing_label(eve, "tenant") != sharing_label(Caller("acme"), "tenant")
    assert sharing_label(ada, "key") != sharing_label(eve, "key")
    assert sharing_label(ada, "global") == sharing_label(None, "global") != sharing_label(None, "tenant")


def test_answers_are_not_found_once_the_settings_would_give_others() -> None:
    providers: list[dict[str, Any]] = [
        {"api": "openai", "base_url": "https://one.test/v1"},
        {"api": "openai", "base_url": "https://other.test/v1"},
        {"api": "azure", "resource": "one"},
        {"api": "azure", "resource": "one", "api_version": "2024-10-21"},
        {"api": "llama_cpp", "context": 512},
        {"api": "llama_cpp", "context": 1024},
        *({"api": "anthropic", "unsupported_params": policy} for policy in ("reject", "drop", "clamp")),
    ]
    prefixes = [prefix_of(provider) for provider in providers]
    # This one sends the maximum of the settings where a request has none.
    prefixes += [prefix_of({"api": "anthropic"}, max_output_tokens=maximum) for maximum in (10, 20)]
    assert len(set(prefixes)) == len(prefixes)


def test_settings_that_answers_do_not_depend_on_are_not_in_the_key() -> None:
    plain = {"api": "anthropic", "base_url": "https://one.test"}
    others: list[dict[str, Any]] = [
        {"api_key": "x" * 20},
        {"headers": {"x-team": "one"}},
        {"timeouts": {"total": 5}},
        {"api_keys": ["y" * 20, "z" * 20]},
    ]
    assert {prefix_of(plain | other) for other in others} == {prefix_of(plain)}
    assert prefix_of({"api": "openai"}, max_output_tokens=10) == prefix_of({"api": "openai"}, max_output_tokens=20)


def prefix_of(provider: dict[str, Any], **model: Any) -> bytes:
    tree = {"providers": {"p": provider}, "models": {"m": {"targets": ["p/x"], **model}}}
    made = policy_of(CacheSettings(enabled=True), ModelCacheSettings(), models_of(tree)["m"], is_function=False)
    assert made is not None
    return made.prefix


def models_of(tree: dict[str, Any]) -> Mapping[str, CatalogModel]:
    return ModelRegistry(Settings.from_mapping(tree), {}, BlockingBackends()).models
