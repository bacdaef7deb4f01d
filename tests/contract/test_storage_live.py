"""What a running dCache answered, the embedded storage answers: requests, responses and billing records, one by one.

The recording is described in tests/data/dcache/README.md. The cases build on each other and are replayed once, in
order.
"""

from __future__ import annotations

import base64
import collections
import json
import re
import ssl
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from faasctl.local.storage import instant
from faasctl.local.storage.macaroons import Secret, open_macaroon
from faasctl.local.storage.paths import normal
from tests.contract.dcache_recording import Reply, Translation, body_of, cases, exchange, forged
from tests.parts.storage import Storage, running_storage

CASES = list(cases())

_LEFT_OUT = (
    ("door that is not there: root, http, without overwrite, frontend", lambda case: _doors(case) - {"S", "P", "url"}),
    ("rate limiter and server-sent events", lambda case: case["case"].startswith("E.")),
    ("X.509 client", lambda case: any("client_certificate" in step["request"] for step in case["steps"])),
    ("PATCH, which dCache answers with 500", lambda case: "PATCH" in _methods(case)),
    ("user with a root of its own", lambda case: "carol" in case["case"]),
    ("caveat too long for any macaroon, which dCache issues broken", lambda case: case["case"] == "A.caveat-70k"),
    ("Gson's lenient reading of JSON", lambda case: case["case"] == "A.json-single-quotes"),
    ("directory tags", lambda case: case["case"] == "C.upload.tagged-dir"),
    ("modification time given by the client", lambda case: "x-oc-mtime" in case["case"]),
    ("pool switched off by max-upload", lambda case: "No write pools online" in json.dumps(case)),
)


def _doors(case: dict[str, Any]) -> set[str]:
    return {step["request"]["to"] for step in case["steps"]}


def _methods(case: dict[str, Any]) -> set[str]:
    return {step["request"]["method"] for step in case["steps"]}


def left_out(case: dict[str, Any]) -> str | None:
    """Why a case is not replayed."""
    return next((reason for reason, applies in _LEFT_OUT if applies(case)), None)


REPLAYED = [case["case"] for case in CASES if left_out(case) is None]

_GIVEN: dict[str, dict[str, int | None]] = {
    "A.method:DELETE": {"/data/raw/notthere": 2},
    "C.upload.after-bad.repr-digest-bad": {"/data/out/c-C3/h-repr-digest-bad": 19},
    "C.content-md5.good.full-rights.after": {"/data/out/c-C3/mdp-good-full-rights": 19},
    "C.cut.redirect-not-followed.after": {"/data/out/c-C3/cut6": None},
    "C.get.redirect-bearer-to-pool": {"/data/out/c-C3/a20k": 20000},
    "C.propfind.dir": {"/data/out/c-C3/p1/p2/f": 19},
    "C.move.overwrite": {"/data/out/c-C3/a3": 19, "/data/out/c-C3/a4": 19},
    "C.delete.dir-nonempty": {"/data/out/c-C3/p1-moved/p2/p3/f": 19},
}
"""What cases that are not in the sample had left behind: files with their sizes; None is an upload that never came."""

_MOVED = {"B.matrix.all-root.restore": ("/data/raw/b-B3/mv1", "/data/raw/b-B3/mv1-allroot")}
"""The same: names that were changed."""

_BROKEN = {
    "C.content-md5.bad.full-rights.after": "/data/out/c-C3/md-bad-full-rights",
    "C.content-md5.bad.update-metadata-macaroon.after": "/data/out/c-C3/md-bad-update-metadata-macaroon",
}
"""The same: redirected uploads whose Content-MD5 was wrong."""

