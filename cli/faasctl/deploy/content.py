"""An entity's content in one flat form, wanted or found, so that the two can be compared field by field.

A field is ``kind``, ``limits.timeout``, ``parameters.FAAS_POOL``; its value is JSON. What OpenWhisk adds by itself
(the annotation `exec`, the parameters of the package) is left out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from faasctl.deploy.model import Action, Entity, Package, Parameter, Rule, Sequence, Trigger

Content = dict[str, Any]
OWNER = "faas-managed"
"""The annotation that says which project owns an entity, and which content it was given."""

FEED_INPUTS = "feed inputs"

_SERVERS_OWN = {OWNER, "exec", "binding"}


def wanted(entity: Entity) -> Content:
    """The content of a desired entity."""
    match entity:
        case Package():
            content = {"public": entity.public, "binding": entity.binding, **_parameters(entity.parameters)}
        case Action():
            content = {
                "kind": entity.kind,
                "code": entity.code.digest if entity.code else None,
                "main": entity.main,
                "image": entity.image,
                "limits.timeout": entity.limits.timeout,
                "limits.memory": entity.limits.memory,
                "limits.logs": entity.limits.logs,
                **_parameters(entity.parameters),
            }
        case Sequence():
            content = {"kind": "sequence", "components": list(entity.components)}
        case Trigger():
            feed = entity.feed.action if entity.feed else None
            content = {"feed": feed, **_parameters(entity.parameters), **feed_inputs(entity)}
        case Rule():
            content = {"trigger": entity.trigger, "action": entity.action, "status": "active"}
    return content | {f"annotations.{name}": value for name, value in _annotations(entity).items()}


def feed_inputs(entity: Entity) -> Content:
    """What a trigger's feed is called with: known to the feed alone, never told by OpenWhisk."""
    if not isinstance(entity, Trigger) or entity.feed is None:
        return {}
    return {f"{FEED_INPUTS}.{name}": parameter.value for name, parameter in entity.feed.parameters.items()}


def found(collection: str, row: Mapping[str, Any], package: Mapping[str, Any] | None = None) -> Content:
    """The content of an entity as OpenWhisk tells it; ``package`` is the row of the action's package.

    ``code`` is the digest of the code when the row has it.
    """
    annotations = {item["key"]: item["value"] for item in row.get("annotations", [])}
    content: Content = {}
    if collection == "packages":
        binding = row.get("binding") or {}
        whole = f"/{binding['namespace']}/{binding['name']}" if binding else None
        content = {"public": row.get("publish", False), "binding": whole}
    elif collection == "actions":
        content = _found_action(row)
    elif collection == "triggers":
        content = {"feed": annotations.pop("feed", None)}
    elif collection == "rules":
        content = {end: _whole(row[end]) for end in ("trigger", "action")} | {"status": row.get("status")}
    inherited = {item["key"]: item["value"] for item in (package or {}).get("parameters", [])}
    if content.get("kind") != "sequence":
        for item in row.get("parameters", []):
            if item["key"] not in inherited or inherited[item["key"]] != item["value"]:
                content[f"parameters.{item['key']}"] = _parameter(item["value"], init=item.get("init", False))
    names = annotations.keys() - _SERVERS_OWN
    return content | {f"annotations.{name}": annotations[name] for name in names}


def _found_action(row: Mapping[str, Any]) -> Content:
    execution = row["exec"]
    if execution["kind"] == "sequence":
        return {"kind": "sequence", "components": list(execution["components"])}
    limits = row["limits"]
    code = execution.get("code")
    return {
        "kind": execution["kind"],
        "code": hashlib.sha256(code.encode()).hexdigest() if isinstance(code, str) else None,
        "main": execution.get("main"),
        "image": execution.get("image"),
        "limits.timeout": limits["timeout"],
        "limits.memory": limits["memory"],
        "limits.logs": limits["logs"],
    }


def fingerprint(content: Content, key: str) -> str:
    """A digest of a content, keyed with the namespace's key: whoever lacks it cannot try out passwords against it."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def body(entity: Entity, owner: Mapping[str, Any]) -> dict[str, Any]:
    """What is PUT for an entity, with ``owner`` as its `OWNER` annotation."""
    annotations = _annotations(entity)
    if isinstance(entity, Trigger) and entity.feed:
        annotations["feed"] = entity.feed.action
    result: dict[str, Any] = {
        "annotations": [{"key": key, "value": value} for key, value in {**annotations, OWNER: dict(owner)}.items()]
    }
    match entity:
        case Package():
            result["publish"] = entity.public
            if entity.binding:
                _, space, name = entity.binding.split("/")
                result["binding"] = {"namespace": space, "name": name}
        case Action():
            execution: dict[str, Any] = {"kind": entity.kind}
            execution |= {"code": entity.code.text} if entity.code else {}
            execution |= {"main": entity.main} if entity.main else {}
            execution |= {"image": entity.image} if entity.image else {}
            limits = entity.limits
            result["exec"] = execution
            result["limits"] = {"timeout": limits.timeout, "memory": limits.memory, "logs": limits.logs}
        case Sequence():
            result["exec"] = {"kind": "sequence", "components": list(entity.components)}
        case Rule():
            result |= {"trigger": entity.trigger, "action": entity.action}
    if isinstance(entity, Package | Action | Trigger):
        result["parameters"] = [
            {"key": name, "value": p.value, **({"init": True} if p.init else {})}
            for name, p in sorted(entity.parameters.items())
        ]
    return result


def secret_fields(entity: Entity) -> set[str]:
    """The fields of a desired entity whose values are never shown."""
    fields: set[str] = set()
    if isinstance(entity, Package | Action | Trigger):
        fields |= {f"parameters.{name}" for name, p in entity.parameters.items() if p.secret}
    if isinstance(entity, Trigger) and entity.feed:
        fields |= {f"{FEED_INPUTS}.{name}" for name, p in entity.feed.parameters.items() if p.secret}
    return fields


def same_kind(wanted_kind: str, found_kind: str) -> bool:
    """Whether a kind is the wanted one; `python:default` is stored as the version that it stood for."""
    family, _, version = wanted_kind.partition(":")
    return wanted_kind == found_kind or (version == "default" and found_kind.partition(":")[0] == family)


def _annotations(entity: Entity) -> dict[str, Any]:
    """The annotations of an entity; an action holds no key of the namespace unless its manifest asks for it."""
    own = {"provide-api-key": False} if isinstance(entity, Action | Sequence) else {}
    return {**own, **entity.annotations}


def _parameters(parameters: Mapping[str, Parameter]) -> Content:
    return {f"parameters.{name}": _parameter(p.value, init=p.init) for name, p in parameters.items()}


def _parameter(value: Any, *, init: bool) -> Any:
    return {"init": value} if init else value


def _whole(reference: Mapping[str, str] | str) -> str:
    """A rule's end, which OpenWhisk tells as ``{"path": "guest/faas", "name": "process"}``."""
    return reference if isinstance(reference, str) else f"/{reference['path']}/{reference['name']}"
