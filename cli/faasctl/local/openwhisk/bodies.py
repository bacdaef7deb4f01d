"""The bodies of PUT, decoded field by field in the controller's order and with its texts.

Sources: core/entity/{WhiskAction,WhiskPackage,WhiskTrigger,WhiskRule}.scala (the `...Put` classes), Parameter.scala,
Exec.scala, {Time,Memory,Log,IntraConcurrency,InstanceConcurrency}Limit.scala, SemVer.scala.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from faasctl.local.openwhisk.entities import Exec, Limits, Parameter, Parameters, Version
from faasctl.local.openwhisk.errors import malformed_content, too_large
from faasctl.local.openwhisk.names import FullName, parse_full_name
from faasctl.local.openwhisk.settings import Settings

Json = Any
T = TypeVar("T")
BASE64 = (string.ascii_letters + string.digits + "+/").encode()


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """What every PUT may say; None means unsaid, so that an update keeps the old value."""

    parameters: Parameters | None = None
    version: Version | None = None
    publish: bool | None = None
    annotations: Parameters | None = None


class ActionPut(Put, frozen=True, kw_only=True):
    exec: Exec | None = None
    limits: dict[str, int] | None = None
    del_annotations: tuple[str, ...] | None = None


class PackagePut(Put, frozen=True, kw_only=True):
    binding: FullName | None = None


class TriggerPut(Put, frozen=True, kw_only=True):
    limits: dict[str, Json] | None = None


class RulePut(Put, frozen=True, kw_only=True):
    trigger: FullName | None = None
    action: FullName | None = None


class Reader:
    """Decodes bodies for one caller's namespace; every method raises ApiError."""

    def __init__(self, settings: Settings, namespace: str) -> None:
        self._settings = settings
        self._namespace = namespace

    def check_sizes(self, content: Json) -> None:
        """What is decoded first for any entity: code, parameters and annotations, and how large they may be."""
        fields = _object(content, "exec")
        exec_ = _optional(fields, "exec", self.exec)
        parameters = _optional(fields, "parameters", read_parameters)
        annotations = _optional(fields, "annotations", read_parameters)
        if exec_ is not None and exec_.size > self._settings.code_size:
            raise too_large("exec", exec_.size, self._settings.code_size)
        for name, entries in (("parameters", parameters), ("annotations", annotations)):
            if entries is not None and entries.size > self._settings.payload_size:
                raise too_large(name, entries.size, self._settings.payload_size)

    def action(self, content: Json) -> ActionPut:
        fields = _object(content, "exec")
        return ActionPut(
            exec=_optional(fields, "exec", self.exec),
            parameters=_optional(fields, "parameters", read_parameters),
            limits=_optional(fields, "limits", _limits),
            version=_optional(fields, "version", _version),
            publish=_optional(fields, "publish", _boolean),
            annotations=_optional(fields, "annotations", read_parameters),
            del_annotations=_optional(fields, "delAnnotations", _texts),
        )

    def package(self, content: Json) -> PackagePut:
        fields = _object(content, "binding")
        return PackagePut(
            binding=_optional(fields, "binding", self._binding),
            parameters=_optional(fields, "parameters", read_parameters),
            version=_optional(fields, "version", _version),
            publish=_optional(fields, "publish", _boolean),
            annotations=_optional(fields, "annotations", read_parameters),
        )

    def trigger(self, content: Json) -> TriggerPut:
        fields = _object(content, "parameters")
        return TriggerPut(
            parameters=_optional(fields, "parameters", read_parameters),
            limits=_optional(fields, "limits", lambda _: {}),
            version=_optional(fields, "version", _version),
            publish=_optional(fields, "publish", _boolean),
            annotations=_optional(fields, "annotations", read_parameters),
        )

    def rule(self, content: Json) -> RulePut:
        fields = _object(content, "trigger")
        return RulePut(
            trigger=_optional(fields, "trigger", self._full_name),
            action=_optional(fields, "action", self._full_name),
            version=_optional(fields, "version", _version),
            publish=_optional(fields, "publish", _boolean),
            annotations=_optional(fields, "annotations", read_parameters),
        )

    def exec(self, value: Json) -> Exec:
        if not isinstance(value, dict):
            raise malformed_content("JSON object expected")
        kind = value.get("kind")
        if not isinstance(kind, str):
            raise malformed_content("'kind' must be a string defined in 'exec'")
        kind = kind.strip().lower()
        if kind == "sequence":
            return Exec(kind=kind, components=self._components(value))
        if kind == "blackbox":
            return _blackbox(kind, value)
        resolved = self._settings.resolve_kind(kind)
        if resolved is None:
            valid = ", ".join(f"'{known}'" for known in (*self._settings.kinds, "sequence", "blackbox"))
            raise malformed_content(
                f"The specified runtime '{kind}' is not supported by this platform. Valid values are: {valid}."
            )
        code = value.get("code", value.get("jar"))
        if not isinstance(code, str):
            raise malformed_content(
                f"'code' must be a string or attachment object defined in 'exec' for '{kind}' actions"
            )
        return Exec(kind=resolved, code=code, binary=is_base64(code), main=_main(value, kind))

    def _components(self, value: Mapping[str, Json]) -> tuple[FullName, ...]:
        if "components" not in value:
            raise malformed_content("'components' must be defined for sequence kind")
        if not isinstance(value["components"], list):
            raise malformed_content("'components' must be an array")
        return tuple(self._full_name(component) for component in value["components"])

    def _full_name(self, value: Json) -> FullName:
        return parse_full_name(value, self._namespace)

    def _binding(self, value: Json) -> FullName | None:
        if value == {}:
            return None
        if not isinstance(value, dict):
            raise malformed_content("Object expected in field 'namespace'")
        for field in ("namespace", "name"):
            if field not in value:
                raise malformed_content(f"Object is missing required member '{field}'")
        return parse_full_name(f"{value['namespace']}/{value['name']}", self._namespace)


