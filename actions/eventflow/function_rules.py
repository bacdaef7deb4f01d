"""What makes a function sound, beyond the types of its parts; each rule says the key that breaks it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from eventflow.overlap import Comparison, TooIntricate
from eventflow.pattern import STAR, Glob, Segment, Template, parse_globs
from eventflow.spec import Key, SpecError, json_size, nearest
from eventflow.where import FIELDS, compile_where

if TYPE_CHECKING:
    from eventflow.function import Function

MAX_BYTES = 64 * 1024
"""A function travels with every batch that it has work in."""

COMPARISON_STEPS = 20_000
"""Some 30 ms: functions are decoded in the actions too, and no pattern may hold those up."""

LIGHT_MEMORY, LIGHT_RUNTIME = 512 * 2**20, 40
"""Bytes and seconds of a light function: OpenWhisk's own limit, and what `submit_condor` can wait for."""

EVENT_TYPES = (
    *("storage.written", "storage.read", "storage.removed", "storage.flushed", "storage.restored", "storage.moved"),
    *("job.completed", "job.failed", "job.removed"),
)
"""The platform's own; other sources have other types."""

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][\w.]*)\}", re.ASCII)
_RESERVED_CAPTURES = frozenset({"input", "inputs", "output"})


def check(function: Function) -> None:
    """Raise the first `SpecError` that there is."""
    if json_size(function, ()) > MAX_BYTES:
        raise SpecError(f"is more than {MAX_BYTES} bytes", key=("params",), hint="use an input file")
    _check_texts(function)
    _check_when(function)
    _check_run(function)
    _check_resources(function)
    _check_templates(function)
    _refuse_feeding_itself(function)


def _check_texts(function: Function) -> None:
    if function.namespace == "default":
        raise SpecError("'default' is no package of OpenWhisk", key=("namespace",), hint="choose another name")
    if not function.contact.isprintable():
        raise SpecError("holds a control character", key=("contact",))


def _check_when(function: Function) -> None:
    kind = function.when.type
    if kind.partition(".")[0] in ("storage", "job") and kind not in EVENT_TYPES:
        raise SpecError(f"there are no events {kind!r}", key=("when", "type"), hint=nearest(kind, EVENT_TYPES))
    if kind.startswith("storage."):
        for name in function.when.where:
            if name not in FIELDS:
                hint = nearest(name, FIELDS)
                raise SpecError(f"storage events have no {name!r}", key=("when", "where", name), hint=hint)
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
    needs = function.resources
    if needs.gpus or needs.cpus > 1:
        raise SpecError("a light function has one core and no GPU", key=("resources",), hint="use htcondor")
    for name, most, text in (("memory", LIGHT_MEMORY, "512MB"), ("runtime", LIGHT_RUNTIME, f"{LIGHT_RUNTIME}s")):
        if getattr(needs, name) > most:
            raise SpecError(f"a light function has {text} at most", key=("resources", name), hint="use htcondor")


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
    patterns = parse_globs(function.when.path)
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


def written_globs(function: Function) -> list[Glob]:
    """What the function may write, as patterns: one for each of ``when.path``. Captures are taken as independent."""
    if function.write is None:
        return []
    directory = Template(function.write, ("write",)).segments
    sources = parse_globs(function.when.path)
    names = [Segment([*(source.segments[-1] or STAR).parts, ".d"]) for source in sources]
    return [Glob([*directory, name, STAR, None]) for name in names]


def _refuse_feeding_itself(function: Function) -> None:
    """A function whose output its own pattern matches would run for ever."""
    if not function.when.type.startswith("storage."):
        return
    comparison = Comparison(COMPARISON_STEPS)
    for output in written_globs(function):
        for i, pattern in enumerate(parse_globs(function.when.path)):
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
