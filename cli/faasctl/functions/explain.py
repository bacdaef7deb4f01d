"""Why an event fires a function, or why not: each pattern and each condition by itself.

What fires is told by the same index as in the platform; this is for the words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from eventflow.event import Event
from eventflow.function import Function, globs
from eventflow.pattern import Glob, Segment, split
from eventflow.where import Condition, compile_where

Kind = Literal["type", "path", "where", "chained", "paused"]


class Reason(msgspec.Struct, frozen=True):
    """One thing that keeps a function from firing: what kind it is of, which key of `function.yaml`, and why."""

    kind: Kind
    key: str
    why: str


def against(function: Function, event: Event, *, own: bool = False) -> list[Reason]:
    """Everything that keeps ``event`` from firing ``function``; nothing when it fires.

    ``own`` says that one of the platform's own jobs wrote the file.
    """
    found: list[Reason] = []
    if event.type != function.when.type:
        found.append(Reason("type", "when.type", f"waits for {function.when.type}, this is {event.type}"))
    path = split(event.subject)
    compiled = globs(function)
    if all(glob.match(path) is None for glob in compiled):
        many = len(compiled) > 1
        for number, glob in enumerate(compiled):
            key = f"when.path[{number}]" if many else "when.path"
            found.append(Reason("path", key, f"{glob.text}: {_mismatch(glob, path)}"))
    for condition in compile_where(function.when.where):
        value = condition.value(event.data)
        if not condition.holds(value):
            key = "when.where." + ".".join(condition.path)
            wanted = json.dumps(_written(function.when.where, condition))
            found.append(Reason("where", key, f"{'absent' if value is None else json.dumps(value)} is not {wanted}"))
    if own and not function.chained:
        found.append(Reason("chained", "chained", "the platform's own job wrote the file, and chained is false"))
    return found


def _mismatch(glob: Glob, path: list[str]) -> str:
    """What is different first, from the left, and behind a ``**`` from the right."""
    segments = glob.segments
    before = segments.index(None) if None in segments else len(segments)
    for number, (segment, text) in enumerate(zip(segments[:before], path, strict=False)):
        if (why := _differs(segment, text)) is not None:
            return f"segment {number + 1}, {why}"
    if None not in segments:
        return f"has {len(segments)} segments, the path has {len(path)}"
    fixed = [segment for segment in segments if segment is not None]
    if len(path) < len(fixed):
        return f"needs at least {len(fixed)} segments, the path has {len(path)}"
    last = segments[-1]
    if last is not None and (why := _differs(last, path[-1])) is not None:
        return f"the last segment, {why}"
    return "the segments between do not fit"


def _differs(segment: Segment | None, text: str) -> str | None:
    if segment is None or segment.match(text, {}):
        return None
    shown = "".join(
        part if isinstance(part, str) else f"{{{part.name}}}" if part.name else "*" for part in segment.parts
    )
    return f"{text!r}, is not {shown!r}"


def _written(where: Mapping[str, Any], condition: Condition) -> Any:
    here: Any = where
    for name in condition.path:
        here = here[name]
    return here
