"""The registry's desk: what a pusher may ask of it, decided and done. HTTP is `actions/registry`, identity `caller`.

GET    /                          who is asking, and where they may push
GET    /functions                 those they may see, page by page (?after=NAME)
GET    /functions/NAME            one, and GET /functions/NAME/logs the activations of a light one (?since=ms)
PUT    /functions/NAME            push {spec, code: {sha256, data | parts}, plan?, by?, commit?}
PUT    /functions/NAME/parts/N    a part of the code of a later push {sha256, data}: a request holds a megabyte
DELETE /functions/NAME
POST   /functions/NAME/pause      {drop?}, and POST /functions/NAME/resume
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import msgspec

from eventflow import caller as callers
from eventflow import catalogue, circles, function
from eventflow.caller import Caller
from eventflow.catalogue import Code, Entities, Entry, Provenance
from eventflow.clients.openwhisk import Conflict, NotFound
from eventflow.errors import FaasError
from eventflow.function import NAME_PATTERN, Function
from eventflow.policy import Policy, check_function, check_storages
from eventflow.spec import SpecError
from eventflow.storages import Storage

CODE_BYTES = 5 << 20
"""The most code of one function: it travels with every job."""

PART_BYTES = 600_000
"""The most of it in one request: a megabyte as base64, with room for the rest."""

PAGE_BYTES = 700_000
LOG_BYTES = 600_000
LOG_ROWS = 50
PARTS = "parts.of"
"""A package of the functions namespace where parts wait; its dot keeps it apart from every function's."""

PARTS_LIVE_MS = 3_600_000

T = TypeVar("T")


class BadRequest(FaasError):
    """The request is not one of the desk's."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request without its headers: ``path`` in segments, query and JSON body as one mapping."""

    method: str
    path: tuple[str, ...]
    arguments: Mapping[str, Any]


