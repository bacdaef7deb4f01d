"""Actions (core/controller/Actions.scala)."""

from __future__ import annotations

import msgspec

from faasctl.local.openwhisk import spray
from faasctl.local.openwhisk.activations import APPLICATION_ERROR, DEVELOPER_ERROR, SUCCESS, Activation
from faasctl.local.openwhisk.api.query import Page, boolean
from faasctl.local.openwhisk.api.request import Request
from faasctl.local.openwhisk.bodies import ActionPut, Reader, merged_limits
from faasctl.local.openwhisk.entities import (
    Action,
    Exec,
    Limits,
    Package,
    Parameter,
    Parameters,
    Version,
)
from faasctl.local.openwhisk.entitlement import own, read_package, use_action, use_actions
from faasctl.local.openwhisk.errors import bad_request, conflict, malformed_query, too_large
from faasctl.local.openwhisk.host import Host
from faasctl.local.openwhisk.http import Reply
from faasctl.local.openwhisk.names import FullName
from faasctl.local.openwhisk.resolve import check_sequence, package_of, resolve
from faasctl.local.openwhisk.settings import Range, Settings

ACTIVATION_ID = "x-openwhisk-activation-id"
NOT_ON_BINDING = "Operation not permitted on package binding."


def list_all(host: Host, request: Request, namespace: str) -> Reply:
    """All actions of a namespace, those in packages included."""
    return _list(host, request, namespace, within=True)


def list_package(host: Host, request: Request, package: FullName) -> Reply:
    """The actions of one package, or of the one that a binding stands for."""
    read_package(host.store, request.identity.namespace, package)
    found = host.store.get(Package, package)
    path = str(found.binding) if found.binding else str(package)
    return _list(host, request, path, within=False)


def get(host: Host, request: Request, name: FullName) -> Reply:
    use_action(host.store, request.identity.namespace, name)
    code = boolean(request.call, "code", default=True)
    action, binding = resolve(host.store, name)
    return Reply(200, action.document(code=code, binding=binding))


def put(host: Host, request: Request, name: FullName) -> Reply:
    """Create or update."""
    _own(host, request, name)
    content = spray.body(request.call)
    reader = Reader(host.settings, request.identity.namespace)
    reader.check_sizes(content)
    overwrite = boolean(request.call, "overwrite")
    change = reader.action(content)
    _check_limits(host.settings, change)
    if change.exec is not None:
        use_actions(host.store, request.identity.namespace, change.exec.components or ())
    old = host.store.find(Action, name)
    if old is not None and not overwrite:
        raise conflict("resource already exists")
    exec_ = change.exec or (old.exec if old else None)
    if exec_ is None:
        raise bad_request("exec undefined")
    if change.exec is not None and change.exec.components is not None:
        check_sequence(host.store, name, change.exec.components, host.settings.sequence_length)
    new = _created(host.settings, name, change, exec_) if old is None else _updated(old, change, exec_)
    host.invoker.pool.forget(str(name))
    return Reply(200, host.store.put(new).document())


def delete(host: Host, request: Request, name: FullName) -> Reply:
    _own(host, request, name)
    action = host.store.get(Action, name)
    host.store.delete(action)
    host.invoker.pool.forget(str(name))
    return Reply(200, action.document())


async def invoke(host: Host, request: Request, name: FullName) -> Reply:
    """POST: at once with 202, or with the result when it comes within the wait."""
    host.throttle.check_invocation(request.identity.namespace)
    use_action(host.store, request.identity.namespace, name)
    if len(request.call.body) > host.settings.payload_size:
        raise too_large("Request", len(request.call.body), host.settings.payload_size)
    blocking = boolean(request.call, "blocking")
    only_result = boolean(request.call, "result")
    wait = _wait(host.settings, request.call.query.get("timeout"))
    payload = spray.optional_object(request.call)
    resolved = resolve(host.store, name)
    order = host.order(request.identity, resolved, payload, request.call.transaction, received=request.received)
    headers = {ACTIVATION_ID: order.id}
    if blocking:
        activation = await host.wait(order, wait)
        if activation is not None:
            return Reply(status_of(activation), _answer(activation, only_result), headers=headers)
    else:
        host.start(order)
    return Reply(202, {"activationId": order.id}, headers=headers)


