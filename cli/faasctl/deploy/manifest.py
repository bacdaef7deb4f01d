"""A wskdeploy manifest -> the entities it wants. Strict: what is not understood is an error with its line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from eventflow.spec import Key, SpecError, nearest
from faasctl.decoding import decode
from faasctl.deploy import grammar
from faasctl.deploy.code import code_of
from faasctl.deploy.inputs import resolve_inputs
from faasctl.deploy.interpolation import interpolate, interpolate_tree, plain
from faasctl.deploy.model import (
    Action,
    Desired,
    Entity,
    EntityId,
    Feed,
    Limits,
    Package,
    Parameter,
    Rule,
    Sequence,
    Trigger,
    entity_id,
)
from faasctl.deploy.references import check_references
from faasctl.strict_yaml import Document

INIT_ANNOTATION = "faas-init"
"""An action's annotation that names its init-only inputs, with commas. wskdeploy has no word for them and deploys them
as ordinary parameters; an annotation is what its grammar allows."""

DEFAULT = "default"
"""The package that stands for no package."""

_SECTIONS = ("packages", "dependencies", "actions", "sequences", "triggers", "rules", "annotations")
_NAME = re.compile(r"\A(\w|\w[\w@ .&-]{0,254}[\w@.&-])\Z", re.ASCII)
T = TypeVar("T", bound=msgspec.Struct)


def desired(
    manifest: Document, *, namespace: str, base: Path, variables: Mapping[str, str], deployment: Document | None = None
) -> Desired:
    """What ``manifest`` wants to exist in ``namespace``, with the values of ``deployment`` before its own.

    ``base`` is the folder that its files are relative to; ``variables`` are what ``$X`` stands for. Raises `SpecError`
    with file and line.
    """
    values = _decoded(deployment, grammar.DeploymentPart, variables) if deployment else grammar.DeploymentPart()
    part = _decoded(manifest, grammar.ManifestPart, variables)
    try:
        return _Reader(namespace, base, variables, values).read(part)
    except _InDeployment as error:
        assert deployment is not None
        raise deployment.located(error) from None
    except SpecError as error:
        raise manifest.located(error) from None


def address(manifest: Document, variables: Mapping[str, str]) -> dict[str, str]:
    """Where the manifest itself says that it belongs, in `.wskprops`'s words: ``APIHOST``, ``AUTH``, ``NAMESPACE``."""
    project = _decoded(manifest, grammar.ManifestPart, variables).project
    given = {"APIHOST": project.api_host, "AUTH": project.credential, "NAMESPACE": project.namespace}
    return {name: value for name, value in given.items() if value}


class _InDeployment(SpecError):
    """An error whose key is one of the deployment file."""


def _decoded(document: Document, model: type[T], variables: Mapping[str, str]) -> T:
    try:
        return decode(_prepared(document.value if document.value is not None else {}, variables, ()), model)
    except SpecError as error:
        raise document.located(error) from None


def _prepared(tree: Any, variables: Mapping[str, str], key: Key) -> Any:
    """Variables filled in everywhere but in inputs (they have more of them) and code; empty sections dropped."""
    if isinstance(tree, dict):
        result = {}
        for name, value in tree.items():
            if value is None and key[-1:] != ("annotations",):
                continue
            inner = (*key, name)
            filled = value if _is_for_later(inner) else _prepared(value, variables, inner)
            result[str(interpolate(name, variables, inner))] = filled
        return result
    return plain(interpolate_tree(tree, variables, key))


def _is_for_later(key: Key) -> bool:
    """Whether a key is the inputs or the code of something, and not the name of something in a section."""
    return key[-1] in ("inputs", "code") and (len(key) < 2 or key[-2] not in _SECTIONS)


