"""Conditions on an event's data, written as EventBridge patterns.

``{"size": [{"numeric": [">", 0]}], "storage_class": ["belle:raw", {"prefix": "belle:tmp"}]}``: every field must
hold, and of a field's list one alternative must. Alternatives are exact values or one operator each: ``prefix``,
``suffix``, ``wildcard`` (with ``*``), ``equals-ignore-case``, ``anything-but``, ``numeric``, ``exists``, ``cidr``.
Of a list in the data (``principal.gids``) one element must fit, and for ``anything-but`` none may be named.
"""

from __future__ import annotations

import ipaddress
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from eventflow.event import Data
from eventflow.pattern import Segment, Wild
from eventflow.spec import Key, SpecError, nearest

MAX_ALTERNATIVES = 256
MAX_DEPTH = 5
MAX_STRING = 1024

Predicate = Callable[[Any], bool]
FIELDS = tuple(Data.__struct_fields__)

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


class Condition(NamedTuple):
    """One field of the data and what it must be; ``exact`` are its values when only exact ones are allowed."""

    path: tuple[str, ...]
    holds: Predicate
    exact: tuple[Any, ...] | None

    def value(self, data: Data) -> Any:
        """What ``data`` has at ``path``; ``None`` for a field that it does not have."""
        first = self.path[0]
        here = getattr(data, first, None) if first in FIELDS else (data.extra or {}).get(first)
        for name in self.path[1:]:
            here = here.get(name) if isinstance(here, dict) else None
        return here


def compile_where(where: Mapping[str, Any], key: Key = ("when", "where")) -> tuple[Condition, ...]:
    """Compile the conditions; a `SpecError` names the key of a wrong one."""
    return tuple(_conditions(where, (), key))


def _conditions(where: Mapping[str, Any], path: tuple[str, ...], key: Key) -> list[Condition]:
    if len(path) >= MAX_DEPTH:
        raise SpecError(f"is nested deeper than {MAX_DEPTH}", key=key)
    found: list[Condition] = []
    for name, value in where.items():
        at: Key = (*key, name)
        if isinstance(value, Mapping):
            if not value:
                raise SpecError("is empty", key=at)
            found += _conditions(value, (*path, name), at)
        elif isinstance(value, list | tuple):
            if not 0 < len(value) <= MAX_ALTERNATIVES:
                raise SpecError(f"must list 1 to {MAX_ALTERNATIVES} alternatives", key=at)
            found.append(_condition((*path, name), value, at))
        else:
            raise SpecError("must be a list of alternatives", key=at, hint=f"write {name}: [{value}]")
    return found


def _condition(path: tuple[str, ...], alternatives: list[Any] | tuple[Any, ...], key: Key) -> Condition:
    predicates = [_alternative(value, (*key, i)) for i, value in enumerate(alternatives)]
    exact = None if any(isinstance(value, Mapping) for value in alternatives) else tuple(alternatives)
    if len(predicates) == 1:
        return Condition(path, predicates[0], exact)
    return Condition(path, lambda data: any(holds(data) for holds in predicates), exact)


def _alternative(value: Any, key: Key) -> Predicate:
    if not isinstance(value, Mapping):
        return _some(_exact(value, key))
    if len(value) != 1:
        raise SpecError("must have one operator", key=key, hint="list several alternatives instead")
    name, argument = next(iter(value.items()))
    if name == "exists":
        if not isinstance(argument, bool):
            raise SpecError("is true or false", key=(*key, name))
        return lambda data: (data is not None) is argument
    if name == "anything-but":
        return _anything_but(argument, (*key, name))
    if name not in _OPERATORS:
        known = (*_OPERATORS, "exists", "anything-but")
        raise SpecError(f"unknown operator {name!r}", key=(*key, name), hint=nearest(str(name), known))
    return _some(_OPERATORS[name](argument, (*key, name)))


def _some(holds: Predicate) -> Predicate:
    return lambda data: any(map(holds, data)) if isinstance(data, list | tuple) else holds(data)