def status_of(activation: Activation) -> int:
    """An application's error and a developer's are both a bad gateway."""
    code = activation.response.code
    return {SUCCESS: 200, APPLICATION_ERROR: 502, DEVELOPER_ERROR: 502}.get(code, 500)


def _answer(activation: Activation, only_result: bool) -> object:
    result = activation.response.result
    if only_result or isinstance(result, list):
        return result
    return activation.document(logs=activation.annotations.get("kind") == "sequence")


def _wait(settings: Settings, text: str | None) -> float:
    longest = round(settings.blocking_wait * 1000)
    if text is None:
        return settings.blocking_wait
    digits = text.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()) or not 0 < int(digits) <= longest:
        raise malformed_query("timeout", f"Timeout must be number of milliseconds up to {longest}.")
    return int(digits) / 1000


def _list(host: Host, request: Request, path: str, *, within: bool) -> Reply:
    page = Page(request.call, "actions")
    actions = host.store.list(Action, path, within=within)
    if page.count:
        return Reply(200, {"actions": page.remaining(actions)})
    return Reply(200, [action.summary for action in page.of(actions)])


def _own(host: Host, request: Request, name: FullName) -> None:
    """To write: one's own, and not through a binding."""
    own(request.identity.namespace, name)
    if name.package is not None and host.store.get(Package, package_of(name.path)).binding:
        raise bad_request(NOT_ON_BINDING)


def _check_limits(settings: Settings, change: ActionPut) -> None:
    asked = change.limits or {}
    sizes = (("memory", "memory size", " MB"), ("timeout", "duration", " milliseconds"), ("logs", "log size", " MB"))
    for name, words, unit in (*sizes, ("concurrency", "concurrency", "")):
        if name not in asked:
            continue
        allowed: Range = getattr(settings, name)
        value = asked[name]
        if value > allowed.greatest:
            why = f"{words} {value}{unit} exceeds allowed threshold of {allowed.greatest}{unit}"
            raise bad_request(f"requirement failed: {why}")
        if value < allowed.least:
            why = f"{words} {value}{unit} below allowed threshold of {allowed.least}{unit}"
            raise bad_request(f"requirement failed: {why}")


def _standard_limits(settings: Settings) -> Limits:
    return Limits(
        timeout=settings.timeout.standard,
        memory=settings.memory.standard,
        logs=settings.logs.standard,
        concurrency=settings.concurrency.standard,
    )


def _created(settings: Settings, name: FullName, change: ActionPut, exec_: Exec) -> Action:
    annotations = change.annotations or Parameters()
    if "provide-api-key" not in annotations.keys:
        annotations = annotations.merged(Parameters((Parameter(key="provide-api-key", value=False),)))
    return Action(
        path=name.path,
        name=name.name,
        exec=exec_,
        parameters=_components_parameter(exec_) or change.parameters or Parameters(),
        limits=merged_limits(_standard_limits(settings), change.limits),
        version=change.version or Version(),
        publish=change.publish or False,
        annotations=_with_kind(annotations, exec_),
    )


def _updated(old: Action, change: ActionPut, exec_: Exec) -> Action:
    """Annotations are merged, parameters replaced; what is unsaid stays (updateWhiskAction)."""
    annotations = old.annotations
    if change.del_annotations is not None and not (change.exec and change.exec.is_sequence):
        annotations = annotations.without(*change.del_annotations)
    annotations = annotations.merged(change.annotations or Parameters())
    parameters = _components_parameter(exec_)
    if parameters is None:
        parameters = change.parameters
    if parameters is None:
        parameters = Parameters() if old.exec.is_sequence else old.parameters
    return msgspec.structs.replace(
        old,
        exec=exec_,
        parameters=parameters,
        limits=merged_limits(old.limits, change.limits),
        version=change.version or old.version.next(),
        publish=old.publish if change.publish is None else change.publish,
        annotations=_with_kind(annotations, exec_),
    )


def _components_parameter(exec_: Exec) -> Parameters | None:
    """A sequence has this one parameter and no other."""
    if exec_.components is None:
        return None
    value = [f"/{component}" for component in exec_.components]
    return Parameters((Parameter(key="_actions", value=value),))


def _with_kind(annotations: Parameters, exec_: Exec) -> Parameters:
    return annotations.merged(Parameters((Parameter(key="exec", value=exec_.kind),)))
