"""The registry of functions, as people see and change it: a function is an action ``<namespace>/<name>`` in OpenWhisk.

How the pipeline reads it is `eventflow.registry`; the two agree on the annotations ``faas`` (the spec), ``faas-push``
(what was pushed, by whom) and ``faas-state`` (whether it is paused).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol

import msgspec

from eventflow import function as functions
from eventflow.clients.openwhisk import Conflict, NotFound
from eventflow.errors import FaasError
from eventflow.function import Function
from eventflow.registry import PUSH, SPEC, STATE, paused, registered


class Entities(Protocol):
    """What is needed of OpenWhisk: `eventflow.clients.openwhisk.OpenWhisk`."""

    def get(self, collection: str, name: str = "", /, **query: str | int) -> Any: ...

    def put(self, collection: str, name: str, body: Mapping[str, Any], *, overwrite: bool = False) -> Any: ...

    def delete(self, collection: str, name: str, **query: str | int) -> Any: ...

    def pages(self, collection: str) -> Iterator[dict[str, Any]]: ...


class NoFunction(FaasError):
    """There is no function of that name in the registry."""


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Who pushed, from which commit (of which GitLab project), when (RFC 3339)."""

    by: str | None = None
    commit: str | None = None
    project: str | None = None
    at: str | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A function as the registry has it; ``problem`` says why one does not count, and then it has no ``spec``."""

    name: str
    version: str
    code: str | None
    pushed: Provenance
    paused: Literal["park", "drop"] | None
    spec: dict[str, Any] | None
    problem: str | None = None


Change = tuple[str, Any, Any]
"""What is different: key, before, after."""


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """What a push did, or would do: ``created``, ``updated`` or ``unchanged``; ``version`` is what the registry has
    afterwards (before, for one that is only planned)."""

    outcome: Literal["created", "updated", "unchanged"]
    version: str | None
    changes: tuple[Change, ...] = ()
    paused: Literal["park", "drop"] | None = None


class Code(msgspec.Struct, frozen=True):
    """The zip of a function, and its SHA-256 as ``sha256:<hex>``."""

    data: bytes
    digest: str


def plan(registry: Entities, function: Function, digest: str) -> Pushed:
    """What a push would do."""
    present = _action(registry, f"{function.namespace}/{function.name}")
    if present is None:
        return Pushed(outcome="created", version=None)
    changes = tuple(_changes(present, functions.encode(function), digest))
    outcome: Literal["updated", "unchanged"] = "updated" if changes else "unchanged"
    return Pushed(outcome=outcome, version=str(present["version"]), changes=changes, paused=paused(present))


def push(registry: Entities, function: Function, code: Code, provenance: Provenance, *, kind: str) -> Pushed:
    """Put a function into the registry; what is there already just so is left alone, with its version.

    A paused function stays paused: OpenWhisk merges annotations at an update.
    """
    planned = plan(registry, function, code.digest)
    if planned.outcome == "unchanged":
        return planned
    if planned.outcome == "created":
        _ensure_package(registry, function.namespace)
    record = {"code": code.digest, **msgspec.to_builtins(provenance)}
    body: dict[str, Any] = {
        "exec": {"kind": kind, "binary": True, "code": base64.b64encode(code.data).decode("ascii")},
        "annotations": [
            {"key": SPEC, "value": functions.encode(function)},
            {"key": PUSH, "value": record},
            {"key": "provide-api-key", "value": False},
        ],
    }
    if function.run.backend == "openwhisk":
        needs = function.resources
        body["limits"] = {"timeout": functions.LIGHT_TIMEOUT_MS, "memory": max(128, needs.memory // 2**20)}
    name = f"{function.namespace}/{function.name}"
    stored = registry.put("actions", name, body, overwrite=planned.outcome == "updated")
    return msgspec.structs.replace(planned, version=str(stored["version"]))


def pause(registry: Entities, full_name: str, how: Literal["park", "drop"] | None) -> Entry:
    """Pause a function (its events are parked, or dropped), or with ``None`` let it go on; returns what it is then.

    Raises `NoFunction`.
    """
    entry(registry, full_name)
    state = {"key": STATE, "value": {"paused": how}}
    registry.put("actions", _action_name(full_name), {"annotations": [state]}, overwrite=True)
    return entry(registry, full_name)


def entries(registry: Entities, after: str = "") -> Iterator[Entry]:
    """The functions of the registry behind the name ``after``, by name; those that do not count say why.

    Each is decoded when it is asked for: of thousands, a page needs some.
    """
    named = ((_full_name(row), row) for row in registry.pages("actions"))
    for _, row in sorted(((name, row) for name, row in named if name > after), key=lambda pair: pair[0]):
        found = _entry(row)
        if found is not None:
            yield found


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


def _full_name(row: Mapping[str, Any]) -> str:
    return f"{str(row['namespace']).partition('/')[2]}.{row['name']}"


def _entry(row: Mapping[str, Any]) -> Entry | None:
    """The function of an action's row, ``None`` for another action."""
    annotations = _annotations(row)
    if SPEC not in annotations:
        return None
    spec, problem = None, None
    try:
        found = registered(row)
        spec = functions.encode(found[0]) if found else None
    except FaasError as error:
        problem = str(error)
    record = annotations.get(PUSH)
    texts = {key: value for key, value in record.items() if isinstance(value, str)} if isinstance(record, dict) else {}
    return Entry(
        name=_full_name(row),
        version=str(row["version"]),
        code=texts.get("code"),
        pushed=Provenance(**{name: texts.get(name) for name in Provenance.__struct_fields__}),
        paused=paused(row),
        spec=spec,
        problem=problem,
    )


def _annotations(action: Mapping[str, Any]) -> dict[str, Any]:
    return {item["key"]: item.get("value") for item in action.get("annotations", ())}


def _action(registry: Entities, name: str) -> dict[str, Any] | None:
    try:
        return dict(registry.get("actions", name, code="false"))
    except NotFound:
        return None


def _ensure_package(registry: Entities, namespace: str) -> None:
    try:
        registry.put("packages", namespace, {})
    except Conflict:  # it is there
        return


def _changes(present: Mapping[str, Any], spec: Mapping[str, Any], digest: str) -> list[Change]:
    annotations = _annotations(present)
    old, pushed = annotations.get(SPEC), annotations.get(PUSH)
    before = _flat(old) if isinstance(old, dict) else {}
    after = _flat(spec)
    before["code"] = pushed.get("code") if isinstance(pushed, dict) else None
    after["code"] = digest
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
