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

from eventflow.overlap import Comparison, TooIntricate
from eventflow.pattern import STAR, Glob, Segment, Template, parse_glob
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
    json_size,
    kind,
    nearest,
    size,
)
from eventflow.where import FIELDS, compile_where

MAX_PARAMS_BYTES = 64 * 1024
COMPARISON_STEPS = 20_000
"""Some 30 ms: functions are decoded in the actions too, and no pattern may hold those up."""

NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$"
INPUT_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,31}$"
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][\w.]*)\}", re.ASCII)
_RESERVED_CAPTURES = frozenset({"input", "inputs", "output"})

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
ALSO = "x-also"
"""In the JSON schema: what a person may write instead, before it is brought into its plain form."""

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
    in seconds."""

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
    _check_when(function)
    _check_run(function)
    _check_resources(function)
    _check_templates(function)
    _refuse_feeding_itself(function)
    if json_size(function.params, ("params",)) > MAX_PARAMS_BYTES:
        raise SpecError(f"are more than {MAX_PARAMS_BYTES} bytes", key=("params",), hint="use an input file")
    return function


def encode(function: Function) -> dict[str, Any]:
    """The function as JSON-able data in canonical form: every default spelled out, absent values left out."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(function))
    for part in (plain, plain["run"], plain["resources"], plain["limits"]):
        for name in [name for name, value in part.items() if value is None]:
            del part[name]
    return plain


def output_directory(function: Function, captures: Mapping[str, str], subject: str) -> str:
    """The directory that the run on ``subject`` may write, ending in ``/``: ``{write}{file name}.d/``."""
    if function.write is None:
        raise SpecError(f"{function.full_name} writes nothing", key=("write",))
    directory = Template(function.write, ("write",)).expand(captures)
    return f"{directory}{posixpath.basename(subject.rstrip('/'))}.d/"


def globs(function: Function) -> list[Glob]:
    """The compiled patterns of ``when.path``."""
    return [parse_glob(text, ("when", "path", i)) for i, text in enumerate(function.when.path)]


def _refuse_on(source: object) -> None:
    if isinstance(source, Mapping):
        for name in ("on", True):
            if name in source:
                raise SpecError("'on' is no key here (YAML 1.1 reads it as true)", key=("on",), hint="write when: ...")