class _Reader:
    """One reading of one manifest: collects its entities, then checks that they refer to each other rightly."""

    def __init__(
        self, namespace: str, base: Path, variables: Mapping[str, str], values: grammar.DeploymentPart
    ) -> None:
        self._namespace = namespace
        self._base = base
        self._variables = variables
        self._values = values
        self._entities: list[Entity] = []
        self._keys: dict[EntityId, Key] = {}

    def read(self, part: grammar.ManifestPart) -> Desired:
        if part.packages and part.project.packages:
            raise SpecError("has packages both below project and beside it", key=("packages",), hint="keep one")
        base: Key = ("project", "packages") if part.project.packages else ("packages",)
        packages = part.project.packages or part.packages
        values = {**self._values.packages, **self._values.project.packages}
        self._check_known(values, packages, self._values_key())
        project_inputs = {**part.project.inputs, **self._values.project.inputs}
        variables = self._scope(self._variables, project_inputs, ("project", "inputs"))
        for name, package in packages.items():
            self._package(name, package, values.get(name, grammar.PackageValues()), variables, (*base, name))
        check_references(self._entities, self._namespace, self._keys)
        return Desired(project=part.project.name or "", namespace=self._namespace, entities=tuple(self._entities))

    def _package(
        self,
        name: str,
        part: grammar.PackagePart,
        values: grammar.PackageValues,
        variables: Mapping[str, Any],
        key: Key,
    ) -> None:
        self._check_namespace(part.namespace, key)
        if part.apis:
            raise SpecError("apis are not supported", key=(*key, "apis"), hint="use web actions: web: true")
        inputs = {**part.inputs, **values.inputs}
        variables = self._scope(variables, inputs, (*key, "inputs"))
        if name != DEFAULT:
            package = Package(
                name=_checked_name(name, key),
                parameters=resolve_inputs(inputs, variables, (*key, "inputs")),
                annotations={**part.annotations, **values.annotations},
                public=part.public,
            )
            self._add(package, key)
        for label, dependency in part.dependencies.items():
            self._dependency(label, dependency, variables, (*key, "dependencies", label))
        values_key = (*self._values_key(), name)
        self._check_known(values.actions, part.actions, (*values_key, "actions"))
        self._check_known(values.triggers, part.triggers, (*values_key, "triggers"))
        none = grammar.ValuesPart()
        for label, action in part.actions.items():
            self._action(name, label, action, values.actions.get(label, none), variables, (*key, "actions", label))
        for label, sequence in part.sequences.items():
            self._sequence(name, label, sequence, (*key, "sequences", label))
        for label, trigger in part.triggers.items():
            self._trigger(name, label, trigger, values.triggers.get(label, none), variables, (*key, "triggers", label))
        for label, rule in part.rules.items():
            self._rule(name, label, rule, (*key, "rules", label))

    def _dependency(self, label: str, part: grammar.DependencyPart, variables: Mapping[str, Any], key: Key) -> None:
        location = self._whole(part.location)
        if not part.location.startswith("/") or location.count("/") != 2:
            raise SpecError(
                f"{part.location} is no package of this OpenWhisk",
                key=(*key, "location"),
                hint="write /namespace/package; code from GitHub is better deployed from a checkout",
            )
        parameters = resolve_inputs(part.inputs, variables, (*key, "inputs"))
        binding = Package(
            name=_checked_name(label, key), parameters=parameters, annotations=part.annotations, binding=location
        )
        self._add(binding, key)

    def _action(
        self,
        package: str,
        label: str,
        part: grammar.ActionPart,
        values: grammar.ValuesPart,
        variables: Mapping[str, Any],
        key: Key,
    ) -> None:
        self._check_namespace(part.namespace, key)
        kind, code, image = code_of(part, self._base, key)
        annotations = {**part.annotations, **values.annotations, **_web(part.web, part.web_export, key)}
        if part.conductor:
            annotations["conductor"] = True
        parameters = resolve_inputs({**part.inputs, **values.inputs}, variables, (*key, "inputs"))
        action = Action(
            name=_in_package(package, _checked_name(label, key)),
            kind=kind,
            code=code,
            main=part.main,
            image=image,
            limits=_limits(part.limits),
            parameters=_with_init(parameters, annotations.get(INIT_ANNOTATION, ""), (*key, "annotations")),
            annotations=annotations,
        )
        self._add(action, key)

    def _sequence(self, package: str, label: str, part: grammar.SequencePart, key: Key) -> None:
        names = [name.strip() for name in part.actions.split(",")]
        if not all(names):
            raise SpecError("names an empty action", key=(*key, "actions"), hint="actions: first, second, third")
        sequence = Sequence(
            name=_in_package(package, _checked_name(label, key)),
            components=tuple(self._whole(name, package) for name in names),
            annotations={**part.annotations, **_web(part.web, None, key)},
        )
        self._add(sequence, key)

    def _trigger(
        self,
        package: str,
        label: str,
        part: grammar.TriggerPart,
        values: grammar.ValuesPart,
        variables: Mapping[str, Any],
        key: Key,
    ) -> None:
        self._check_namespace(part.namespace, key)
        parameters = resolve_inputs({**part.inputs, **values.inputs}, variables, (*key, "inputs"))
        source = part.feed or part.source
        feed = Feed(action=self._whole(source, package), parameters=parameters) if source else None
        trigger = Trigger(
            name=_checked_name(label, key),
            feed=feed,
            parameters={} if feed else parameters,
            annotations={**part.annotations, **values.annotations},
        )
        self._add(trigger, key)

    def _rule(self, package: str, label: str, part: grammar.RulePart, key: Key) -> None:
        rule = Rule(
            name=_checked_name(label, key),
            trigger=self._whole(part.trigger),
            action=self._whole(part.action, package),
            annotations=part.annotations,
        )
        self._add(rule, key)

    def _add(self, entity: Entity, key: Key) -> None:
        if self._keys.setdefault(entity_id(entity), key) is not key:
            raise SpecError(f"{entity.name!r} is there twice", key=key, hint="names are unique in a namespace")
        self._entities.append(entity)

    def _check_namespace(self, namespace: str | None, key: Key) -> None:
        """All of a manifest goes into one namespace, the one that the command's key owns."""
        if namespace not in (None, "_", self._namespace):
            raise SpecError(
                f"is for the namespace {namespace!r}, and this deploys into {self._namespace!r}",
                key=(*key, "namespace"),
                hint="put it into a manifest of its own, deployed with that namespace's key",
            )

    def _whole(self, name: str, package: str = DEFAULT) -> str:
        """The whole name (``/guest/faas/process``) of an entity as a manifest writes it."""
        if name.startswith("/"):
            _, space, rest = (*name.split("/", 2), "")[:3]
            return f"/{self._namespace if space == '_' else space}/{rest}"
        return f"/{self._namespace}/{name if '/' in name else _in_package(package, name)}"

    def _scope(self, outer: Mapping[str, Any], inputs: Mapping[str, Any], key: Key) -> Mapping[str, Any]:
        """The variables inside of a project or package: its inputs, before those around it."""
        return {**outer, **{name: p.value for name, p in resolve_inputs(inputs, outer, key).items()}}

    def _values_key(self) -> Key:
        return ("project", "packages") if self._values.project.packages else ("packages",)

    def _check_known(self, given: Mapping[str, Any], known: Mapping[str, Any], key: Key) -> None:
        for name in given:
            if name not in known:
                raise _InDeployment(
                    f"{name!r} is not in the manifest", key=(*key, name), hint=nearest(name, list(known))
                )


