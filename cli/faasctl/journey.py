"""The journey of one event: what happened to it, step by step, put together from what the parts themselves recorded.

The trigger's and the actions' activations tell of the pipeline, the pool of the job, the job's result of its output.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from eventflow.clients.openwhisk import OpenWhisk
from eventflow.errors import FaasError
from eventflow.event import Data, Event
from eventflow.function import Function, decode, output_directory
from eventflow.index import Index
from faasctl.watching import Course, Watched

ACTIONS = ("filter_event", "mint_tokens", "augment_event", "submit_condor")


class NoJourney(FaasError):
    """The event did not arrive where it should."""


class Step(msgspec.Struct, frozen=True):
    """One step: when it began (unix ms) and, where it is known, how long it took (ms)."""

    name: str
    at: float
    took: float | None = None
    note: str = ""


class Output(msgspec.Struct, frozen=True):
    """A file that the function wrote."""

    path: str
    size: int
    adler32: str


class Journey(msgspec.Struct, frozen=True):
    """An event, what happened to it, the job it became, and the function's own output files."""

    event: dict[str, Any]
    steps: tuple[Step, ...]
    job: dict[str, Any]
    output: tuple[Output, ...]
    timings_ms: dict[str, float]


def example_path(function: Function, file_name: str) -> str:
    """A path with this file name that fires the function: its first fitting pattern with every wildcard filled in.

    Raises `NoJourney` when the file name fits none of its patterns.
    """
    for pattern in function.when.path:
        folder = [_fill(segment) for segment in pattern.split("/")[1:-1] if segment != "**"]
        path = "/" + "/".join([*folder, file_name])
        event = Event(id="", source="", type=function.when.type, subject=path, time="", data=Data(path=path))
        anything = msgspec.structs.replace(function, when=msgspec.structs.replace(function.when, where={}))
        if Index([anything]).match(event):
            return path
    raise NoJourney(
        f"a file named {file_name} fires nothing", hint=f"the function waits for {' or '.join(function.when.path)}"
    )


def _fill(segment: str) -> str:
    return re.sub(r"\{[^}]*\}|\*", "demo", segment)


def pipeline(openwhisk: OpenWhisk, sequence: str, subject: str, since_ms: int) -> dict[str, Any] | None:
    """The activation of the sequence that worked on the event of ``subject``, or ``None`` while there is none."""
    name = sequence.rpartition("/")[2]
    for row in openwhisk.get("activations", since=since_ms, limit=200, docs="true"):
        if row["name"] == name and any(
            work["event"]["subject"] == subject
            for part in _components(openwhisk, row)[:1]
            for work in part["response"]["result"].get("work", ())
        ):
            return dict(row)
    return None


def follow(
    openwhisk: OpenWhisk,
    pool: Watched,
    sequence: dict[str, Any],
    *,
    written_ms: float,
    read: Callable[[str], bytes | None],
    wait: Callable[[Callable[[], Any], str], Any],
) -> Journey:
    """Follow one event from its sequence activation to its job's end.

    ``wait(look, what)`` calls ``look`` until it returns something; it raises when that takes too long. Raises
    `NoJourney` with the reason of a step that refused the event. ``read`` fetches a file of the storage: the job's
    report stands beside its output.
    """
    parts = _components(openwhisk, sequence)
    report = sequence["response"]["result"]["report"]
    if not report["done"]:
        reasons = "; ".join(f"{one['stage']}: {one['message']}" for one in report["failed"]) or "it matched no function"
        raise NoJourney(f"the event became no job: {reasons}")
    done = report["done"][0]
    job = wait(lambda: _ended(pool, done["job"]), f"job {done['job']}")
    batch = parts[0]["response"]["result"]
    event = batch["work"][0]["event"]
    steps = [Step("written", written_ms, note=event["subject"])]
    steps += [Step(part["name"], part["start"], part["duration"]) for part in parts]
    steps += [Step(f"job {moment.state}", moment.at * 1000, note=moment.why) for moment in job.moments]
    result = _result(job, batch, read)
    outputs = tuple(Output(one["path"], one["size"], one["adler32"]) for one in result.get("outputs", ()))
    submitted = parts[-1]["end"]
    ended = job.moments[-1].at * 1000 if job.moments else submitted
    return Journey(
        event=event,
        steps=tuple(sorted(steps, key=lambda step: step.at)),
        job={
            "id": done["job"],
            "pool": done["destination"],
            "key": done["key"],
            "function": done["function"],
            "version": done["version"],
            "state": job.state,
            "exit": job.exit,
            "reason": result.get("reason"),
        },
        output=outputs,
        timings_ms={
            "event_to_queue": round(submitted - written_ms, 1),
            "queue_to_output": round(ended - submitted, 1),
            "total": round(ended - written_ms, 1),
        },
    )


def clock(milliseconds: float) -> str:
    """A point in time for people: hours to milliseconds, UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]


def _components(openwhisk: OpenWhisk, sequence: dict[str, Any]) -> list[dict[str, Any]]:
    """The activations of a sequence's actions; a sequence's logs are their ids."""
    return [dict(openwhisk.get("activations", activation)) for activation in sequence["logs"]]


def _ended(pool: Watched, job: str) -> Course | None:
    found = pool.course(job)
    return found if found is not None and found.ended else None


def _result(job: Course, batch: dict[str, Any], read: Callable[[str], bytes | None]) -> dict[str, Any]:
    """The job's report on the event: the pool's, if it keeps one, else what stands beside the output."""
    if job.result is not None:
        return dict((job.result.get("events") or [{}])[0])
    item = batch["work"][0]
    function = decode(batch["functions"][item["function"]]["spec"])
    directory = output_directory(function, item.get("captures", {}), item["event"]["subject"])
    found = read(f"{directory}_faas/result.json") if directory is not None else None
    return dict(msgspec.json.decode(found)) if found is not None else {}
