"""A trigger is fired: its rules' actions are invoked, and what became of each is logged (controller/Triggers.scala)."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from faasctl.local.openwhisk.activations import (
    APPLICATION_ERROR,
    SUCCESS,
    WHISK_ERROR,
    Activation,
    ActivationStore,
    Response,
)
from faasctl.local.openwhisk.auth import Identity
from faasctl.local.openwhisk.entities import ReducedRule, Trigger
from faasctl.local.openwhisk.errors import ApiError
from faasctl.local.openwhisk.names import FullName

Json = Any
Post = Callable[[Identity, FullName, Mapping[str, Json]], Awaitable[str]]
"""Invokes an action without waiting for it, as a request of its own: caller, action, arguments -> activation id."""


def active(trigger: Trigger) -> bool:
    """Whether firing it does anything at all."""
    return any(rule.status == "active" for rule in (trigger.rules or {}).values())


def arguments(trigger: Trigger, headers: Mapping[str, str], payload: Mapping[str, Json]) -> dict[str, Json]:
    """What the actions get: also the headers of the request that fired the trigger, its credentials included."""
    return {**trigger.parameters.arguments, "__ow_headers": dict(headers), **payload}


async def fire(
    activation_id: str,
    identity: Identity,
    trigger: Trigger,
    headers: Mapping[str, str],
    payload: Mapping[str, Json],
    post: Post,
    activations: ActivationStore,
) -> None:
    """Invoke the actions of all active rules, then keep the trigger's own activation."""
    start = round(time.time() * 1000)
    given = arguments(trigger, headers, payload)
    logs = [await _activate(identity, name, rule, given, post) for name, rule in (trigger.rules or {}).items()]
    activations.add(
        Activation(
            namespace=identity.namespace,
            name=trigger.name,
            path=trigger.name,
            subject=identity.namespace,
            id=activation_id,
            start=start,
            version=str(trigger.version),
            response=Response(code=SUCCESS, result=dict(payload)),
            logs=tuple(json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in logs),
        )
    )


async def _activate(
    identity: Identity, name: str, rule: ReducedRule, given: Mapping[str, Json], post: Post
) -> dict[str, Json]:
    told = {"rule": name, "action": str(rule.action)}
    if rule.status != "active":
        why = f"Rule '{name}' is inactive, action '{rule.action}' was not activated."
        return {"statusCode": APPLICATION_ERROR, "success": False, "rule": name, "error": why, "action": told["action"]}
    try:
        activation_id = await post(identity, rule.action, given)
    except ApiError as error:
        code = WHISK_ERROR if error.status >= 500 else APPLICATION_ERROR
        return {"statusCode": code, "success": False, "rule": name, "error": error.text, "action": told["action"]}
    return {"statusCode": SUCCESS, "success": True, "activationId": activation_id, **told}
