"""Trying a function out on a file of this machine: the job as it will be, without storage and pool."""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from eventflow.batch import Item, Origin, Registered
from eventflow.envelope import build, complete
from eventflow.errors import FaasError
from eventflow.event import Data, Event, event_id
from eventflow.function import Function, encode, globs
from eventflow.index import Index, Match
from eventflow.pattern import Glob, split
from eventflow.storages import Storage
from faasctl.build import Target
from faasctl.functions.door import ENDPOINT, PLACES
from faasctl.functions.package import pack


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run: the runner's exit code and reason (null when all went well), what ``main`` returned, the
    files that came out (``path`` in the storage, ``file`` here), and what was printed."""

    exit: int
    reason: str | None
    result: Any
    outputs: tuple[dict[str, Any], ...]
    stdout: str
    stderr: str


class DoesNotFire(FaasError):
    """The event would not fire the function."""


def event_for(function: Function, file: Path, subject: str | None) -> Event:
    """The event that ``file`` was written as ``subject``, else as an example path that the function matches."""
    path = subject or example_path(function, file.name)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Event(
        id=event_id("test", path),
        source="//faasctl/test",
        type=function.when.type,
        subject=path,
        time=now,
        data=Data(path=path, size=file.stat().st_size),
    )


def example_path(function: Function, name: str) -> str:
    """A path that matches the function's pattern, for a file called ``name``; captures stand for themselves."""
    for glob in globs(function):
        path = "/" + "/".join([*_example_directories(glob), name])
        if glob.match(path.split("/")[1:]) is not None:
            return path
    raise DoesNotFire(
        f"no file called {name!r} matches {', '.join(function.when.path)}",
        hint="rename it, or say which path it stands for with --path",
    )


def _example_directories(glob: Glob) -> list[str]:
    below = glob.segments[-1] is None
    found = []
    for segment in glob.segments[: -2 if below else -1]:
        if segment is not None:
            parts = [part if isinstance(part, str) else part.name or "x" for part in segment.parts]
            found.append("".join(parts))
    return found


def matched(function: Function, event: Event) -> Match:
    """How ``event`` fires ``function``; raises `DoesNotFire` and says what is different."""
    found = Index([function]).match(event)
    if found:
        return found[0]
    if event.type != function.when.type:
        raise DoesNotFire(f"the event is {event.type}, and the function is for {function.when.type}")
    check_path(function, event.subject)
    raise DoesNotFire("the event's data do not fulfil when.where", hint="give the whole event with --event")


def check_path(function: Function, path: str) -> None:
    """Raise `DoesNotFire` for a path that the function's patterns do not match."""
    if all(glob.match(split(path)) is None for glob in globs(function)):
        raise DoesNotFire(f"{path} does not match {', '.join(function.when.path)}")


def run(
    folder: Path, function: Function, event: Event, file: Path, inputs: Mapping[str, Path], output: Path
) -> Outcome:
    """Run ``function`` on ``file`` as a job would.

    What it writes goes to ``output/NAME.d``, replacing what is there.
    """
    match = matched(function, event)
    package = pack(folder, function, Target.here())
    envelope, files = _job(function, event, match, package.code, file, inputs)
    target = output / f"{posixpath.basename(event.subject)}.d"
    places: dict[str, Any] = {"files": files, "output": None}
    prefix = ""
    if envelope["write"] is not None:
        if target.exists():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        prefix = envelope["write"]["path"]
        places["output"] = {"path": prefix, "folder": str(target.absolute())}
    with tempfile.TemporaryDirectory(prefix="faasctl-test-") as name:
        sandbox = Path(name)
        (sandbox / "function.zip").write_bytes(package.data)
        (sandbox / "events.jsonl").write_text(json.dumps(envelope) + "\n", encoding="utf-8")
        (sandbox / PLACES).write_text(json.dumps(places), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "faasctl.functions.door"], cwd=sandbox, capture_output=True, env=dict(os.environ)
        )
        record = _record(sandbox / "result.json", done.stderr)
        stdout, stderr = _text(sandbox / "stdout"), _text(sandbox / "stderr")
    return Outcome(
        exit=record["exit"],
        reason=record.get("reason"),
        result=record.get("result"),
        outputs=tuple(
            {**each, "file": str(target / each["path"].removeprefix(prefix))} for each in record.get("outputs", ())
        ),
        stdout=stdout,
        stderr=stderr,
    )


def _job(
    function: Function, event: Event, match: Match, code: str, file: Path, inputs: Mapping[str, Path]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The self-sufficient event, as the platform builds it, and which file of this machine each path is."""
    here = Storage(name="here", flavour="dcache", prefixes=("/",), read=ENDPOINT, write=ENDPOINT)
    item = Item(origin=Origin("test", 0, 0), event=event, function=function.full_name, captures=match.captures)
    registered = Registered(spec=encode(function), version="test", code=code)
    envelope = build(item, registered, [here], {})
    envelope["read"]["size"] = file.stat().st_size
    envelope["exec"]["python"] = None  # the Python that is at hand
    files = {event.subject: str(file.absolute())}
    for name, place in envelope["inputs"].items():
        if name not in inputs:
            raise FaasError(f"the function has an input {name!r}", hint=f"give a file for it: --input {name}=FILE")
        files[place["path"]] = str(inputs[name].absolute())
    tokens = {"read": "none", "write": "none", "inputs": dict.fromkeys(envelope["inputs"], "none")}
    return complete(envelope, tokens), files


def _record(path: Path, stderr: bytes) -> dict[str, Any]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        last = stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:300]
        raise FaasError(f"the runner left no result: {last or 'no message'}") from None
    record: dict[str, Any] = report["events"][0]
    return record


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
