"""Finds what a class awaits, by its source: to prove that blocking code waits for nothing that needs an event loop.

What may be awaited: methods of the class itself; methods of ports (Protocols of this library); methods and functions of this library that
obey the same rule; and what a caller injects (a parameter that is a coroutine, a callable that returns one). A receiver whose type the
annotations do not tell is a fault too.
"""

import ast
import inspect
import textwrap
import types
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from functools import cache
from typing import Any

INJECTED = (Coroutine, Awaitable, Callable)
OURS = ("completions_mw.", "tests.")
CORE = "completions_mw.core."
"""An import contract keeps event loops out of the core."""


def faults(kind: type) -> list[str]:
    """Return what `kind` awaits and may not: each as `class.method: what is awaited`."""
    walk = _Walk()
    for name in dir(kind):
        function = _function(kind, name)
        if function is not None and inspect.iscoroutinefunction(function) and _is_ours(function):
            walk.follow(function, kind)
    return walk.faults


class _Walk:
    def __init__(self) -> None:
        self.faults: list[str] = []
        self._seen: set[tuple[object, type | None]] = set()

    def follow(self, function: Any, owner: type | None) -> None:
        """Check a function of ours, as a method of `owner` where it is one."""
        if (function, owner) in self._seen:
            return
        self._seen.add((function, owner))
        scope = _Scope(function, owner)
        for node in ast.walk(scope.tree):
            if isinstance(node, ast.Await):
                self._check(node.value, scope)
            elif isinstance(node, ast.AsyncWith):
                for item in node.items:
                    self._check(item.context_expr, scope)
            elif isinstance(node, ast.AsyncFor) or (isinstance(node, ast.comprehension) and node.is_async):
                self._refuse(node.iter, scope)

    def _check(self, awaited: ast.expr, scope: "_Scope") -> None:
        if isinstance(awaited, ast.Call) and isinstance(awaited.func, ast.Attribute):
            receivers = scope.types(awaited.func.value)
            if not receivers:
                self._refuse(awaited, scope)
            for receiver in receivers:
                self._check_method(receiver, awaited.func.attr, awaited, scope)
        elif isinstance(awaited, ast.Call) and isinstance(awaited.func, ast.Name) and awaited.func.id not in scope.names:
            function = inspect.unwrap(scope.function.__globals__.get(awaited.func.id))
            if inspect.isfunction(function) and _is_ours(function):
                self.follow(function, None)
            else:
                self._refuse(awaited, scope)
        else:
            self._check_value(scope.types(awaited.func if isinstance(awaited, ast.Call) else awaited), awaited, scope)

    def _check_value(self, kinds: tuple[type, ...], awaited: ast.expr, scope: "_Scope") -> None:
        """Check what is injected: a coroutine, or what is called to get one."""
        if not kinds:
            self._refuse(awaited, scope)
        for kind in kinds:
            if kind not in INJECTED:
                self._check_method(kind, "__call__", awaited, scope)

    def _check_method(self, receiver: type, name: str, awaited: ast.expr, scope: "_Scope") -> None:
        function = _function(receiver, name)
        if function is None and name != "__call__":
            # An attribute that holds a callable.
            self._check_value(scope.attribute(receiver, name), awaited, scope)
        elif function is None or not _is_ours(receiver) or receiver.__name__.lstrip("_").startswith("Async"):
            self._refuse(awaited, scope)
        elif not (getattr(receiver, "_is_protocol", False) or receiver.__module__.startswith(CORE)):
            self.follow(function, receiver)

    def _refuse(self, awaited: ast.expr, scope: "_Scope") -> None:
        self.faults.append(f"{scope.function.__qualname__}: {ast.unparse(awaited)}")


