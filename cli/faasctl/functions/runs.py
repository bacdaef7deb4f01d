"""The runs of a function, put together from what they left: `_faas/` beside the output of a job, the activations of a
light function."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import msgspec

from eventflow import function as functions
from eventflow.errors import FaasError
from eventflow.function import Function
from eventflow.function import globs as globs_of
from eventflow.pattern import Template, split
from faasctl.functions.client import Activation
from faasctl.functions.outputs import Entry

TEXT_BYTES = 2 << 20
"""A run keeps a megabyte of each stream; this is more than that."""

MOST_LISTINGS = 2000
"""Directories that are looked into before it is said that this is too much."""

_TOLD = "faas: "


class Reader(Protocol):
    """What is needed of a storage: `faasctl.functions.outputs.Outputs`."""

    def entry(self, path: str) -> Entry | None: ...

    def listing(self, path: str) -> list[Entry]: ...

    def content(self, path: str, most: int) -> bytes | None: ...


class TooMany(FaasError):
    """There is more to be looked through than anybody would wait for."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run on one event.

    ``at`` is when it ended (unix seconds), ``id`` tells runs apart, ``outputs`` are the files that it wrote. ``stdout``
    and ``stderr`` are what it printed; a light function, whose activation may have had several events, prints both to
    ``stdout``.
    """

    id: str
    at: float
    subject: str
    exit: int | None
    reason: str | None
    result: Any = None
    version: str | None = None
    outputs: tuple[str, ...] = ()
    stdout: str = ""
    stderr: str = ""


def of_event(function: Function, subject: str, reader: Reader) -> list[Run]:
    """The run on one file; none while it has not ended, or when nothing was run."""
    for glob in globs_of(function):
        captures = glob.match(split(subject))
        if captures is not None:
            directory = functions.output_directory(function, captures, subject)
            assert directory is not None
            found = _run(directory, reader)
            return [found] if found else []
    patterns = ", ".join(function.when.path)
    raise FaasError(f"{subject} fires {function.full_name} not: it does not match {patterns}")


def since(function: Function, begin: float, reader: Reader) -> list[Run]:
    """The runs that ended since ``begin`` (unix seconds), oldest first.

    The output directories are looked for along ``write``; raises `TooMany` where there are too many of them.
    """
    found = [run for each in _directories(function, begin, reader) if (run := _run(f"{each.path}/", reader))]
    return sorted((run for run in found if run.at >= begin), key=lambda run: run.at)


def of_activations(activations: Sequence[Activation], subject: str | None = None) -> list[Run]:
    """The runs of a light function: each line with which the wrapper ended one, and what was printed before."""
    found = []
    for activation in activations:
        printed: list[str] = []
        for number, line in enumerate(activation.logs):
            text = line.split(": ", 1)[-1]
            if not text.startswith(_TOLD):
                printed.append(text)
                continue
            told = msgspec.json.decode(text.removeprefix(_TOLD))
            run = Run(
                id=f"{activation.activation}/{number}",
                at=(activation.end or activation.start) / 1000,
                subject=told["subject"] or "",
                exit=told["exit"],
                reason=told["reason"],
                stdout="\n".join(printed),
            )
            printed = []
            if subject in (None, run.subject):
                found.append(run)
        if printed or not activation.success:
            found.append(_unended(activation, printed))
    return found


def _unended(activation: Activation, printed: Sequence[str]) -> Run:
    reason = None if activation.success else "the activation failed"
    at = (activation.end or activation.start) / 1000
    text = "\n".join(printed)
    return Run(id=activation.activation, at=at, subject="", exit=None, reason=reason, stdout=text)


def _run(directory: str, reader: Reader) -> Run | None:
    content = reader.content(f"{directory}_faas/result.json", TEXT_BYTES)
    if content is None:
        return None
    try:
        record = msgspec.json.decode(content, type=dict[str, Any])
        return Run(
            id=f"{directory}@{record['times']['finished']}",
            at=record["times"]["finished"],
            subject=record["subject"],
            exit=record["exit"],
            reason=record["reason"],
            result=record["result"],
            version=record["version"],
            outputs=tuple(each["path"] for each in record["outputs"]),
            **{name: _text(f"{directory}_faas/{name}", reader) for name in ("stdout", "stderr")},
        )
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise FaasError(f"is no result of a run: {error}", where=f"{directory}_faas/result.json") from None


def _text(path: str, reader: Reader) -> str:
    return (reader.content(path, TEXT_BYTES) or b"").decode("utf-8", "replace")


def _directories(function: Function, begin: float, reader: Reader) -> Iterator[Entry]:
    """The output directories that changed since ``begin``: those named ``.d`` where ``write`` leads to."""
    assert function.write is not None
    template = Template(function.write)
    start = template.literal_directory
    level = [start]
    listed = 0
    for segment in template.segments[start.count("/") if start != "/" else 0 :]:
        found: list[str] = []
        for directory in level:
            listed += 1
            if listed > MOST_LISTINGS:
                raise _too_many(function)
            below = [one for one in reader.listing(directory) if one.directory]
            found += [one.path for one in below if segment.match(one.path.rpartition("/")[2], {})]
        level = found
    for directory in level:
        listed += 1
        if listed > MOST_LISTINGS:
            raise _too_many(function)
        for one in reader.listing(directory):
            if one.directory and one.path.endswith(".d") and (one.modified == 0 or one.modified >= begin - 1):
                yield one


def _too_many(function: Function) -> TooMany:
    why = f"more than {MOST_LISTINGS} directories along {function.write}"
    return TooMany(why, hint="ask for one event: --event PATH")