def _with_init(parameters: dict[str, Parameter], listed: Any, key: Key) -> dict[str, Parameter]:
    names = {name.strip() for name in str(listed).split(",") if name.strip()}
    for name in sorted(names - parameters.keys()):
        hint = nearest(name, list(parameters))
        raise SpecError(f"{INIT_ANNOTATION} names {name!r}, which is no input", key=(*key, INIT_ANNOTATION), hint=hint)
    return {name: msgspec.structs.replace(parameter, init=name in names) for name, parameter in parameters.items()}


def _limits(part: grammar.LimitsPart) -> Limits:
    given = {name: getattr(part, name) for name in ("timeout", "memory", "logs")}
    return Limits(**{name: value for name, value in given.items() if value is not None})


def _web(web: bool | str | None, web_export: bool | str | None, key: Key) -> dict[str, bool]:
    """The annotations that ``web`` stands for (webaction.go)."""
    value = web if web is not None else web_export
    match str(value).lower():
        case "none" | "false" | "no":
            return {}
        case "true" | "yes":
            return {"web-export": True, "raw-http": False, "final": True}
        case "raw":
            return {"web-export": True, "raw-http": True, "final": True}
    raise SpecError(f"{value!r} is no value of web", key=(*key, "web"), hint="true, false or raw")


def _in_package(package: str, name: str) -> str:
    return name if package == DEFAULT else f"{package}/{name}"


def _checked_name(name: str, key: Key) -> str:
    if not _NAME.match(name):
        raise SpecError(
            f"{name!r} is no name that OpenWhisk takes", key=key, hint="letters, digits, _ @ . & - and spaces"
        )
    return name