def _with_plain_values(source: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with sizes in bytes, durations in seconds, and ``path`` and ``write`` in their canonical form."""
    plain = {name: dict(value) if isinstance(value, dict) else value for name, value in source.items()}
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


def _check_when(function: Function) -> None:
    if function.namespace == "default":
        raise SpecError("'default' is no package of OpenWhisk", key=("namespace",), hint="choose another name")
    if function.when.type.startswith("storage."):
        for name in function.when.where:
            if name not in FIELDS:
                hint = nearest(name, FIELDS)
                raise SpecError(f"storage events have no {name!r}", key=("when", "where", name), hint=hint)
    if json_size(function.when.where, ("when", "where")) > MAX_PARAMS_BYTES:
        raise SpecError(f"is more than {MAX_PARAMS_BYTES} bytes", key=("when", "where"))
    compile_where(function.when.where)


def _check_run(function: Function) -> None:
    run = function.run
    if (run.main is None) == (not run.command):
        raise SpecError("needs either main or command", key=("run",), hint="main: my.py, or command: [./my]")
    if run.main is not None and not re.fullmatch(r"(?:[\w-][\w.-]*/)*[\w-][\w.-]*\.py", run.main, re.ASCII):
        raise SpecError(
            f"{run.main!r} is no Python file in the function's folder", key=("run", "main"), hint="main: my.py"
        )
    if run.command:
        _check_command(function)
    for name in ("image", "setup"):
        text = getattr(run, name)
        if text is not None and (not 0 < len(text) <= 512 or re.search(r"[\s\x00-\x1f\x7f]", text)):
            raise SpecError("is empty, too long or holds blanks", key=("run", name))
    if run.setup is not None and not run.setup.startswith("/"):
        raise SpecError("must be an absolute path", key=("run", "setup"), hint="/cvmfs/.../setup.sh")
    for name, value in run.env.items():
        if not _ENV_NAME.fullmatch(name) or "\0" in value:
            raise SpecError(f"{name!r} is no name of a variable, or its value holds NUL", key=("run", "env", name))
    if run.backend == "openwhisk":
        _check_light(function)
    elif function.write is None:
        raise SpecError("'write' is missing", hint="say where output goes: write: /pnfs/.../{run}/")


def _check_command(function: Function) -> None:
    if function.run.python is not None:
        raise SpecError("goes with main, not with command", key=("run", "python"))
    known = ["input", "output", *(f"inputs.{name}" for name in function.inputs), *sorted(_captured(function))]
    for i, word in enumerate(function.run.command):
        if "\0" in word or not word:
            raise SpecError("is empty or holds NUL", key=("run", "command", i))
        for name in _PLACEHOLDER.findall(word):
            if name not in known:
                raise SpecError(
                    f"nothing to fill {{{name}}} with", key=("run", "command", i), hint=nearest(name, known)
                )


def _check_light(function: Function) -> None:
    for name in ("image", "command", "setup"):
        if getattr(function.run, name):
            raise SpecError("a light function runs Python in OpenWhisk", key=("run", name), hint="use htcondor")
    if function.resources.gpus or function.resources.cpus > 1:
        raise SpecError("a light function has one core and no GPU", key=("resources",), hint="use htcondor")


def _check_resources(function: Function) -> None:
    needs = function.resources
    for name in ("memory", "disk"):
        value = getattr(needs, name)
        if value is not None and not 10**6 <= value <= 10**15:
            raise SpecError(f"{value} bytes is out of range", key=("resources", name), hint="give the unit: 2GB, 500MB")
    if not 1 <= needs.runtime <= 30 * 86400:
        raise SpecError(f"{needs.runtime} s is not between 1s and 30d", key=("resources", "runtime"), hint="as in 1h")


def _captured(function: Function) -> frozenset[str]:
    """What every pattern captures, and templates may therefore use."""
    patterns = globs(function)
    for i, glob in enumerate(patterns):
        for name in sorted(glob.captures & _RESERVED_CAPTURES):
            hint = "in run.command it means the local file or folder; choose another name"
            raise SpecError(f"{{{name}}} cannot be captured", key=("when", "path", i), hint=hint)
    return frozenset.intersection(*(glob.captures for glob in patterns))


def _check_templates(function: Function) -> None:
    captured = _captured(function)
    templates: dict[Key, str] = {("inputs", name): text for name, text in function.inputs.items()}
    if function.write is not None:
        templates[("write",)] = function.write
    for key, text in templates.items():
        for name in sorted(Template(text, key).captures - captured):
            known = ", ".join(f"{{{each}}}" for each in sorted(captured)) or "nothing"
            raise SpecError(f"{{{name}}} is not captured by every when.path", key=key, hint=f"captured there: {known}")


def _refuse_feeding_itself(function: Function) -> None:
    """A function whose output its own pattern matches would run for ever; captures are taken as independent."""
    if function.write is None or not function.when.type.startswith("storage."):
        return
    patterns = globs(function)
    directory = Template(function.write, ("write",)).segments
    comparison = Comparison(COMPARISON_STEPS)
    for source in patterns:
        last = source.segments[-1]
        name = Segment([*(last or STAR).parts, ".d"])
        output = Glob([*directory, name, STAR, None])
        for i, pattern in enumerate(patterns):
            try:
                example = comparison.common_path(pattern, output)
            except TooIntricate:
                raise SpecError(
                    "is too intricate to tell whether it matches what the function itself may write",
                    key=("when", "path", i),
                    hint="use fewer or simpler patterns",
                ) from None
            if example is not None:
                raise SpecError(
                    f"matches what the function itself may write, such as {example}, and would run for ever",
                    key=("when", "path", i),
                    hint="write to another directory, or make the pattern narrower",
                )