def _exact(value: Any, key: Key) -> Predicate:
    if value is None:
        raise SpecError("null is no value", key=key, hint="write {exists: false}")
    if not isinstance(value, str | int | float):
        raise SpecError("must be a string, a number, a boolean or an operator", key=key)
    if isinstance(value, bool):
        return lambda data: data is value
    if isinstance(value, str):
        return lambda data: bool(data == value)
    return lambda data: bool(data == value) and not isinstance(data, bool)


def _anything_but(argument: Any, key: Key) -> Predicate:
    if isinstance(argument, Mapping):
        (name, value) = next(iter(argument.items()), ("", None))
        if len(argument) != 1 or name not in ("prefix", "suffix", "wildcard", "equals-ignore-case"):
            raise SpecError("takes values, or one of prefix, suffix, wildcard, equals-ignore-case", key=key)
        values = value if isinstance(value, list) else [value]
        refused = [_OPERATORS[name](one, (*key, name)) for one in values]
    else:
        values = argument if isinstance(argument, list) else [argument]
        refused = [_exact(one, (*key, i)) for i, one in enumerate(values)]
    if not 0 < len(refused) <= MAX_ALTERNATIVES:
        raise SpecError(f"must list 1 to {MAX_ALTERNATIVES} values", key=key)

    def holds(data: Any) -> bool:
        elements = data if isinstance(data, list | tuple) else (data,)
        return data is not None and not any(fits(element) for element in elements for fits in refused)

    return holds


def _prefix(argument: Any, key: Key) -> Predicate:
    text = _string(argument, key)
    return lambda data: isinstance(data, str) and data.startswith(text)


def _suffix(argument: Any, key: Key) -> Predicate:
    text = _string(argument, key)
    return lambda data: isinstance(data, str) and data.endswith(text)


def _equals_ignore_case(argument: Any, key: Key) -> Predicate:
    text = _string(argument, key).casefold()
    return lambda data: isinstance(data, str) and data.casefold() == text


def _wildcard(argument: Any, key: Key) -> Predicate:
    text = _string(argument, key)
    if "**" in text:
        raise SpecError("two * side by side", key=key)
    literals = text.split("*")
    parts = [part for literal in literals for part in (literal, Wild(None))][:-1]
    segment = Segment(parts)
    return lambda data: isinstance(data, str) and segment.match(data, {})


def _cidr(argument: Any, key: Key) -> Predicate:
    try:
        network = ipaddress.ip_network(_string(argument, key))
    except ValueError as error:
        raise SpecError(f"is no network: {error}", key=key, hint="write 10.1.0.0/16") from None

    def holds(data: Any) -> bool:
        try:
            return isinstance(data, str) and ipaddress.ip_address(data) in network
        except ValueError:
            return False

    return holds


def _numeric(argument: Any, key: Key) -> Predicate:
    if not isinstance(argument, list) or len(argument) not in (2, 4):
        raise SpecError("takes a comparison or two", key=key, hint='write [">", 0] or [">=", 1, "<", 10]')
    tests = []
    for name, limit in zip(argument[::2], argument[1::2], strict=True):
        if str(name) not in _COMPARISONS or isinstance(limit, bool) or not isinstance(limit, int | float):
            raise SpecError(f"{name!r} {limit!r} is no comparison", key=key, hint='write [">", 0]')
        tests.append((_COMPARISONS[str(name)], limit))

    def holds(data: Any) -> bool:
        number = isinstance(data, int | float) and not isinstance(data, bool)
        return number and all(compare(data, limit) for compare, limit in tests)

    return holds


def _string(argument: Any, key: Key) -> str:
    if not isinstance(argument, str) or not 0 < len(argument) <= MAX_STRING:
        raise SpecError(f"takes a string of 1 to {MAX_STRING} characters", key=key)
    return argument


_OPERATORS: dict[str, Callable[[Any, Key], Predicate]] = {
    "prefix": _prefix,
    "suffix": _suffix,
    "wildcard": _wildcard,
    "equals-ignore-case": _equals_ignore_case,
    "numeric": _numeric,
    "cidr": _cidr,
}
