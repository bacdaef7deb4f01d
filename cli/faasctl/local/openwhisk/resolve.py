"""From a name to what is run: packages, bindings, and the parameters they add.

Sources: core/entity/{WhiskAction,WhiskPackage}.scala.
"""

from __future__ import annotations

from typing import NamedTuple

from faasctl.local.openwhisk.entities import Action, Package, Parameters
from faasctl.local.openwhisk.errors import ApiError, bad_request, not_found
from faasctl.local.openwhisk.names import FullName
from faasctl.local.openwhisk.store import Store

TOO_LONG = "Too many actions in the sequence."
CYCLIC = "Sequence may not refer to itself."
NO_COMPONENT = "No component specified for the sequence."
COMPONENT_NOT_FOUND = "Sequence component does not exist."


class Resolved(NamedTuple):
    """An action with the parameters of its package and binding under its own."""

    action: Action
    binding: FullName | None


def package_of(path: str) -> FullName:
    """``ns/pkg`` as a name."""
    namespace, _, name = path.partition("/")
    return FullName(namespace, name)


def provider(store: Store, package: Package) -> Package:
    """The package that a binding stands for, or itself; raises ApiError 404 when it is gone."""
    return store.get(Package, package.binding) if package.binding else package


def package_parameters(store: Store, package: Package) -> Parameters:
    """The provider's parameters, and the binding's over them."""
    if package.binding is None:
        return package.parameters
    return provider(store, package).parameters.merged(package.parameters)


def resolve_name(store: Store, name: FullName) -> FullName:
    """The name under which the action is kept: that of the provider, when it was named through a binding."""
    if name.package is None:
        return name
    package = store.get(Package, package_of(name.path))
    return FullName(str(package.binding), name.name) if package.binding else name


def resolve(store: Store, name: FullName) -> Resolved:
    """Raises ApiError 404 or 409."""
    if name.package is None:
        return Resolved(store.get(Action, name), None)
    package = store.get(Package, package_of(name.path))
    parameters = package_parameters(store, package)
    action = store.get(Action, resolve_name(store, name))
    return Resolved(action.inherit(parameters), package.full_name if package.binding else None)


def check_sequence(store: Store, sequence: FullName, components: tuple[FullName, ...], longest: int) -> None:
    """No cycle, no missing component, at most ``longest`` actions once all is unfolded; raises ApiError 400."""
    if len(components) > longest:
        raise bad_request(TOO_LONG)
    if not components:
        raise bad_request(NO_COMPONENT)
    try:
        if _count(store, resolve_name(store, sequence), components, longest) > longest:
            raise bad_request(TOO_LONG)
    except ApiError as error:
        raise bad_request(COMPONENT_NOT_FOUND) if error.status == 404 else error from None


def _count(store: Store, sequence: FullName, components: tuple[FullName, ...], longest: int) -> int:
    if len(components) > longest:
        raise bad_request(TOO_LONG)
    count = 0
    for component in components:
        name = resolve_name(store, component)
        if name == sequence:
            raise bad_request(CYCLIC)
        action = store.find(Action, name)
        if action is None:
            raise not_found()
        inner = action.exec.components
        count += 1 if inner is None else _count(store, sequence, inner, longest)
    return count
