"""What is blocking and what is async is called by the same names in the same way."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import completions_mw.backends
import completions_mw.gateway
from completions_mw import AsyncGateway, Gateway
from completions_mw.backends.ownership import PerProcess

PAIRS = (
    "Background",
    "Backends",
    "Batches",
    "Connection",
    "Flights",
    "FunctionModel",
    "Httpx2Transport",
    "LlamaCppModel",
    "Postgres",
    "PostgresPool",
    "Redis",
    "SpoolFile",
    "Sqlite",
    "Steps",
    "Storage",
    "ThreadSource",
    "Transport",
    "Waiting",
)
CALLED_BY_LOOPS = {"HttpConnection", "Httpx2Connection", "Network"}
"""Pairs of which one has methods for its event loop, too."""


def classes() -> Iterator[tuple[str, type]]:
    for package in (completions_mw.backends, completions_mw.gateway):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(found.name)
            yield from ((name, kind) for name, kind in vars(module).items() if isinstance(kind, type) and kind.__module__ == found.name)


CLASSES = dict(classes())


def methods(kind: type) -> dict[str, inspect.Signature]:
    """Return the public methods that are ours, not those of a driver below."""
    members = inspect.getmembers(kind, inspect.isfunction)
    ours = {name: method for name, method in members if method.__module__.startswith("completions_mw.")}
    return {name: inspect.signature(method) for name, method in ours.items() if _is_public(name)}


def _is_public(name: str) -> bool:
    """Return whether users of a class call a method, not only the class itself or a fork."""
    return name in ("__init__", "__anext__") or not (name[0] == "_" or hasattr(PerProcess, name))


def test_every_pair_is_compared() -> None:
    names = {name.removeprefix("Blocking") for name in CLASSES if name.startswith("Blocking")}
    assert {name for name in names if f"Async{name}" in CLASSES} - CALLED_BY_LOOPS == set(PAIRS)


@pytest.mark.parametrize("name", PAIRS)
def test_both_kinds_have_the_same_methods(name: str) -> None:
    blocking = methods(CLASSES[f"Blocking{name}"])
    assert blocking
    assert blocking == methods(CLASSES[f"Async{name}"])


def test_both_gateways_are_called_in_the_same_way() -> None:
    """What they return differs: one is iterated, the other awaited."""
    blocking, asynchronous = (
        {name: list(signature.parameters.values()) for name, signature in methods(kind).items()} for kind in (Gateway, AsyncGateway)
    )
    assert blocking.keys() >= {"__init__", "handle", "complete", "stream", "models", "usage", "balances", "close"}
    assert blocking == asynchronous


def test_both_gateways_have_the_same_properties() -> None:
    blocking, asynchronous = ({name for name, _ in inspect.getmembers(kind, _is_property)} for kind in (Gateway, AsyncGateway))
    assert blocking == asynchronous >= {"keys", "stores"}


def _is_property(member: object) -> bool:
    return isinstance(member, property)
