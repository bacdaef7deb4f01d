"""Strict decoding into structs, whatever is nested in whatever: the first thing wrong is named by its key."""

from __future__ import annotations

import functools
import operator
import types
from collections.abc import Callable
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from eventflow.spec import Key, SpecError, key_text, nearest

T = TypeVar("T", bound=msgspec.Struct)
Hook = Callable[[type, Any], Any]


def no_hook(kind: type, value: Any) -> Any:
    """For models that hold nothing but what msgspec knows."""
    raise NotImplementedError(kind)


def decode(tree: Any, model: type[T], hook: Hook = no_hook) -> T:
    """Decode ``tree`` as ``model``; ``hook`` makes the types msgspec does not know. Raises `SpecError`."""
    _check(tree, model, (), hook)
    return msgspec.convert(tree, model, dec_hook=hook)


def _check(value: Any, expected: Any, key: Key, hook: Hook) -> None:
    origin = get_origin(expected)
    if origin in (Union, types.UnionType):
        _check_union(value, get_args(expected), key, hook)
    elif isinstance(expected, type) and issubclass(expected, msgspec.Struct):
        _check_struct(value, expected, key, hook)
    elif origin is dict:
        _check_kind(value, dict, "a mapping", key)
        for name, inner in value.items():
            _check_leaf(name, get_args(expected)[0], key, hook)
            _check(inner, get_args(expected)[1], (*key, name), hook)
    elif origin is tuple:
        _check_kind(value, list, "a list", key)
        for index, inner in enumerate(value):
            _check(inner, get_args(expected)[0], (*key, index), hook)
    else:
        _check_leaf(value, expected, key, hook)


def _check_union(value: Any, members: tuple[Any, ...], key: Key, hook: Hook) -> None:
    if value is None and type(None) in members:
        return
    structs = {m.__struct_config__.tag: m for m in members if isinstance(m, type) and issubclass(m, msgspec.Struct)}
    if isinstance(value, dict) and structs:
        tag_field = next(iter(structs.values())).__struct_config__.tag_field
        if tag_field is None:
            _check_struct(value, next(iter(structs.values())), key, hook)
            return
        tag = value.get(tag_field)
        if tag not in structs:
            why = f"{tag!r} is no {tag_field}" if tag_field in value else f"{tag_field!r} is missing"
            raise SpecError(why, key=(*key, tag_field), hint=nearest(str(tag), [str(t) for t in structs]))
        rest = {name: inner for name, inner in value.items() if name != tag_field}
        _check_struct(rest, structs[tag], key, hook)
        return
    for member in members:
        if (get_origin(member), type(value)) in ((tuple, list), (dict, dict)):
            _check(value, member, key, hook)
            return
    scalars = [member for member in members if get_origin(member) not in (tuple, dict)]
    _check_leaf(value, functools.reduce(operator.or_, scalars), key, hook)


def _check_struct(value: Any, model: type[msgspec.Struct], key: Key, hook: Hook) -> None:
    _check_kind(value, dict, "a mapping", key)
    fields = {field.encode_name: field for field in msgspec.structs.fields(model)}
    hints = get_type_hints(model)
    for name, inner in value.items():
        if name not in fields:
            raise SpecError(f"unknown key {name!r}", key=(*key, name), hint=nearest(str(name), list(fields)))
        _check(inner, hints[fields[name].name], (*key, name), hook)
    for name, field in fields.items():
        if field.required and name not in value:
            raise SpecError(f"{name!r} is missing", key=key, hint=f"add {key_text((*key, name))}: ...")


def _check_kind(value: Any, kind: type, name: str, key: Key) -> None:
    if not isinstance(value, kind):
        raise SpecError(f"must be {name}, not {type(value).__name__}", key=key)


def _check_leaf(value: Any, expected: Any, key: Key, hook: Hook) -> None:
    try:
        msgspec.convert(value, expected, dec_hook=hook)
    except msgspec.ValidationError as error:
        why = str(error)
        raise SpecError(why[:1].lower() + why[1:], key=key) from None