def read_parameters(value: Json) -> Parameters:
    """A list of ``{"key", "value", "init"?}``."""
    if not isinstance(value, list):
        raise malformed_content("parameters malformed!")
    return Parameters.of(_parameter(entry) for entry in value)


def is_base64(code: str) -> bool:
    """Whether OpenWhisk takes code for binary (Exec.scala, isBinaryCode): also short source may look the part."""
    text = code.strip()
    if not text or len(text) % 4 or not text.isascii():
        return False
    body = text.encode().removesuffix(b"=").removesuffix(b"=")
    return not body.translate(None, BASE64)  # a regular expression takes a second for a large zip


def read_status(value: Json) -> str:
    """The body that switches a rule."""
    if not isinstance(value, dict):
        raise malformed_content(f"{_scala(value)} (of class spray.json.{_scala_class(value)})")
    if "status" not in value:
        raise malformed_content("key not found: status")
    status = value["status"]
    if not isinstance(status, str):
        raise malformed_content(f"{_scala(status)} (of class spray.json.{_scala_class(status)})")
    if status.strip() not in ("active", "inactive"):
        raise malformed_content(f"requirement failed: {status.strip()} is not a recognized rule state")
    return status.strip()


def _parameter(entry: Json) -> Parameter:
    if (
        not isinstance(entry, dict)
        or not isinstance(entry.get("key"), str)
        or "value" not in entry
        or not isinstance(entry.get("init", False), bool)
    ):
        raise malformed_content("parameters malformed!")
    return Parameter(key=entry["key"], value=entry["value"], init=entry.get("init", False))


def _object(content: Json, first_field: str) -> Mapping[str, Json]:
    if not isinstance(content, dict):
        raise malformed_content(f"Object expected in field '{first_field}'")
    return content


def _optional(fields: Mapping[str, Json], name: str, read: Callable[[Json], T]) -> T | None:
    return None if fields.get(name) is None else read(fields[name])


def _main(value: Mapping[str, Json], kind: str) -> str | None:
    main = value.get("main")
    if "main" in value and not isinstance(main, str):
        raise malformed_content(f"if defined, 'main' be a string in 'exec' for '{kind}' actions")
    return main


def _blackbox(kind: str, value: Mapping[str, Json]) -> Exec:
    image = value.get("image")
    if not isinstance(image, str):
        raise malformed_content("'image' must be a string defined in 'exec' for 'blackbox' actions")
    code = value.get("code")
    if not isinstance(code, str) or not code.strip():
        code = None
    return Exec(kind=kind, image=image, code=code, binary=code is not None and is_base64(code), main=_main(value, kind))


LIMITS = {
    "timeout": "time limit",
    "memory": "memory limit",
    "logs": "log limit",
    "concurrency": "intra concurrency limit",
    "instances": "instance concurrency limit",
}


def _limits(value: Json) -> dict[str, int]:
    limits: dict[str, int] = {}
    for name, words in LIMITS.items():
        number = _object(value, "timeout").get(name)
        if number is None:
            continue
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise malformed_content(f"{words.removeprefix('intra ')} malformed")
        if number != int(number):
            raise malformed_content(f"requirement failed: {words} must be whole number")
        if number < 0 and name in ("memory", "logs"):
            raise malformed_content("requirement failed: a negative size of an object is not allowed.")
        if number < 0 and name == "instances":
            raise malformed_content(
                "requirement failed: Action container concurrency must be greater than or equal to 0."
            )
        limits[name] = int(number)
    return limits


def merged_limits(old: Limits, new: Mapping[str, int] | None) -> Limits:
    return msgspec.structs.replace(old, **(new or {}))


def _version(value: Json) -> Version:
    if isinstance(value, str):
        parts = value.split(".") if value else []
        if all(re.fullmatch(r"\d+", part) for part in parts[:3]):
            numbers = [int(part) for part in parts[:3]] + [0] * (3 - len(parts[:3]))
            if any(numbers):
                return Version(*numbers)
    raise malformed_content("semantic version malformed")


def _boolean(value: Json) -> bool:
    if not isinstance(value, bool):
        raise malformed_content(f"Expected JsBoolean, but got {_scala(value)}")
    return value


def _texts(value: Json) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise malformed_content(f"Expected List as JsArray, but got {_scala(value)}")
    for item in value:
        if not isinstance(item, str):
            raise malformed_content(f"Expected String as JsString, but got {_scala(item)}")
    return tuple(value)


def _scala(value: Json) -> str:
    return msgspec.json.encode(value).decode()


def _scala_class(value: Json) -> str:
    if value is None:
        return "JsNull$"
    names = {bool: "JsBoolean", str: "JsString", list: "JsArray", dict: "JsObject"}
    return names.get(type(value), "JsNumber")
