"""Who may do what (core/entitlement/{Entitlement,ActionCollection,PackageCollection}.scala).

A namespace's owner may do everything in it. Others may list its packages, and read and invoke what published packages
hold, also through bindings of their own.
"""

from __future__ import annotations

from collections.abc import Iterable

from faasctl.local.openwhisk.entities import Package
from faasctl.local.openwhisk.errors import ApiError, forbidden, not_found
from faasctl.local.openwhisk.names import FullName
from faasctl.local.openwhisk.resolve import package_of
from faasctl.local.openwhisk.store import Store


def own(namespace: str, name: FullName) -> None:
    """Raises ApiError 403 unless the entity is in the caller's namespace."""
    if name.namespace != namespace:
        raise forbidden(str(name))


def read_package(store: Store, namespace: str, name: FullName) -> None:
    """Raises ApiError 403, 404 or 409; strangers never learn whether a package exists."""
    if not _package_is_readable(store, namespace, name):
        raise forbidden(str(name))


def use_action(store: Store, namespace: str, name: FullName) -> None:
    """To read or to invoke it; raises ApiError 403, 404 or 409."""
    if name.package is None:
        own(namespace, name)
    else:
        read_package(store, namespace, package_of(name.path))


def use_actions(store: Store, namespace: str, names: Iterable[FullName]) -> None:
    """All of them, as components or by a rule."""
    for name in names:
        use_action(store, namespace, name)


def _package_is_readable(store: Store, namespace: str, name: FullName) -> bool:
    owner = name.namespace == namespace
    try:
        package = store.find(Package, name)
    except ApiError:
        if owner:
            raise
        return False
    if package is None:
        if owner:
            raise not_found()
        return False
    if package.binding is None:
        return package.publish or owner
    if package.binding == name:
        raise ApiError(422, f"Package binding '{name}' contains a circular reference.")
    return owner and _package_is_readable(store, namespace, package.binding)
