"""The function: what a scientist registers, as frozen data.

It is written in YAML (``function.yaml``), travels as JSON in the annotation ``faas`` of an OpenWhisk action, and is
decoded here in both cases. Nothing in here does I/O.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from eventflow import function_rules
from eventflow.pattern import Glob, Template, parse_globs
from eventflow.spec import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    Key,
    SpecError,
    check_keys,
    check_strings,
    convert,
    convert_at,
    duration,
    kind,
    size,
)

NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$"
INPUT_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,31}$"

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
ALSO = "x-also"
"""In the JSON schema: what a person may write instead, before it is brought into its plain form."""

LIGHT = {"memory": 256 * 2**20, "runtime": 10}
"""What a light function may use when it does not say: bytes, and seconds for one event."""

LIGHT_TIMEOUT_MS = 55_000
"""How long one activation of a light function may take, with all the events of a batch."""

Bytes = Annotated[int, Meta(extra_json_schema={ALSO: {"type": "string", "pattern": SIZE_PATTERN}})]
Disk = Annotated[int, Meta(extra_json_schema={ALSO: {"type": "string", "pattern": f"^auto$|{SIZE_PATTERN}"}})]
Seconds = Annotated[int, Meta(extra_json_schema={ALSO: {"type": "string", "pattern": DURATION_PATTERN}})]
Paths = Annotated[tuple[str, ...], Meta(min_length=1, max_length=16, extra_json_schema={ALSO: {"type": "string"}})]


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events fire the function: their type, path (any of the patterns) and conditions on their data."""

    type: Annotated[str, Meta(min_length=1, max_length=128)] = "storage.written"
    path: Paths
    where: dict[str, Any] = {}


class Run(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is run: ``main`` (a Python file with ``main(event)``) or ``command``, perhaps in an ``image``.

    ``backend`` is ``htcondor`` (a job) or ``openwhisk`` (a light function, invoked in place); ``python`` is the
    version that it needs on the worker, and that requirements are vendored for (``None``: the worker's own);
    ``setup`` a shell script that is sourced before.
    """

    backend: Literal["htcondor", "openwhisk"] = "htcondor"
    main: str | None = None
    python: Annotated[str, Meta(pattern=r"^3\.[0-9]{1,2}$")] | None = None
    image: str | None = None
    command: Annotated[tuple[str, ...], Meta(max_length=256)] = ()
    setup: str | None = None
    env: dict[str, str] = {}


class Resources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one run needs: ``memory`` and ``disk`` in bytes (``disk`` ``None``: from the inputs' sizes), ``runtime``
    in seconds. A light function that does not say gets less (`LIGHT`)."""

    cpus: Annotated[int, Meta(ge=1, le=1024)] = 1
    memory: Bytes = 2 * 10**9
    disk: Disk | None = None
    runtime: Seconds = 3600
    gpus: Annotated[int, Meta(ge=0, le=64)] = 0


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many jobs of the function may wait and (``None``: any number) run at once; beyond it events are parked."""

    max_idle: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    max_running: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class Function(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A registered function; its full name is ``namespace.name``.

    ``inputs`` are further files by name and ``write`` is the output directory (ending in ``/``), templates of the
    captures of ``when.path``. ``chained``: whether files that the platform's own jobs wrote may fire it.
    """

    name: Name
    namespace: Name
    contact: Annotated[str, Meta(min_length=1, max_length=256)]
    when: When
    run: Run
    inputs: Annotated[dict[Annotated[str, Meta(pattern=INPUT_PATTERN)], str], Meta(max_length=16)] = {}
    params: dict[str, Any] = {}
    write: str | None = None
    resources: Resources = Resources()
    retries: Annotated[int, Meta(ge=0, le=20)] = 2
    limits: Limits = Limits()
    chained: bool = False

    @property
    def full_name(self) -> str:
        """``namespace.name``, unique in the platform since neither holds a dot."""
        return f"{self.namespace}.{self.name}"


def decode(source: Mapping[str, Any]) -> Function:
    """Decode and check a function; the first thing wrong is raised as a `SpecError` that names its key."""
    _refuse_on(source)
    check_keys(source, Function)
    plain = _with_plain_values(source)
    for name in ("namespace", "name"):
        _check_name(plain[name], (name,))
    check_strings(plain, ("inputs",))
    check_strings(plain, ("run", "env"))
    function = convert(plain, Function)
    function_rules.check(function)
    return function


def encode(function: Function) -> dict[str, Any]:
    """The function as JSON-able data in canonical form: every default spelled out, absent values left out."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(function))
    for part in (plain, plain["run"], plain["resources"], plain["limits"]):
        for name in [name for name, value in part.items() if value is None]:
            del part[name]
    return plain


def output_directory(function: Function, captures: Mapping[str, str], subject: str) -> str | None:
    """The directory that the run on ``subject`` may write, ending in ``/``: ``{write}{file name}.d/``.

    ``None`` for a function that writes nothing.
    """
    if function.write is None:
        return None
    directory = Template(function.write, ("write",)).expand(captures)
    return f"{directory}{posixpath.basename(subject.rstrip('/'))}.d/"


def globs(function: Function) -> list[Glob]:
    """The compiled patterns of ``when.path``."""
    return parse_globs(function.when.path)


def _refuse_on(source: object) -> None:
    if isinstance(source, Mapping):
        for name in ("on", True):
            if name in source:
                raise SpecError("'on' is no key here (YAML 1.1 reads it as true)", key=("on",), hint="write when: ...")


def _with_plain_values(source: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with sizes in bytes, durations in seconds, and ``path`` and ``write`` in their canonical form."""
    plain = {name: dict(value) if isinstance(value, dict) else value for name, value in source.items()}
    run = plain.get("run")
    if isinstance(run, dict) and run.get("backend") == "openwhisk" and isinstance(plain.get("resources", {}), dict):
        plain["resources"] = {**LIGHT, **plain.get("resources", {})}
    convert_at(plain, ("when", "path"), lambda value, _: [value] if isinstance(value, str) else value)
    convert_at(plain, ("resources", "memory"), size)
    convert_at(plain, ("resources", "runtime"), duration)
    convert_at(plain, ("resources", "disk"), lambda v, key: None if v in (None, "auto") else size(v, key))
    convert_at(plain, ("run", "python"), _python_version)
    convert_at(plain, ("write",), lambda value, _: value.rstrip("/") + "/" if isinstance(value, str) else value)
    return plain


def _python_version(value: object, key: Key) -> object:
    if isinstance(value, float | int) and not isinstance(value, bool):
        raise SpecError(f"{value!r} is a number, and 3.10 would be 3.1", key=key, hint='quote it: "3.11"')
    return value


def _check_name(value: object, key: Key) -> None:
    if not isinstance(value, str):
        raise SpecError(f"must be a string, not {kind(value)}", key=key, hint="quote it")
    if not re.fullmatch(NAME_PATTERN[1:-1], value, re.ASCII):
        hint = "letters, digits, _ and -, at most 64; no dot, since the full name is namespace.name"
        raise SpecError(f"{value[:100]!r} is no name", key=key, hint=hint)