class _Code(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: str
    data: str | None = None
    parts: int = 0


class _Push(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    spec: dict[str, Any]
    code: _Code
    plan: bool = False
    by: str | None = None
    commit: str | None = None


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: str
    data: str


class _Pause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    drop: bool = False


class Desk:
    """Answers requests on the functions namespace, under the platform's policies.

    ``storages`` are asked how long their tokens may live; ``kind`` is the OpenWhisk kind that functions are stored as;
    ``now`` is the time of this request.
    """

    def __init__(
        self,
        registry: Entities,
        policies: Mapping[str, Policy],
        storages: Sequence[Storage] = (),
        *,
        kind: str,
        now: datetime,
    ) -> None:
        self._registry = registry
        self._storages = storages
        self._policies = policies
        self._kind = kind
        self._now = now

    def answer(self, caller: Caller, request: Request) -> dict[str, Any]:
        """Do what is asked; raises `FaasError` of the kind that says why not."""
        match (request.method, *request.path):
            case ("get",):
                return self._whoami(caller)
            case ("get", "functions"):
                return self._list(caller, str(request.arguments.get("after", "")))
            case ("get", "functions", name):
                return {"function": _plain(self._one(caller, name, change=False))}
            case ("get", "functions", name, "logs"):
                return self._logs(caller, name, _since(request.arguments.get("since", "0")))
            case ("put", "functions", name):
                return self._push(caller, name, _body(request, _Push))
            case ("put", "functions", name, "parts", number):
                return self._part(caller, name, number, _body(request, _Part))
            case ("delete", "functions", name):
                self._one(caller, name, change=True)
                return {"function": _plain(catalogue.remove(self._registry, name))}
            case ("post", "functions", name, "pause"):
                how: Literal["park", "drop"] = "drop" if _body(request, _Pause).drop else "park"
                return self._pause(caller, name, how)
            case ("post", "functions", name, "resume"):
                return self._pause(caller, name, None)
        raise BadRequest(f"there is nothing to {request.method.upper()} at /{'/'.join(request.path)[:200]}")

    def _whoami(self, caller: Caller) -> dict[str, Any]:
        return {
            "name": caller.name,
            "project": caller.project,
            "protected": caller.protected,
            "administrator": caller.administrator,
            "namespaces": callers.namespaces(caller, self._policies),
            "kind": self._kind,
        }

    def _list(self, caller: Caller, after: str) -> dict[str, Any]:
        """As many functions after ``after`` as a result holds; ``more`` says that there are others."""
        allowed = set(callers.namespaces(caller, self._policies))
        found: list[dict[str, Any]] = []
        used = 0
        for entry in catalogue.entries(self._registry, after):
            if not (caller.administrator or entry.name.partition(".")[0] in allowed):
                continue
            row = _plain(entry)
            used += len(msgspec.json.encode(row))
            if used > PAGE_BYTES and found:
                return {"functions": found, "more": True}
            found.append(row)
        return {"functions": found, "more": False}

    def _one(self, caller: Caller, name: str, *, change: bool) -> Entry:
        if not caller.administrator:  # who may remove what no policy covers any more
            callers.check(caller, self._policies, name.partition(".")[0], change=change)
        return catalogue.entry(self._registry, name)

    def _pause(self, caller: Caller, name: str, how: Literal["park", "drop"] | None) -> dict[str, Any]:
        self._one(caller, name, change=True)
        return {"function": _plain(catalogue.pause(self._registry, name, how))}

    def _push(self, caller: Caller, name: str, push: _Push) -> dict[str, Any]:
        spec = function.decode(push.spec)
        if spec.full_name != name:
            raise BadRequest(f"the spec is of {spec.full_name} and not of {name}")
        rules = callers.check(caller, self._policies, spec.namespace, change=not push.plan)
        check_function(rules, spec)
        check_storages(rules, spec, self._storages)
        digest = _digest(push.code.sha256)
        around = circles.through(spec, self._others(spec.full_name))
        if push.plan:
            planned = catalogue.plan(self._registry, spec, digest)
        else:
            code = Code(self._code(spec, push.code), digest)
            _check_zip(code.data)
            planned = catalogue.push(self._registry, spec, code, self._provenance(caller, push), kind=self._kind)
            self._forget_parts(spec.namespace, push.code)
        return {
            "name": spec.full_name,
            **msgspec.to_builtins(planned),
            "circles": [str(circle) for circle in around],
        }

    def _others(self, name: str) -> Iterator[Function]:
        for entry in catalogue.entries(self._registry):
            if entry.spec is not None and entry.name != name:
                yield function.decode(entry.spec)

    def _provenance(self, caller: Caller, push: _Push) -> Provenance:
        """A CI job's is what its token says; an administrator is believed."""
        at = self._now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if caller.administrator:
            return Provenance(by=_short(push.by) or caller.name, commit=_short(push.commit), at=at)
        return Provenance(by=caller.name, commit=caller.commit, project=caller.project, at=at)

    def _part(self, caller: Caller, name: str, number: str, part: _Part) -> dict[str, Any]:
        namespace, _, short = name.partition(".")
        callers.check(caller, self._policies, namespace, change=True)
        if not re.fullmatch(NAME_PATTERN[1:-1], short, re.ASCII):
            raise BadRequest(f"{name[:100]!r} is no function's name")
        if not re.fullmatch(r"[0-9]", number) or int(number) * PART_BYTES > CODE_BYTES:
            raise BadRequest(f"{number[:20]!r} is no number of a part")
        if len(_decoded(part.data)) > PART_BYTES:
            raise BadRequest(f"a part has more than {PART_BYTES} bytes")
        with contextlib.suppress(Conflict):  # it is there
            self._registry.put("packages", PARTS, {})
        body = {
            "exec": {"kind": self._kind, "binary": True, "code": part.data},
            "annotations": [{"key": "provide-api-key", "value": False}],
        }
        self._registry.put("actions", _part_name(namespace, _digest(part.sha256), int(number)), body, overwrite=True)
        return {"part": int(number)}

    def _code(self, spec: Function, code: _Code) -> bytes:
        """The zip, from the request itself or from the parts that came before; it must be what its hash says."""
        digest = _digest(code.sha256)
        if code.data is not None:
            data = _decoded(code.data)
        else:
            if not 0 < code.parts <= 1 + CODE_BYTES // PART_BYTES:
                raise BadRequest(f"code comes in at most {1 + CODE_BYTES // PART_BYTES} parts")
            data = b"".join(self._stored(_part_name(spec.namespace, digest, i)) for i in range(code.parts))
        if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
            raise BadRequest("the code is not what its sha256 says", hint="push again")
        return data

    def _stored(self, name: str) -> bytes:
        try:
            action = self._registry.get("actions", name, code="true")
        except NotFound:
            raise BadRequest("a part of the code is missing", hint="push again") from None
        return _decoded(action["exec"]["code"])

    def _forget_parts(self, namespace: str, code: _Code) -> None:
        """Drop the parts of this push, and those that an earlier one left behind."""
        if not code.parts:
            return
        mine = _part_name(namespace, _digest(code.sha256), 0).rpartition("-")[0].partition("/")[2]
        old = self._now.timestamp() * 1000 - PARTS_LIVE_MS
        for row in list(self._registry.pages("actions")):
            if str(row["namespace"]).endswith(f"/{PARTS}") and (
                str(row["name"]).startswith(mine) or int(row["updated"]) < old
            ):
                try:
                    self._registry.delete("actions", f"{PARTS}/{row['name']}")
                except (NotFound, Conflict):  # another push is at it
                    continue

    def _logs(self, caller: Caller, name: str, since: int) -> dict[str, Any]:
        """The newest activations of a light function since then (ms), oldest first, as many as a result holds."""
        entry = self._one(caller, name, change=False)
        rows = self._registry.get(
            "activations", name=name.replace(".", "/", 1), since=since, limit=LOG_ROWS, docs="true"
        )
        found: list[dict[str, Any]] = []
        used = 0
        for row in rows:
            lines = [str(line) for line in row.get("logs", ())]
            shown = {
                "activation": row["activationId"],
                "start": row["start"],
                "end": row.get("end"),
                "success": bool(row.get("response", {}).get("success")),
                "logs": lines,
            }
            used += len(msgspec.json.encode(shown))
            if used > LOG_BYTES:
                break
            found.append(shown)
        return {"function": _plain(entry), "activations": found[::-1]}


def _plain(entry: Entry) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(entry)
    return plain


def _body(request: Request, kind: type[T]) -> T:
    try:
        return msgspec.convert(dict(request.arguments), kind)
    except msgspec.ValidationError as error:
        hint = "is this faasctl as new as the platform?"
        raise BadRequest(f"the request is not understood: {error}", hint=hint) from None


def _since(value: object) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", str(value)):
        raise BadRequest("since is no time in milliseconds")
    return int(str(value))


def _digest(text: str) -> str:
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", text):
        raise BadRequest("the code's sha256 is none")
    return text


def _decoded(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise BadRequest("the code is no base64") from None
    if len(data) > CODE_BYTES:
        raise BadRequest(f"the code has more than {CODE_BYTES} bytes")
    return data


def _part_name(namespace: str, digest: str, number: int) -> str:
    return f"{PARTS}/{namespace}-{digest.removeprefix('sha256:')[:32]}-{number}"


def _check_zip(data: bytes) -> None:
    """OpenWhisk stores anything; what is no zip would only be found out by a job."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise SpecError("the code is no zip", key=("code",)) from None
    if "__main__.py" not in names:
        raise SpecError("the code has no __main__.py", key=("code",), hint="push with faasctl")


def _short(text: str | None) -> str | None:
    return text[:256] if text is not None and text.isprintable() else None
