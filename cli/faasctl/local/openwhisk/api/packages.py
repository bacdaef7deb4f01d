"""Packages and bindings (core/controller/Packages.scala)."""

from __future__ import annotations

import msgspec

from faasctl.local.openwhisk import spray
from faasctl.local.openwhisk.api.query import Page, boolean
from faasctl.local.openwhisk.api.request import Request
from faasctl.local.openwhisk.bodies import PackagePut, Reader
from faasctl.local.openwhisk.entities import Action, Document, Package, Parameter, Parameters, Version
from faasctl.local.openwhisk.entitlement import own, read_package
from faasctl.local.openwhisk.errors import ApiError, bad_request, conflict
from faasctl.local.openwhisk.host import Host
from faasctl.local.openwhisk.http import Reply
from faasctl.local.openwhisk.names import FullName
from faasctl.local.openwhisk.resolve import package_parameters, provider

RESERVED = "default"
NO_PROVIDER = "Binding references a package that does not exist."


def list_all(host: Host, request: Request, namespace: str) -> Reply:
    """Anybody may list anybody's packages, and then sees the published ones."""
    page = Page(request.call, "packages")
    packages = host.store.list(Package, namespace, within=False)
    if namespace != request.identity.namespace:
        packages = [package for package in packages if package.publish]
    if page.count:
        return Reply(200, {"packages": page.remaining(packages)})
    return Reply(200, [package.summary for package in page.of(packages)])


def get(host: Host, request: Request, name: FullName) -> Reply:
    """With its actions and feeds; a binding shows the provider's."""
    try:
        read_package(host.store, request.identity.namespace, name)
    except ApiError as error:
        if error.status != 404:
            raise
        raise ApiError(404, f"The requested resource '{name}' does not exist.") from None
    package = host.store.get(Package, name)
    actions_of = provider(host.store, package)
    merged = msgspec.structs.replace(package, parameters=package_parameters(host.store, package))
    actions = host.store.list(Action, str(actions_of.full_name), within=False)
    feeds = [action for action in actions if action.annotations.get("feed") is not None]
    document = merged.document | {
        "actions": [_row(action) for action in actions if action not in feeds],
        "feeds": [_row(action) for action in feeds],
    }
    return Reply(200, document)


def put(host: Host, request: Request, name: FullName) -> Reply:
    own(request.identity.namespace, name)
    content = spray.body(request.call)
    reader = Reader(host.settings, request.identity.namespace)
    reader.check_sizes(content)
    overwrite = boolean(request.call, "overwrite")
    if name.name == RESERVED:
        raise bad_request(f"Package name '{RESERVED}' is reserved.")
    change = reader.package(content)
    if change.binding is not None:
        _check_readable(host, request, change.binding)
    old = host.store.find(Package, name)
    if old is not None and not overwrite:
        raise conflict("resource already exists")
    if change.binding is not None:
        if old is not None and old.binding is None:
            raise conflict("Resource is a package and cannot be converted into a binding.")
        _check_provider(host, change.binding)
    return Reply(200, host.store.put(_put(name, old, change)).document)


def delete(host: Host, request: Request, name: FullName) -> Reply:
    own(request.identity.namespace, name)
    force = boolean(request.call, "force")
    package = host.store.get(Package, name)
    contents = [] if package.binding else host.store.list(Action, str(name), within=False)
    if contents and not force:
        many = "entity" if len(contents) == 1 else "entities"
        raise conflict(
            f"Package not empty (contains {len(contents)} {many}). Set force param or delete package contents."
        )
    for action in contents:
        host.store.delete(action)
        host.invoker.pool.forget(str(action.full_name))
    host.store.delete(package)
    return Reply(200, package.document)


def _put(name: FullName, old: Package | None, change: PackagePut) -> Package:
    binding = change.binding or (old.binding if old else None)
    annotations = change.annotations or (old.annotations if old else Parameters())
    if change.annotations is not None:
        annotations = change.annotations
    annotations = annotations.without("binding")
    if binding is not None:
        value = {"namespace": binding.path, "name": binding.name}
        annotations = annotations.merged(Parameters((Parameter(key="binding", value=value),)))
    if old is None:
        old = Package(path=name.path, name=name.name)
        version = change.version or Version()
    else:
        version = change.version or old.version.next()
    return msgspec.structs.replace(
        old,
        binding=binding,
        parameters=old.parameters if change.parameters is None else change.parameters,
        version=version,
        publish=old.publish if change.publish is None else change.publish,
        annotations=annotations,
    )


def _row(action: Action) -> Document:
    return {
        "name": action.name,
        "version": str(action.version),
        "annotations": action.annotations.documents,
    }


def _check_readable(host: Host, request: Request, binding: FullName) -> None:
    try:
        read_package(host.store, request.identity.namespace, binding)
    except ApiError as error:
        if error.status == 404:
            raise bad_request(NO_PROVIDER) from None
        if error.status == 409:
            raise conflict("Cannot bind to a resource that is not a package.") from None
        raise


def _check_provider(host: Host, binding: FullName) -> None:
    package = host.store.find(Package, binding)
    if package is None:
        raise bad_request(NO_PROVIDER)
    if package.binding is not None:
        raise bad_request("Cannot bind to another package binding.")
