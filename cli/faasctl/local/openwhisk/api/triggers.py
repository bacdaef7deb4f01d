"""Triggers (core/controller/Triggers.scala)."""

from __future__ import annotations

import msgspec

from faasctl.local.openwhisk import spray
from faasctl.local.openwhisk.api.actions import ACTIVATION_ID
from faasctl.local.openwhisk.api.query import Page, boolean
from faasctl.local.openwhisk.api.request import Request
from faasctl.local.openwhisk.bodies import Reader, TriggerPut
from faasctl.local.openwhisk.entities import Parameters, Trigger, Version
from faasctl.local.openwhisk.entitlement import own
from faasctl.local.openwhisk.errors import bad_request, conflict, too_large
from faasctl.local.openwhisk.fire import active, fire
from faasctl.local.openwhisk.host import Host
from faasctl.local.openwhisk.http import Reply
from faasctl.local.openwhisk.names import SEGMENT, FullName, new_activation_id


def list_all(host: Host, request: Request, namespace: str) -> Reply:
    page = Page(request.call, "triggers")
    triggers = host.store.list(Trigger, namespace, within=False)
    if page.count:
        return Reply(200, {"triggers": page.remaining(triggers)})
    return Reply(200, [trigger.summary for trigger in page.of(triggers)])


def get(host: Host, request: Request, name: FullName) -> Reply:
    own(request.identity.namespace, name)
    return Reply(200, host.store.get(Trigger, name).document)


def put(host: Host, request: Request, name: FullName) -> Reply:
    own(request.identity.namespace, name)
    content = spray.body(request.call)
    reader = Reader(host.settings, request.identity.namespace)
    reader.check_sizes(content)
    overwrite = boolean(request.call, "overwrite")
    change = reader.trigger(content)
    old = host.store.find(Trigger, name)
    if old is not None and not overwrite:
        raise conflict("resource already exists")
    new = _created(name, change) if old is None else _updated(old, change)
    return Reply(200, host.store.put(new).document)


def delete(host: Host, request: Request, name: FullName) -> Reply:
    """Its rules stay, without a trigger."""
    own(request.identity.namespace, name)
    trigger = host.store.get(Trigger, name)
    host.store.delete(trigger)
    return Reply(200, trigger.document)


async def post(host: Host, request: Request, name: FullName) -> Reply:
    """Fire: 204 and no record when no rule is active, else 202 before any action has run."""
    host.throttle.check_fire(request.identity.namespace)
    own(request.identity.namespace, name)
    if len(request.call.body) > host.settings.payload_size:
        raise too_large("Request", len(request.call.body), host.settings.payload_size)
    payload = spray.optional_object(request.call)
    trigger = host.store.get(Trigger, name)
    if not active(trigger):
        return Reply(204, None)
    activation_id = new_activation_id()
    headers = request.call.seen_headers
    host.spawn(fire(activation_id, request.identity, trigger, headers, payload, host.post, host.activations))
    return Reply(202, {"activationId": activation_id}, headers={ACTIVATION_ID: activation_id})


def _created(name: FullName, change: TriggerPut) -> Trigger:
    annotations = change.annotations or Parameters()
    if "feed" in annotations.keys:
        feed = annotations.get("feed")
        parts = [part for part in feed.split("/") if part] if isinstance(feed, str) else []
        if not parts or not all(SEGMENT.match(part) for part in parts):
            raise bad_request("Feed name is not valid")
    return Trigger(
        path=name.path,
        name=name.name,
        parameters=change.parameters or Parameters(),
        limits=change.limits or {},
        version=change.version or Version(),
        publish=change.publish or False,
        annotations=annotations,
    )


def _updated(old: Trigger, change: TriggerPut) -> Trigger:
    """Parameters and annotations are replaced as a whole; rules stay."""
    return msgspec.structs.replace(
        old,
        parameters=old.parameters if change.parameters is None else change.parameters,
        limits=old.limits if change.limits is None else change.limits,
        version=change.version or old.version.next(),
        publish=old.publish if change.publish is None else change.publish,
        annotations=old.annotations if change.annotations is None else change.annotations,
    )
