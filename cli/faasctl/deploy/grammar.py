"""wskdeploy's manifest and deployment files as they are written (parsers/yamlparser.go), keys checked strictly.

Keys that wskdeploy reads and does nothing with (``description`` among them) are allowed, so that existing manifests
decode.
"""

from __future__ import annotations

from typing import Any

import msgspec

Inputs = dict[str, Any]
Annotations = dict[str, Any]


class LimitsPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of an action; the last four cannot be set by a client, in wskdeploy neither."""

    timeout: int | None = None
    memory: int | None = msgspec.field(name="memorySize", default=None)
    logs: int | None = msgspec.field(name="logSize", default=None)
    concurrent_activations: int | None = msgspec.field(name="concurrentActivations", default=None)
    user_invocation_rate: int | None = msgspec.field(name="userInvocationRate", default=None)
    code_size: int | None = msgspec.field(name="codeSize", default=None)
    parameter_size: int | None = msgspec.field(name="parameterSize", default=None)


class ActionPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An action: ``function`` (a file or folder, relative to the manifest) or ``code`` (inline) or ``docker``."""

    name: str | None = None
    function: str | None = None
    location: str | None = None
    code: str | None = None
    runtime: str | None = None
    main: str | None = None
    docker: str | None = None
    native: bool = False
    conductor: bool = False
    web: bool | str | None = None
    web_export: bool | str | None = msgspec.field(name="web-export", default=None)
    inputs: Inputs = {}
    outputs: Inputs = {}
    limits: LimitsPart = LimitsPart()
    annotations: Annotations = {}
    include: tuple[tuple[str, ...], ...] = ()
    exclude: tuple[str, ...] = ()
    version: str | None = None
    description: str | None = None
    namespace: str | None = None
    credential: str | None = None


class SequencePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sequence: its actions as one string with commas."""

    actions: str
    web: bool | str | None = None
    annotations: Annotations = {}


class TriggerPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trigger; with ``feed`` its inputs are the feed's."""

    name: str | None = None
    feed: str | None = None
    source: str | None = None
    inputs: Inputs = {}
    annotations: Annotations = {}
    description: str | None = None
    namespace: str | None = None
    credential: str | None = None


class RulePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule; an action without a slash is one of the same package."""

    trigger: str
    action: str
    name: str | None = None
    rule: str | None = None
    annotations: Annotations = {}
    description: str | None = None


class DependencyPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A package bound from another namespace (``/namespace/package``)."""

    location: str
    version: str | None = None
    inputs: Inputs = {}
    annotations: Annotations = {}


class PackagePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A package and what belongs to it. The package ``default`` stands for none."""

    name: str | None = None
    version: str | float | int | None = None
    license: str | None = None
    public: bool = False
    description: str | None = None
    namespace: str | None = None
    credential: str | None = None
    api_host: str | None = msgspec.field(name="apiHost", default=None)
    inputs: Inputs = {}
    annotations: Annotations = {}
    repositories: tuple[Any, ...] = ()
    dependencies: dict[str, DependencyPart] = {}
    actions: dict[str, ActionPart] = {}
    sequences: dict[str, SequencePart] = {}
    triggers: dict[str, TriggerPart] = {}
    rules: dict[str, RulePart] = {}
    feeds: dict[str, Any] = {}
    apis: dict[str, Any] = {}


class ProjectPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A project: the name that owns the entities, and its packages."""

    name: str | None = None
    namespace: str | None = None
    credential: str | None = None
    api_host: str | None = msgspec.field(name="apiHost", default=None)
    apigw_token: str | None = msgspec.field(name="apigwAccessToken", default=None)
    version: str | float | int | None = None
    config: str | None = None
    inputs: Inputs = {}
    packages: dict[str, PackagePart] = {}


class ManifestPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole manifest: a project with packages, or packages alone."""

    project: ProjectPart = ProjectPart()
    packages: dict[str, PackagePart] = {}


class ValuesPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a deployment file may override of one action or trigger."""

    inputs: Inputs = {}
    annotations: Annotations = {}


class PackageValues(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a deployment file may override of a package."""

    inputs: Inputs = {}
    annotations: Annotations = {}
    actions: dict[str, ValuesPart] = {}
    triggers: dict[str, ValuesPart] = {}


class ProjectValues(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a deployment file may say of a project."""

    name: str | None = None
    inputs: Inputs = {}
    packages: dict[str, PackageValues] = {}


class DeploymentPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A deployment file: the manifest's tree with inputs and annotations alone."""

    project: ProjectValues = ProjectValues()
    packages: dict[str, PackageValues] = {}