class _Scope:
    """The names of one function and their types, as far as annotations and assignments tell."""

    def __init__(self, function: Any, owner: type | None) -> None:
        self.function = function
        self.owner = owner
        self.tree = _tree(function)
        self.names: dict[str, list[type | ast.expr]] = {name: [*_flat(hint)] for name, hint in _hints(function).items() if name != "return"}
        """What each local name is or is assigned."""
        self._sought: set[str] = set()
        for argument in [*self.tree.args.posonlyargs, *self.tree.args.args][: 0 if owner is None else 1]:
            self.names[argument.arg] = [owner] if owner is not None else []
        for node in ast.walk(self.tree):
            for target, value in _assignments(node):
                if isinstance(target, ast.Name):
                    self.names.setdefault(target.id, []).append(value)

    def types(self, expression: ast.expr) -> tuple[type, ...]:
        """Return the classes that an expression may be of; without the async twins of blocking ones."""
        match expression:
            case ast.Name(id):
                return _blocking(self._named(id))
            case ast.Attribute(value, attr):
                return _blocking(found for receiver in self.types(value) for found in self.attribute(receiver, attr))
            case ast.Call(ast.Name(id)):
                return _blocking(_returned(self.function.__globals__.get(id)))
            case ast.Call(ast.Attribute(value, attr)):
                return _blocking(found for receiver in self.types(value) for found in _returned(_function(receiver, attr)))
            case ast.BoolOp(values=values):
                return _blocking(found for value in values for found in self.types(value))
            case ast.IfExp(body=body, orelse=orelse):
                return _blocking((*self.types(body), *self.types(orelse)))
            case ast.Await(value) | ast.NamedExpr(value=value):
                return self.types(value)
        return ()

    def _named(self, name: str) -> Iterator[type]:
        if name not in self._sought:
            self._sought.add(name)
            for found in self.names.get(name, ()):
                yield from (found,) if isinstance(found, type) else self.types(found)
            self._sought.discard(name)

    def attribute(self, receiver: type, name: str) -> tuple[type, ...]:
        """Return the classes that an attribute may be of."""
        member = inspect.getattr_static(receiver, name, None)
        if isinstance(member, property):
            return _returned(member.fget)
        for base in receiver.__mro__:
            if name in (hints := _hints(base)):
                return _flat(hints[name])
        if (receiver, name) in _sought:
            return ()
        _sought.add((receiver, name))
        try:
            return tuple(dict.fromkeys(found for base in receiver.__mro__ if _is_ours(base) for found in _assigned(base, receiver, name)))
        finally:
            _sought.discard((receiver, name))


_sought: set[tuple[type, str]] = set()
"""Attributes whose assignments are being looked at, which may assign them to each other."""


def _assigned(base: type, receiver: type, name: str) -> Iterator[type]:
    for function in vars(base).values():
        if not inspect.isfunction(function) or name not in function.__code__.co_names:
            continue
        for node in ast.walk(_tree(function)):
            for target, value in _assignments(node):
                if isinstance(target, ast.Attribute) and target.attr == name:
                    if isinstance(node, ast.AnnAssign):
                        yield from _flat(eval(ast.unparse(node.annotation), function.__globals__))
                    elif not (isinstance(value, ast.Attribute) and value.attr == name):
                        yield from _Scope(function, receiver).types(value)


def _assignments(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    match node:
        case ast.Assign(targets, value):
            for target in targets:
                yield target, value
        case ast.AnnAssign(target=target):
            yield target, node.value or target
        case ast.NamedExpr(target, value):
            yield target, value
        case ast.AsyncWith(items):
            for item in items:
                if item.optional_vars is not None:
                    yield item.optional_vars, item.context_expr


def _returned(function: Any) -> tuple[type, ...]:
    """Return the classes of what a call of `function` gives, or yields where it is a context manager."""
    if isinstance(function, type):
        return (function,)
    hint = _hints(inspect.unwrap(function)).get("return") if function is not None else None
    return _flat(typing.get_args(hint)[0] if typing.get_origin(hint) is AsyncIterator else hint)


def _flat(hint: Any) -> tuple[type, ...]:
    """Return the classes that an annotation stands for."""
    if isinstance(hint, typing.TypeVar):
        return _flat(hint.__bound__)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return tuple(found for part in typing.get_args(hint) for found in _flat(part))
    found = origin or hint
    return (found,) if isinstance(found, type) and found is not type(None) else ()


def _blocking(kinds: typing.Iterable[type]) -> tuple[type, ...]:
    found = tuple(dict.fromkeys(kinds))
    return tuple(kind for kind in found if not _is_async_twin(kind, found))


def _is_async_twin(kind: type, others: tuple[type, ...]) -> bool:
    return kind.__name__.startswith("Async") and any(other.__name__ == f"Blocking{kind.__name__[5:]}" for other in others)


def _is_ours(thing: Any) -> bool:
    return f"{thing.__module__}.".startswith(OURS)


def _function(kind: type, name: str) -> Any:
    member = inspect.getattr_static(kind, name, None)
    function = inspect.unwrap(member.__func__ if isinstance(member, staticmethod | classmethod) else member) if member is not None else None
    return function if inspect.isroutine(function) else None


def _hints(thing: Any) -> dict[str, Any]:
    # Annotations that only a type checker can see tell nothing here.
    with suppress(NameError, TypeError):
        return typing.get_type_hints(thing)
    return {}


@cache
def _tree(function: Any) -> Any:
    return ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
