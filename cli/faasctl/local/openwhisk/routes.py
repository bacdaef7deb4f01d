"""Which handler answers which path; whatever has none is refused as Pekko's routing refuses it."""

from __future__ import annotations

import time
from collections.abc import Callable

from faasctl.local.openwhisk.api import actions, activations, info, packages, rules, triggers, web
from faasctl.local.openwhisk.api.request import Request
from faasctl.local.openwhisk.errors import forbidden, no_route
from faasctl.local.openwhisk.host import Host
from faasctl.local.openwhisk.http import TEXT, Call, Reply
from faasctl.local.openwhisk.names import (
    DEFAULT,
    FullName,
    check_activation_id,
    check_namespace,
    check_segment,
)

COLLECTIONS = {
    "actions": actions.list_all,
    "packages": packages.list_all,
    "triggers": triggers.list_all,
    "rules": rules.list_all,
    "activations": activations.list_all,
}
ENTITIES: dict[str, dict[str, Callable[[Host, Request, FullName], Reply]]] = {
    "packages": {"GET": packages.get, "PUT": packages.put, "DELETE": packages.delete},
    "triggers": {"GET": triggers.get, "PUT": triggers.put, "DELETE": triggers.delete},
    "rules": {"GET": rules.get, "PUT": rules.put, "DELETE": rules.delete},
}


async def dispatch(host: Host, call: Call) -> Reply:
    """Answer one request; raises ApiError."""
    segments = call.segments
    if segments[:2] != ("api", "v1"):
        if call.method == "GET" and segments == ("",):
            return info.root(host.settings)
        if call.method == "GET" and segments == ("ping",):
            return info.ping()
        raise no_route()
    rest = segments[2:]
    if rest in ((), ("",)) and call.method == "GET":
        return info.api()
    if rest[:1] == ("web",):
        return await web.answer(host, call, rest[1:])
    if call.method == "OPTIONS":
        return Reply(200, b"OK", content_type=TEXT)
    request = Request(call, host.authenticator.authenticate(call.header("authorization")), time.time())
    if rest[:1] != ("namespaces",):
        raise no_route()
    return await _namespaces(host, request, rest[1:])


async def _namespaces(host: Host, request: Request, rest: tuple[str, ...]) -> Reply:
    own = request.identity.namespace
    if rest in ((), ("",)) and request.call.method == "GET":
        return Reply(200, [own])
    if len(rest) < 2:
        raise no_route()
    if rest[1] == "limits":
        if request.call.method != "GET" or len(rest) > 2:
            raise no_route()
        namespace = own if rest[0] == DEFAULT else check_namespace(rest[0])
        if namespace != own:
            raise forbidden(namespace)
        return info.limits(host.settings)
    if rest[1] not in COLLECTIONS:
        raise no_route()
    namespace = own if rest[0] == DEFAULT else check_namespace(rest[0])
    names = rest[2:]
    if names in ((), ("",)):
        if request.call.method != "GET":
            raise no_route()
        if namespace != own and rest[1] != "packages":
            raise forbidden(namespace)
        return COLLECTIONS[rest[1]](host, request, namespace)
    if rest[1] == "activations":
        return _activation(host, request, namespace, names)
    if request.call.method not in ("GET", "PUT", "DELETE", "POST"):
        raise no_route()
    if rest[1] == "actions":
        return await _action(host, request, namespace, names)
    return await _entity(host, request, rest[1], namespace, names)


def _activation(host: Host, request: Request, namespace: str, names: tuple[str, ...]) -> Reply:
    if request.call.method != "GET":
        raise no_route()
    activation_id = check_activation_id(names[0])
    if namespace != request.identity.namespace:
        raise forbidden(f"{namespace}/{activation_id}")
    part = names[1] if len(names) > 1 else ""
    if len(names) > 2 or part not in ("", "logs", "result"):
        raise no_route()
    return activations.get(host, request, namespace, activation_id, part)


async def _action(host: Host, request: Request, namespace: str, names: tuple[str, ...]) -> Reply:
    method = request.call.method
    outer = check_segment(names[0])
    if len(names) == 2 and names[1] == "":
        if method != "GET":
            raise no_route()
        return actions.list_package(host, request, FullName(namespace, outer))
    if len(names) > 2:
        raise no_route()
    name = FullName(namespace, outer) if len(names) == 1 else FullName(f"{namespace}/{outer}", check_segment(names[1]))
    if method == "POST":
        return await actions.invoke(host, request, name)
    handler = {"GET": actions.get, "PUT": actions.put, "DELETE": actions.delete}[method]
    return handler(host, request, name)


async def _entity(host: Host, request: Request, collection: str, namespace: str, names: tuple[str, ...]) -> Reply:
    method = request.call.method
    name = FullName(namespace, check_segment(names[0]))
    if len(names) > 1:
        raise no_route()
    if method == "POST":
        if collection == "packages":
            raise no_route()
        return await triggers.post(host, request, name) if collection == "triggers" else rules.post(host, request, name)
    return ENTITIES[collection][method](host, request, name)
