"""Rules (core/controller/Rules.scala). Whether a rule is active is kept with its trigger."""

from __future__ import annotations

import msgspec

from faasctl.local.openwhisk import spray
from faasctl.local.openwhisk.api.query import Page, boolean
from faasctl.local.openwhisk.api.request import Request
from faasctl.local.openwhisk.bodies import Reader, RulePut, read_status
from faasctl.local.openwhisk.entities import Action, Parameters, ReducedRule, Rule, Trigger, Version
from faasctl.local.openwhisk.entitlement import own, use_action
from faasctl.local.openwhisk.errors import ApiError, bad_request, conflict, too_large
from faasctl.local.openwhisk.host import Host
from faasctl.local.openwhisk.http import TEXT, Reply
from faasctl.local.openwhisk.names import FullName
from faasctl.local.openwhisk.resolve import resolve_name
from faasctl.local.openwhisk.store import Store

ACTIVE = "active"
INACTIVE = "inactive"


def list_all(host: Host, request: Request, namespace: str) -> Reply:
    page = Page(request.call, "rules")
    rules = host.store.list(Rule, namespace, within=False)
    if page.count:
        return Reply(200, {"rules": page.remaining(rules)})
    return Reply(200, [rule.summary for rule in page.of(rules)])


def get(host: Host, request: Request, name: FullName) -> Reply:
    own(request.identity.namespace, name)
    rule = host.store.get(Rule, name)
    return Reply(200, rule.document(_status(host.store, rule)))


def put(host: Host, request: Request, name: FullName) -> Reply:
    own(request.identity.namespace, name)
    content = spray.body(request.call)
    reader = Reader(host.settings, request.identity.namespace)
    reader.check_sizes(content)
    overwrite = boolean(request.call, "overwrite")
    change = reader.rule(content)
    if change.trigger is not None:
        own(request.identity.namespace, change.trigger)
    if change.action is not None:
        use_action(host.store, request.identity.namespace, change.action)
    old = host.store.find(Rule, name)
    if old is not None and not overwrite:
        raise conflict("resource already exists")
    rule = _create(host.store, name, change) if old is None else _update(host.store, old, change)
    return Reply(200, rule.document(_status(host.store, rule) if overwrite else ACTIVE))


def post(host: Host, request: Request, name: FullName) -> Reply:
    """Switch it on or off."""
    own(request.identity.namespace, name)
    if len(request.call.body) > host.settings.payload_size:
        raise too_large("Request", len(request.call.body), host.settings.payload_size)
    status = read_status(spray.body(request.call))
    rule = host.store.get(Rule, name)
    if status != _status(host.store, rule):
        trigger = _trigger(host.store, rule.trigger)
        if trigger is None:
            raise ApiError(404, "Only rules with existing triggers can be activated")
        host.store.link(trigger.with_rule(name, ReducedRule(action=rule.action, status=status)))
    return Reply(200, b"OK", content_type=TEXT)


def delete(host: Host, request: Request, name: FullName) -> Reply:
    own(request.identity.namespace, name)
    rule = host.store.get(Rule, name)
    trigger = _trigger(host.store, rule.trigger)
    if trigger is not None:
        host.store.link(trigger.with_rule(name, None))
    host.store.delete(rule)
    return Reply(200, rule.document(INACTIVE))


def _trigger(store: Store, name: FullName) -> Trigger | None:
    return store.find(Trigger, name)


def _status(store: Store, rule: Rule) -> str:
    trigger = _trigger(store, rule.trigger)
    link = (trigger.rules or {}).get(str(rule.full_name)) if trigger else None
    return link.status if link else INACTIVE


def _create(store: Store, name: FullName, change: RulePut) -> Rule:
    if change.trigger is None or change.action is None:
        raise bad_request("rule requires a valid trigger and a valid action")
    trigger = _checked(store, change.trigger, change.action)
    rule = store.put(
        Rule(
            path=name.path,
            name=name.name,
            trigger=change.trigger,
            action=change.action,
            version=change.version or Version(),
            publish=change.publish or False,
            annotations=change.annotations or Parameters(),
        )
    )
    store.link(trigger.with_rule(name, ReducedRule(action=change.action, status=ACTIVE)))
    return rule


def _update(store: Store, old: Rule, change: RulePut) -> Rule:
    status = _status(store, old)
    trigger_name = change.trigger or old.trigger
    action = change.action or old.action
    trigger = _checked(store, trigger_name, action)
    former = _trigger(store, old.trigger) if trigger_name != old.trigger else None
    if former is not None:
        store.link(former.with_rule(old.full_name, None))
    store.link(trigger.with_rule(old.full_name, ReducedRule(action=action, status=status)))
    return store.put(
        msgspec.structs.replace(
            old,
            trigger=trigger_name,
            action=action,
            version=change.version or old.version.next(),
            publish=old.publish if change.publish is None else change.publish,
            annotations=old.annotations if change.annotations is None else change.annotations,
        )
    )


def _checked(store: Store, trigger_name: FullName, action: FullName) -> Trigger:
    """The trigger, if both exist."""
    trigger = store.find(Trigger, trigger_name)
    if trigger is None:
        raise bad_request(f"trigger /{trigger_name} does not exist")
    try:
        store.get(Action, resolve_name(store, action))
    except ApiError as error:
        raise bad_request(f"action /{action} does not exist") if error.status == 404 else error from None
    return trigger
