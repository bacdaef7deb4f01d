"""The registry of functions, written: a function is an action ``<namespace>/<name>`` in OpenWhisk.

How it is read is `eventflow.registry`; the two agree on the annotations ``faas`` and ``faas-push``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import msgspec

from eventflow import function as functions
from eventflow.clients.openwhisk import Conflict, NotFound
from eventflow.errors import FaasError
from eventflow.function import Function
from eventflow.registry import PUSH, SPEC, registered
from faasctl.functions.package import Package


class Entities(Protocol):
    """What is needed of OpenWhisk: `eventflow.clients.openwhisk.OpenWhisk`."""

    def get(self, collection: str, name: str = "", **query: str | int) -> Any: ...

    def put(self, collection: str, name: str, body: Mapping[str, Any], *, overwrite: bool = False) -> Any: ...

    def delete(self, collection: str, name: str, **query: str | int) -> Any: ...

    def pages(self, collection: str) -> Iterator[dict[str, Any]]: ...


class NoFunction(FaasError):
    """There is no function of that name in the registry."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A function as the registry has it; ``problem`` says why one does not count, and then it has no ``spec``."""

    name: str
    version: str
    code: str | None
    by: str | None
    commit: str | None
    at: str | None
    spec: Function | None
    problem: str | None = None


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """What a push did: ``created``, ``updated`` or ``unchanged``, and each change as (key, before, after)."""

    outcome: str
    version: str
    changes: tuple[tuple[str, Any, Any], ...]


def push(
    registry: Entities, function: Function, package: Package, *, kind: str, by: str, commit: str | None, at: str
) -> Pushed:
    """Put a function into the registry; what is there already just so is left alone, with its version."""
    name = f"{function.namespace}/{function.name}"
    spec = functions.encode(function)
    present = _annotations(registry, name)
    changes = _changes(present, spec, package.code)
    if present is not None and not changes:
        return Pushed(outcome="unchanged", version=str(present["version"]), changes=())
    if present is None:
        _ensure_package(registry, function.namespace)
    provenance = {"code": package.code, "by": by, "commit": commit, "at": at}
    body = {
        "exec": {"kind": kind, "binary": True, "code": base64.b64encode(package.data).decode("ascii")},
        "annotations": [
            {"key": SPEC, "value": spec},
            {"key": PUSH, "value": provenance},
            {"key": "provide-api-key", "value": False},
        ],
    }
    stored = registry.put("actions", name, body, overwrite=present is not None)
    outcome = "created" if present is None else "updated"
    return Pushed(outcome=outcome, version=str(stored["version"]), changes=tuple(changes))


def entries(registry: Entities) -> list[Entry]:
    """Every function of the registry, by name; those that do not count say why."""
    found = [entry for row in registry.pages("actions") if (entry := _entry(row)) is not None]
    return sorted(found, key=lambda entry: entry.name)


def entry(registry: Entities, full_name: str) -> Entry:
    """One function by its full name; raises `NoFunction`."""
    action = _action_name(full_name)
    try:
        found = _entry(registry.get("actions", action, code="false"))
    except NotFound:
        found = None
    if found is None:
        raise NoFunction(f"there is no function {full_name!r}", hint="faasctl fn list shows those there are")
    return found


def remove(registry: Entities, full_name: str) -> Entry:
    """Take a function out of the registry; returns what it was. Raises `NoFunction`."""
    was = entry(registry, full_name)
    registry.delete("actions", _action_name(full_name))
    return was


def _action_name(full_name: str) -> str:
    namespace, dot, name = full_name.partition(".")
    if not (namespace and dot and name) or "/" in full_name:
        raise NoFunction(f"{full_name!r} is no function's name", hint="write namespace.name, as belle.calibrate")
    return f"{namespace}/{name}"


def _entry(row: Mapping[str, Any]) -> Entry | None:
    """The function of an action's row, ``None`` for another action."""
    annotations = {item["key"]: item.get("value") for item in row.get("annotations", ())}
    if SPEC not in annotations:
        return None
    spec, problem = None, None
    try:
        found = registered(row)
        spec = found[0] if found else None
    except FaasError as error:
        problem = str(error)
    push_record = annotations.get(PUSH)
    record = push_record if isinstance(push_record, dict) else {}
    text = {key: value if isinstance(value := record.get(key), str) else None for key in ("code", "by", "commit", "at")}
    name = f"{str(row['namespace']).partition('/')[2]}.{row['name']}"
    return Entry(name=name, version=str(row["version"]), spec=spec, problem=problem, **text)


def _annotations(registry: Entities, name: str) -> dict[str, Any] | None:
    try:
        action = registry.get("actions", name, code="false")
    except NotFound:
        return None
    found = {item["key"]: item.get("value") for item in action.get("annotations", ())}
    return {"version": action["version"], SPEC: found.get(SPEC), PUSH: found.get(PUSH)}


def _ensure_package(registry: Entities, namespace: str) -> None:
    try:
        registry.put("packages", namespace, {})
    except Conflict:  # it is there
        return


def _changes(present: Mapping[str, Any] | None, spec: Mapping[str, Any], code: str) -> list[tuple[str, Any, Any]]:
    if present is None:
        return []
    before = _flat(present[SPEC]) if isinstance(present[SPEC], dict) else {}
    after = _flat(spec)
    pushed = present[PUSH] if isinstance(present[PUSH], dict) else {}
    before["code"], after["code"] = pushed.get("code"), code
    keys = sorted(before.keys() | after.keys())
    return [(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)]


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, dict) and inner:
            flat.update(_flat(inner, f"{prefix}{name}."))
        else:
            flat[prefix + name] = inner
    return flat