_ETAG = re.compile(r'"[0-9A-F]{36}_-?\d+"')
_COMPARED = (
    *("accept-ranges", "content-length", "content-range", "content-type", "content-location", "content-disposition"),
    *("dav", "digest", "etag", "last-modified", "location", "repr-digest", "www-authenticate", "x-oc-mtime"),
)
_VARYING = (
    *("date", "session", "initiator", "pnfsid", "cellName", "cellDomain", "localEndpoint", "transferTime"),
    *(
        "sessionDuration",
        "meanReadBandwidth",
        "meanWriteBandwidth",
        "readIdle",
        "readActive",
        "writeIdle",
        "writeActive",
    ),
)
_UNKNOWN_CONTENT = {"adler32=7e812527", f"adler32={zlib.adler32(b'.' * 20000):08x}"}
_TEXT = b"hello dcache event\n"
_JETTYS_OWN = "text/html;charset=iso-8859-1"
_NEAR = 900 * instant.SECOND


class Replay:
    """The recorded requests, sent to two doors of one storage: one that redirects (S) and one that proxies (P)."""

    def __init__(self, redirecting: Storage, proxying: Storage) -> None:
        self._storage = redirecting
        self._trust = ssl.create_default_context(cafile=str(redirecting.ca))
        ports = [
            int(url.rsplit(":", 1)[1]) for url in (redirecting.endpoint, proxying.endpoint, redirecting.pool_endpoint)
        ]
        self._ports = dict(zip(("S", "P", "url"), ports, strict=True))
        secret = Secret((redirecting.directory / "macaroon.secret").read_bytes())
        self._translation = Translation(
            door_port=ports[0],
            secret=secret,
            recorded_at=instant.parse("2026-11-21T10:46:01Z"),
            now=time.time_ns(),
        )

        self._asked: set[tuple[str, str, str | None]] = set()
        self._read = 0
        self.unmatched: list[dict[str, Any]] = []

    def differences(self, case: dict[str, Any]) -> list[str]:
        """What this storage does otherwise than dCache did."""
        self._prepare(case["case"])
        found = []
        for number, step in enumerate(case["steps"]):
            if "Y2Fyb2w" not in json.dumps(step["request"]):  # carol
                reply = self._reply(case["case"], step)
                found += [f"step {number}: {text}" for text in self._compared(step, reply)]
        if case["case"] not in _CUT_BY_HAND:
            found += self._records_compared(case)
        return found

    def _prepare(self, name: str) -> None:
        alice = self._storage.session("alice")
        for path, size in _GIVEN.get(name, {}).items():
            if size is None:
                self._upload(path, {"Expect": "100-continue", "Content-Length": "9"}, b"")
            else:
                alice.put(self._storage.url(path), data=_TEXT if size == len(_TEXT) else b"." * size).raise_for_status()
        if name in _MOVED:
            source, target = map(self._storage.url, _MOVED[name])
            alice.request("MOVE", source, headers={"Destination": target}).raise_for_status()
        if name in _BROKEN:
            headers = {"Expect": "100-continue", "Content-Length": "19", "Content-MD5": "ndTkYSaMgDT1yFZOFVxnpg=="}
            away = self._upload(_BROKEN[name], headers, b"").header("location")
            assert away is not None
            alice.put(away, data=b"." * 19, auth=lambda request: request)

    def _upload(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        basic = [("Host", "localhost"), ("Authorization", "Basic YWxpY2U6cHctYWxpY2U=")]
        return exchange(
            self._ports["S"],
            self._trust,
            method="PUT",
            target=path,
            headers=[*basic, *headers.items()],
            body=body,
            expect=True,
        )

    def _reply(self, name: str, step: dict[str, Any]) -> Reply:
        request = step["request"]
        headers = [(key, self._translation.text(value)) for key, value in request["headers"]]
        reason = step["response"].get("reason", "")
        if name.startswith(("B.bad.tampered-signature", "B.bad.own-key")):
            headers = [
                (key, f"Bearer {forged(value[7:])}" if key == "Authorization" else value) for key, value in headers
            ]
        if "expired: before:2026" in reason:
            token = re.search(r"before:(2026\S+)", reason)
            assert token is not None
            self._await(self._translation.moment(instant.parse(token[1])))
        token = re.search(r"MDA[\w+/-]{60,}", json.dumps(request))
        bearer = _issue(token[0]) if token else None
        self._asked.add((request["method"], normal(unquote(request["target"].partition("?")[0])), bearer))
        body = body_of(name, request)
        reply = exchange(
            self._ports[request["to"]],
            self._trust,
            method=request["method"],
            target=self._translation.text(request["target"]),
            headers=headers,
            body=self._translation.text(body.decode()).encode() if "body" in request else body,
            expect="expect" in request,
            cut_after=request.get("cut_after_bytes"),
            version="HTTP/1.0" if name == "A.http10" else "HTTP/1.1",
            tls=request["tls"],
        )
        self._translation.learn(step["response"].get("headers", []), reply)
        return reply

    @staticmethod
    def _await(moment: int) -> None:
        while time.time_ns() <= moment:
            time.sleep(0.01)

    def _compared(self, step: dict[str, Any], reply: Reply) -> Iterator[str]:
        response = step["response"]
        recorded = Reply(
            response.get("status"),
            response.get("reason") or "",
            [(name, value) for name, value in response.get("headers", [])],
            str(response.get("body") or "").encode(),
        )
        if recorded.status != reply.status:
            yield f"status {recorded.status} {recorded.reason!r}, here {reply.status} {reply.reason!r} {reply.body!r}"
            return
        if recorded.status is None:
            return
        if self._reason(recorded.reason) != self._reason(reply.reason):
            yield f"reason {recorded.reason!r}, here {reply.reason!r}"
        if recorded.header("content-type") == _JETTYS_OWN:
            return
        for name in _COMPARED:
            was, now = (self._header(name, each) for each in (recorded, reply))
            if was != now and not (name == "content-length" and _length_varies(recorded, reply)):
                yield f"{name}: {was!r}, here {now!r}"
        if "decoded_macaroon" in step:
            yield from self._macaroon_compared(step["decoded_macaroon"], reply)
        elif recorded.status == 207:
            yield from _properties_compared(recorded.body, reply.body)
        elif "html" not in (recorded.header("content-type") or "") and recorded.body not in (reply.body, b""):
            yield f"body {recorded.body!r}, here {reply.body!r}"

    def _reason(self, text: str) -> str:
        """A reason without what varies: the wording of JSON errors, ids of macaroons, moments."""
        text = re.sub(r"(?<=Unable to parse JSON: ).*", "", text)
        text = re.sub(r"\[-:[\w+/]{8}\]", "[-:*]", text)
        return "Multi-Status" if text == "Multi-status" else re.sub(r"2026-11-2\dT[\d:.]+Z", "*", text)

    def _header(self, name: str, reply: Reply) -> str | None:
        value = reply.header(name)
        if value is None or name in ("last-modified", "www-authenticate") or value in _UNKNOWN_CONTENT:
            return None if value is None else "*"
        value = re.sub(r"https://localhost:\d+", "https://*", value).replace("%3A", ":")
        value = re.sub(r"localhost:\d+$", "*", re.sub(r"uuid=[0-9a-f-]{36}", "uuid=*", value))
        value = _ETAG.sub("*", value)
        return value.lower().replace("; ", ";") if name == "content-type" else value

    def _macaroon_compared(self, recorded: dict[str, Any], reply: Reply) -> Iterator[str]:
        answer = json.loads(reply.body)
        location = base64.urlsafe_b64decode(answer["macaroon"] + "===")[13:].split(b"\n")[0].decode()
        if location != recorded["location"]:
            yield f"location {recorded['location']!r}, here {location!r}"
        was, now = recorded["caveats"], list(open_macaroon(answer["macaroon"]).caveats)
        if len(was) != len(now) or not all(map(self._same_caveat, was, now)):
            yield f"caveats {was}, here {now}"
        if set(answer["uri"]) != {"targetWithMacaroon", "baseWithMacaroon", "target", "base"}:
            yield f"uri {answer['uri']}"

    def _same_caveat(self, was: str, now: str) -> bool:
        if was.startswith("before:") and now.startswith("before:"):
            meant = self._translation.moment(instant.parse(was[7:]))
            return bool(abs(instant.parse(now[7:]) - meant) < _NEAR)
        if was.startswith("iid:") and re.fullmatch(r"iid:[\w+/]{8}", was):
            return re.fullmatch(r"iid:[\w+/]{8}", now) is not None
        return was == now

    def _records_compared(self, case: dict[str, Any]) -> Iterator[str]:
        """Records arrived when they liked, some while a later case ran: they are found by what they are about."""
        for record in (each["value"] for each in case["records"] if each["topic"] == "billing"):
            if _by_cleaner(record) or _of_other_case(record) or not self._asked_for(record):
                continue
            here = self._await_record(_kind(record))
            if here is None:
                yield f"record {_kind(record)} is missing"
            else:
                yield from _record_compared(record, here, "")

    def _asked_for(self, record: dict[str, Any]) -> bool:
        """Is what made the record in the sample, and not in a case that was left out of it?"""
        path, bearer = record["transferPath"], _bearer(record)
        if record["msgType"] == "remove":
            above = {path[:end] for end in range(1, len(path) + 1) if f"{path}/"[end] == "/"}
            written = any(method == "PUT" and name == path for method, name, _ in self._asked)
            return written and any(("DELETE", name, bearer) in self._asked for name in above)
        return ("PUT" if _kind(record)[3] == "write" else "GET", path, bearer) in self._asked

    def _await_record(self, kind: tuple[Any, ...]) -> dict[str, Any] | None:
        until = time.monotonic() + 2
        while time.monotonic() < until:
            announced = self._storage.announced()
            self.unmatched += [record for record in announced[self._read :] if not _by_cleaner(record)]
            self._read = len(announced)
            for record in self.unmatched:
                if _kind(record) == kind:
                    self.unmatched.remove(record)
                    return record
            time.sleep(0.01)
        return None


_CUT_BY_HAND = frozenset({"C.get.cut"})
"""Where the request that made the records is not among the steps."""


def _by_cleaner(record: dict[str, Any]) -> bool:
    return bool(record["msgType"] == "remove" and record["cellType"] == "pool")


def _of_other_case(record: dict[str, Any]) -> bool:
    """Clients that did not come to the pool are announced minutes later, and a copy's end by another service."""
    return bool(record["status"]["code"] == 10006 or record["cellName"] == "RemoteTransferManager")


def _kind(record: dict[str, Any]) -> tuple[Any, ...]:
    mover = record.get("moverInfo", record)
    about = record["msgType"], record["cellType"], record.get("transferPath")
    return *about, mover.get("isWrite"), record["status"]["code"], _bearer(record)


def _bearer(record: dict[str, Any]) -> str | None:
    """The issue id of the macaroon that a record's subject held."""
    found = re.search(r"MacaroonPrincipal\[([^:]*):", json.dumps(record.get("subject")))
    return found[1] if found else None


def _issue(token: str) -> str | None:
    """The issue id of a recorded macaroon, if it can be read."""
    try:
        caveats = open_macaroon(token).caveats
    except ValueError:
        return None
    return caveats[0].removeprefix("iid:") if caveats else None


def _class(record: dict[str, Any]) -> tuple[Any, ...]:
    """What a record is about, without the path and without the code of a failed write."""
    kind = _kind(record)
    return kind[0], kind[1], kind[3], kind[4] == 0 or kind[3] is not None


def _fields(record: dict[str, Any]) -> dict[str, Any]:
    inner = {name: _fields(value) for name, value in record.items() if isinstance(value, dict) and name != "status"}
    return dict.fromkeys(record) | inner


def _record_compared(was: dict[str, Any], now: dict[str, Any], where: str) -> Iterator[str]:
    if set(was) != set(now):
        yield f"record {was['msgType']}{where}: fields {set(was) ^ set(now)} differ"
    for name in was.keys() & now.keys() - set(_VARYING):
        a, b = was[name], now[name]
        if name == "moverInfo":
            yield from _record_compared(a, b, ".moverInfo")
        elif _invariant(name, a) != _invariant(name, b):
            yield f"record {was['msgType']}{where}.{name}: {a!r}, here {b!r}"


def _invariant(name: str, value: Any) -> Any:
    """A value without what varies: a macaroon's second half, a port, the order of what is a set."""
    if name == "subject":
        return sorted(re.sub(r"(MacaroonPrincipal\[[^:]*:).*", r"\1*]", principal) for principal in value)
    if name == "protocolInfo":
        return {**value, "port": bool(value["port"])}
    if name == "status":
        parts = re.split(r"[\[\], ]+", value.get("msg", "-"))
        return value["code"], sorted(parts)
    return value


def _length_varies(recorded: Reply, reply: Reply) -> bool:
    """Answers whose length dCache does not announce, or that hold what varies."""
    announced = {recorded.header("content-length"), reply.header("content-length")}
    kind = recorded.header("content-type") or ""
    chunked = recorded.header("transfer-encoding") == "chunked"
    return chunked or announced == {None, "0"} or any(word in kind for word in ("xml", "html", "json"))


def _properties_compared(was: bytes, now: bytes) -> Iterator[str]:
    """Multistatus answers: the resource itself exactly, what is below it where both have it."""
    recorded, found = _properties(was), _properties(now)
    if not recorded:
        return
    first = next(iter(recorded))
    if first not in found:
        yield f"properties of {first}, here of {list(found)}"
    if (len(recorded) > 1) != (len(found) > 1):
        yield f"{len(recorded)} resources, here {len(found)}"
    for href in recorded.keys() & found.keys():
        if recorded[href] != found[href]:
            yield f"properties of {href}: {recorded[href]}, here {found[href]}"


def _properties(body: bytes) -> dict[str, dict[str, str]]:
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        return {}
    found = {}
    for response in root:
        values = {}
        for stat in response.iter("{DAV:}propstat"):
            status = stat.findtext("{DAV:}status") or ""
            for element in stat.find("{DAV:}prop") or ():
                text = (element.text or "") + ",".join(child.tag for child in element)
                varies = element.tag.rpartition("}")[2] in ("getetag", "getlastmodified", "creationdate", "Checksums")
                local = element.tag.rpartition("}")[2]
                values[local] = f"{status} {bool(text) if varies else text}"
        found[response.findtext("{DAV:}href") or ""] = values
    return found


Replayed = tuple[dict[str, list[str]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    """Every replayed case with the differences found, and all records."""
    directory: Path = tmp_path_factory.mktemp("storage")
    with (
        running_storage(directory) as redirecting,
        running_storage(directory, redirects=False, cleaner_interval=3600) as proxying,
    ):
        replay = Replay(redirecting, proxying)
        found = {case["case"]: replay.differences(case) for case in CASES if left_out(case) is None}
        return found, redirecting.announced()


@pytest.mark.parametrize("name", REPLAYED)
def test_the_storage_answers_as_dcache_did(name: str, replayed: Replayed) -> None:
    assert not replayed[0][name], "\n".join(replayed[0][name])


def test_every_record_has_the_fields_of_one_of_dcaches(replayed: Replayed) -> None:
    # given the field sets of the recorded records, by what they are about
    known = collections.defaultdict(list)
    for case in CASES:
        for record in (each["value"] for each in case["records"] if each["topic"] == "billing"):
            known[_class(record)].append(_fields(record))

    # then the storage has made no other ones
    for record in replayed[1]:
        assert _fields(record) in known[_class(record)]


def test_every_transfer_is_announced_by_pool_and_door(replayed: Replayed) -> None:
    transfers = collections.Counter(record["initiator"] for record in replayed[1] if record["msgType"] == "transfer")
    requests = collections.Counter(record["session"] for record in replayed[1] if "moverInfo" in record)
    assert transfers == requests
    assert set(transfers.values()) == {1}


def test_what_is_left_out_is_known() -> None:
    # given the reasons for which cases are left out
    reasons = collections.Counter(left_out(case) for case in CASES)

    # then nearly all of the recording is replayed
    for reason, count in reasons.items():
        print(f"{count} {reason or 'replayed'}")
    assert reasons[None] == len(REPLAYED) > 600
