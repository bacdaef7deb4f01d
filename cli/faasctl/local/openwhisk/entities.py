"""What OpenWhisk keeps: packages, actions, triggers and rules, and how each is written as JSON.

Sources: core/entity/{WhiskAction,WhiskPackage,WhiskTrigger,WhiskRule,Parameter,Exec,Limits}.scala.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from faasctl.local.openwhisk.names import FullName

Json = Any
Document = dict[str, Json]


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter or annotation; ``init`` ones go into the action's environment instead of its arguments."""

    key: str
    value: Json = None
    init: bool = False

    @property
    def document(self) -> Document:
        document: Document = {"key": self.key, "value": self.value}
        if self.init:
            document["init"] = True
        return document


class Parameters(msgspec.Struct, frozen=True):
    """A map of parameters by key, in the order in which they were given."""

    entries: tuple[Parameter, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[Parameter]) -> Parameters:
        """The last of several with one key counts."""
        return cls(tuple({entry.key: entry for entry in entries}.values()))

    def merged(self, other: Parameters) -> Parameters:
        """``other`` wins (Parameters.++)."""
        return Parameters.of((*self.entries, *other.entries))

    def without(self, *keys: str) -> Parameters:
        return Parameters(tuple(entry for entry in self.entries if entry.key not in keys))

    def get(self, key: str) -> Json:
        return next((entry.value for entry in self.entries if entry.key == key), None)

    def truthy(self, key: str, *, default: bool = False) -> bool:
        """Whether the annotation is set to something true (Parameters.isTruthy)."""
        for entry in self.entries:
            if entry.key == key:
                return entry.value not in (None, False, 0, "")
        return default

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(entry.key for entry in self.entries)

    @property
    def arguments(self) -> Document:
        """What an action gets as arguments."""
        return {entry.key: entry.value for entry in self.entries if not entry.init}

    @property
    def environment(self) -> Document:
        """What an action gets as environment at /init."""
        return {entry.key: entry.value for entry in self.entries if entry.init}

    @property
    def size(self) -> int:
        """Bytes as OpenWhisk counts them: keys and compact values."""
        return sum(len(entry.key.encode()) + len(msgspec.json.encode(entry.value)) for entry in self.entries)

    @property
    def documents(self) -> list[Document]:
        return [entry.document for entry in self.entries]


class Version(msgspec.Struct, frozen=True):
    """A semantic version (SemVer.scala)."""

    major: int = 0
    minor: int = 0
    patch: int = 1

    def next(self) -> Version:
        return Version(self.major, self.minor, self.patch + 1)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """``timeout`` in ms, ``memory`` and ``logs`` in MB."""

    timeout: int = 60_000
    memory: int = 256
    logs: int = 10
    concurrency: int = 1
    instances: int | None = None

    @property
    def document(self) -> Document:
        document: Document = {
            "timeout": self.timeout,
            "memory": self.memory,
            "logs": self.logs,
            "concurrency": self.concurrency,
        }
        if self.instances is not None:
            document["instances"] = self.instances
        return document

    @property
    def activation_document(self) -> Document:
        return {name: value for name, value in self.document.items() if name != "instances"}


class Exec(msgspec.Struct, frozen=True, kw_only=True):
    """How an action is run: code of a kind, components of a sequence, or an image."""

    kind: str
    code: str | None = None
    binary: bool = False
    main: str | None = None
    image: str | None = None
    components: tuple[FullName, ...] | None = None

    @property
    def is_sequence(self) -> bool:
        return self.components is not None

    @property
    def size(self) -> int:
        """Bytes that count against the code limit."""
        return len((self.code or "").encode()) + len((self.main or "").encode())

    def document(self, *, code: bool = True) -> Document:
        """``code=False`` is what ``?code=false`` answers."""
        if self.components is not None:
            return {"kind": self.kind, "components": [f"/{component}" for component in self.components]}
        document: Document = {"kind": self.kind, "binary": self.binary}
        if code and self.code is not None:
            document["code"] = self.code
        if self.main is not None:
            document["main"] = self.main
        if self.image is not None:
            document["image"] = self.image
        return document


