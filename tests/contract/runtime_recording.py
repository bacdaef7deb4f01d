"""Cases recorded from a real Python action container: how they are sent, and what of the answers counts."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Json = Any
RECORDING = Path(__file__).parents[1] / "data" / "openwhisk" / "runtime.jsonl.gz"
ENTRIES_MADE = (2020, 1, 1, 0, 0, 0)
ON_UNIX = 3


def cases() -> Iterator[Json]:
    """One recorded case after the other; see the README beside the recording."""
    with gzip.open(RECORDING, "rt") as lines:
        for line in lines:
            yield json.loads(line)


def request_of(step: Json) -> tuple[str, bytes]:
    """The path and the body of a step that is an HTTP request."""
    path = step.get("path", f"/{step['op']}" if step["op"] in ("init", "run") else "/")
    if "body_text" in step:
        return path, _text(step["body_text"]).encode()
    if "body_b64" in step:
        return path, base64.b64decode(step["body_b64"])
    body = step.get("body")
    if "code" in step:
        body = {**body, "value": {**body.get("value", {}), "code": _code(step["code"])}}
    return path, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def differences(step: Json, seen: Json, number: int) -> list[str]:
    """What of ``seen`` is not as recorded; ``seen`` has the recording's shape: response, stdout, stderr, after."""
    found: list[str] = []
    wanted = step.get("response")
    if wanted is not None:
        found += _response_differences(wanted, seen["response"])
    for stream in ("stdout", "stderr"):
        if isinstance(step[stream], dict):
            if not _same_long_text(step[stream], seen[stream]):
                found.append(f"step {number} {stream}: another long text")
            continue
        want, got = _essence(step[stream]), _essence(_lines(seen[stream]))
        if not _lines_match(want, got):
            found.append(f"step {number} {stream}: {want} wanted, {got} seen")
    if step.get("after") and step["after"]["action_process"] != seen["after"]:
        found.append(f"step {number}: action process {step['after']['action_process']} wanted, {seen['after']} seen")
    return found


def _response_differences(wanted: Json, seen: Json) -> list[str]:
    if "no_response" in wanted or seen is None:
        return [] if ("no_response" in wanted) == (seen is None) else [f"{wanted} wanted, {seen} seen"]
    found = []
    if wanted["status"] != seen["status"]:
        found.append(f"status {wanted['status']} wanted, {seen['status']} seen: {seen['body'][:200]!r}")
    for name, value in wanted.get("headers", {}).items():
        # The length of a body that names a folder or a parser's words differs with them.
        if name != "content-length" and seen["headers"].get(name) != value:
            found.append(f"header {name}: {value} wanted, {seen['headers'].get(name)} seen")
    alike = _body_matches(wanted["body"], seen["body"])
    # The recording keeps requests as objects, not the order of their keys.
    if not alike and not ("json" in wanted and wanted["json"] == _json(seen["body"])):
        found.append(f"body {str(wanted['body'])[:300]!r} wanted, {seen['body'][:300]!r} seen")
    return found


def _lines(text: str) -> list[str]:
    return io.StringIO(text, newline="\n").readlines()


def _json(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _same_long_text(wanted: Mapping[str, Json], seen: str) -> bool:
    """Byte for byte, unless it names folders."""
    if "<action dir>" in wanted["head"]:
        return seen.endswith(str(wanted["tail"])) and seen.count("\n") == int(wanted["newlines"])
    return hashlib.sha256(seen.encode()).hexdigest() == str(wanted["sha256"])


def _body_matches(wanted: Json, seen: str) -> bool:
    if isinstance(wanted, dict):
        return _same_long_text(wanted, seen)
    if "rror unmarshaling request" in wanted:  # Go's words for it
        return seen.startswith('{"error":"Error unmarshaling request: ')
    return _pattern(wanted).fullmatch(seen) is not None


def _essence(lines: list[str]) -> list[str]:
    """Lines without tracebacks' frames, and without what the compile script says of itself."""
    kept: list[str] = []
    inside = False
    for line in lines:
        if line.startswith("Traceback (most recent call last):"):
            inside = True
        elif inside and (line.startswith((" ", "<source line>")) or not line.strip()):
            continue
        else:
            inside = False
            kept.append(line)
    return kept


def _lines_match(wanted: list[str], seen: list[str]) -> bool:
    if len(wanted) != len(seen):
        return False
    return all(_pattern(want).fullmatch(got) for want, got in zip(wanted, seen, strict=True))


PLACEHOLDERS = {
    r"<action dir>": r"/\S*/action/1/bin",
    r"<python lib>": r"/\S*/lib/python3\.\d+",
    r"<timestamp> ": r"\S+ \S+ ",
    r"<address>": r"0x[0-9a-f]+",
    r"<source line>": r".*",
    r"<client>": r".*",
}


def _pattern(text: str) -> re.Pattern[str]:
    pattern = re.escape(text)
    for placeholder, matches in PLACEHOLDERS.items():
        pattern = pattern.replace(re.escape(placeholder), matches)
    pattern = re.sub(r"<action\\ dir\\ (\d+)>", r"/\\S*/action/\1/bin", pattern)
    return re.compile(pattern, re.DOTALL)


def _text(given: Json) -> str:
    if isinstance(given, str):
        return given
    prefix, unit, times, suffix = given["repeat"]
    return str(prefix + unit * times + suffix)


def _code(given: Mapping[str, Json]) -> str:
    kind = given["kind"]
    if kind == "text":
        return _text(given["text"])
    if kind == "b64":
        return str(given["b64"])
    content = {
        "zip": lambda: _zip(given["entries"])[: given.get("truncate")],
        "targz": lambda: _targz(given["entries"]),
        "b64text": lambda: _text(given["text"]).encode(),
    }[kind]()
    return base64.b64encode(content).decode()


def _content(entry: Mapping[str, Json]) -> bytes:
    return base64.b64decode(entry["b64"]) if "b64" in entry else _text(entry.get("text", "")).encode()


def _zip(entries: list[Json]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for entry in entries:
            is_folder = entry["path"].endswith("/")
            info = zipfile.ZipInfo(entry["path"], ENTRIES_MADE)
            mode = entry.get("mode", "0755" if is_folder else "0644")
            if mode is None:  # as made on Windows: no Unix mode at all, only the archive bit
                info.create_system, info.external_attr = 0, 0x20
            else:
                kind = stat.S_IFLNK if entry.get("symlink") else stat.S_IFDIR if is_folder else stat.S_IFREG
                info.create_system, info.external_attr = ON_UNIX, (kind | int(mode, 8)) << 16
            if is_folder:
                info.external_attr |= 0x10
            archive.writestr(info, entry["symlink"].encode() if entry.get("symlink") else _content(entry))
    return buffer.getvalue()


def _targz(entries: list[Json]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
        for entry in entries:
            content = _content(entry)
            info = tarfile.TarInfo(entry["path"])
            info.size, info.mode = len(content), int(entry.get("mode", "0644"), 8)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
