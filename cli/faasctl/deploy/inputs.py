"""The ``inputs`` of a manifest: `k: v`, or `k: {type, value, default, required, ...}` (parsers/parameters.go)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from eventflow.spec import Key, SpecError, nearest
from faasctl.decoding import decode
from faasctl.deploy.interpolation import hidden, interpolate_tree, is_hidden, plain
from faasctl.deploy.model import Parameter

_ALIASES = {
    "string": "string",
    "float": "float",
    "float32": "float",
    "float64": "float",
    "boolean": "boolean",
    "bool": "boolean",
    "integer": "integer",
    "int": "integer",
    "int8": "integer",
    "int16": "integer",
    "int32": "integer",
    "int64": "integer",
    "json": "json",
    "map": "json",
    "slice": "slice",
}
_ZERO: dict[str, Any] = {"string": "", "integer": 0, "float": 0.0, "boolean": False, "json": {}, "slice": []}


class InputPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An input in the long form. ``description``, ``status`` and ``schema`` are for readers."""

    type: str | None = None
    value: Any = None
    default: Any = None
    required: bool = False
    description: str | None = None
    status: str | None = None
    schema: Any = None


def resolve_inputs(inputs: Mapping[str, Any], variables: Mapping[str, Any], key: Key) -> dict[str, Parameter]:
    """The parameters that inputs stand for; raises `SpecError` for what is undefined, missing or of a wrong type."""
    resolved = {}
    for name, source in inputs.items():
        value = _resolve(source, variables, (*key, name))
        resolved[name] = Parameter(value=plain(value), secret=is_hidden(value))
    return resolved


def _resolve(source: Any, variables: Mapping[str, Any], key: Key) -> Any:
    if not isinstance(source, dict):
        if isinstance(source, str) and source in ("string", "integer", "float", "boolean", "json"):
            return _ZERO[source]  # `k: string` declares an input without a value
        return interpolate_tree("" if source is None else source, variables, key)
    part = _long_form(source, key)
    kind = _kind(part, key)
    value = part.value if part.value is not None else part.default
    if value is None:
        if part.required:
            hint = "give it a value here or in the deployment file"
            raise SpecError("is required and has no value", key=key, hint=hint)
        return _ZERO[kind or "string"]
    value = interpolate_tree(value, variables, (*key, "value"))
    return _typed(value, kind, (*key, "value")) if kind else value


def _long_form(source: dict[str, Any], key: Key) -> InputPart:
    try:
        return decode(source, InputPart)
    except SpecError as error:
        hint = f"{error.hint}; a JSON object is written {{type: json, value: {{...}}}}"
        raise SpecError(error.why, key=(*key, *error.key), hint=hint) from None


def _kind(part: InputPart, key: Key) -> str | None:
    if part.type is None:
        return None
    if part.type not in _ALIASES:
        raise SpecError(
            f"{part.type!r} is no type of an input", key=(*key, "type"), hint=nearest(part.type, list(_ALIASES))
        )
    return _ALIASES[part.type]


def _typed(value: Any, kind: str, key: Key) -> Any:
    """``value`` as its declared type; text from a variable is read as that type."""
    if isinstance(value, str) and kind != "string":
        try:
            value = hidden(json.loads(value)) if is_hidden(value) else json.loads(value)
        except ValueError:
            raise SpecError(f"is text and no {kind}", key=key) from None
    fits = {
        "string": isinstance(value, str),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
        "json": isinstance(value, dict | list),
        "slice": isinstance(value, list),
    }
    if not fits[kind]:
        raise SpecError(f"is of type {type(value).__name__} and not {kind}", key=key)
    return value