class Action(msgspec.Struct, frozen=True, kw_only=True, tag="action"):
    path: str
    name: str
    exec: Exec
    parameters: Parameters = Parameters()
    limits: Limits = Limits()
    version: Version = Version()
    publish: bool = False
    annotations: Parameters = Parameters()
    updated: int = 0
    """ms since the epoch"""

    collection = "actions"

    @property
    def full_name(self) -> FullName:
        return FullName(self.path, self.name)

    def inherit(self, parameters: Parameters) -> Action:
        """With a package's parameters under its own."""
        return msgspec.structs.replace(self, parameters=parameters.merged(self.parameters))

    @property
    def is_conductor(self) -> bool:
        """Whether its results say which action comes next."""
        return self.annotations.truthy("conductor") and not self.exec.is_sequence

    @property
    def immutable(self) -> frozenset[str]:
        """Parameters that no caller may override: those with a value, if the action is annotated ``final``."""
        if not self.annotations.truthy("final"):
            return frozenset()
        return frozenset(entry.key for entry in self.parameters.entries if entry.value is not None)

    def document(self, *, code: bool = True, binding: FullName | None = None) -> Document:
        document = _common(self)
        document |= {
            "exec": self.exec.document(code=code),
            "parameters": self.parameters.documents,
            "limits": self.limits.document,
        }
        if binding is not None:
            document["binding"] = str(binding)
        return document

    @property
    def summary(self) -> Document:
        binary = self.exec.binary if not self.exec.is_sequence else False
        return _common(self) | {"limits": self.limits.document, "exec": {"binary": binary}}


class Package(msgspec.Struct, frozen=True, kw_only=True, tag="package"):
    path: str
    name: str
    binding: FullName | None = None
    parameters: Parameters = Parameters()
    version: Version = Version()
    publish: bool = False
    annotations: Parameters = Parameters()
    updated: int = 0

    collection = "packages"

    @property
    def full_name(self) -> FullName:
        return FullName(self.path, self.name)

    @property
    def _binding(self) -> Document | None:
        return {"namespace": self.binding.path, "name": self.binding.name} if self.binding else None

    @property
    def document(self) -> Document:
        return _common(self) | {"binding": self._binding or {}, "parameters": self.parameters.documents}

    @property
    def summary(self) -> Document:
        return _common(self) | {"binding": self._binding or False}


class ReducedRule(msgspec.Struct, frozen=True, kw_only=True):
    """What a trigger knows of a rule."""

    action: FullName
    status: str

    @property
    def document(self) -> Document:
        return {"action": self.action.document, "status": self.status}


class Trigger(msgspec.Struct, frozen=True, kw_only=True, tag="trigger"):
    path: str
    name: str
    parameters: Parameters = Parameters()
    limits: dict[str, Json] = {}
    version: Version = Version()
    publish: bool = False
    annotations: Parameters = Parameters()
    rules: dict[str, ReducedRule] | None = None
    """By the rule's full name; None until there is the first."""
    updated: int = 0

    collection = "triggers"

    @property
    def full_name(self) -> FullName:
        return FullName(self.path, self.name)

    def with_rule(self, rule: FullName, link: ReducedRule | None) -> Trigger:
        """A rule added, changed, or (None) removed."""
        rules = {name: known for name, known in (self.rules or {}).items() if name != str(rule)}
        if link is not None:
            rules[str(rule)] = link
        return msgspec.structs.replace(self, rules=rules)

    @property
    def document(self) -> Document:
        document = _common(self) | {"parameters": self.parameters.documents, "limits": self.limits}
        if self.rules is not None:
            document["rules"] = {name: rule.document for name, rule in self.rules.items()}
        return document

    @property
    def summary(self) -> Document:
        return _common(self)


class Rule(msgspec.Struct, frozen=True, kw_only=True, tag="rule"):
    path: str
    name: str
    trigger: FullName
    action: FullName
    version: Version = Version()
    publish: bool = False
    annotations: Parameters = Parameters()
    updated: int = 0

    collection = "rules"

    @property
    def full_name(self) -> FullName:
        return FullName(self.path, self.name)

    @property
    def summary(self) -> Document:
        """Lists tell no status: it is kept with the trigger."""
        return _common(self) | {"trigger": self.trigger.document, "action": self.action.document}

    def document(self, status: str) -> Document:
        return self.summary | {"status": status}


Entity = Action | Package | Trigger | Rule


def _common(entity: Entity) -> Document:
    return {
        "namespace": entity.path,
        "name": entity.name,
        "version": str(entity.version),
        "publish": entity.publish,
        "annotations": entity.annotations.documents,
        "updated": entity.updated,
    }
