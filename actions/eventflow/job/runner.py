"""What runs on the worker node: stage in, run the function, stage out, report.

One file, standard library only, Python 3.6 or newer, because it is shipped with every job and a worker node has
nothing else. It reads `events.jsonl` (one self-sufficient event per line) from its working directory and unlinks
it at once; the function runs in a child process that holds no token.

Exit codes: 0 done; 10 input refused, 11 input trouble that may pass, 12 input on tape, 13 input gone or superseded;
20 function failed, 21 wrong interpreter, image or code; 30 output refused, 31 output trouble that may pass;
40 token expired. The batch system starts a job again after 11 and 31 only.

`result.json` says what became of each event; no token is ever part of it, nor of any message.
"""

import base64
import hashlib
import http.client
import importlib.util
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
import traceback
import urllib.parse
import zipfile
import zlib
from collections import namedtuple
from datetime import datetime
from email.message import Message
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, TypeVar
from xml.etree import ElementTree

DONE = 0
INPUT_REFUSED, INPUT_TRANSIENT, INPUT_NEARLINE, INPUT_SUPERSEDED = 10, 11, 12, 13
FUNCTION_FAILED, WRONG_INTERPRETER = 20, 21
OUTPUT_REFUSED, OUTPUT_TRANSIENT = 30, 31
TOKEN_EXPIRED = 40

SCHEMA = 1
CHUNK = 1 << 20
LOG_BYTES = 1 << 20
ANSWER_BYTES = 1 << 18
HEAD_BYTES = 1 << 16
CODE_BYTES = 1 << 30
CODE_FILES = 20000
PATIENCE = 120.0  # seconds after the first failure, and at least
TRIES = 4  # attempts (each may take long), until trouble counts as lasting
BUSY = 3600.0  # seconds of waiting that a storage may ask for (429) in all
SOCKET_TIMEOUT = 200.0  # dCache answers a mover that cannot start only after 180 s
EXPECT_WAIT = 60.0
CORRUPT_TRIES = 3
POOL_ATTRIBUTES = ("ChirpFaasBytesIn", "ChirpFaasBytesOut")
OUTPUTS = 5000  # each is a request or three to the storage, and a line in result.json
RESERVED = "_faas"
URL_CHARACTERS = "%:/?#[]@!$&'()*+,;=-._~"

CREDENTIALS = re.compile(r"TOKEN|SECRET|PASSW|CREDS|CREDENTIAL|X509|KRB5|MACAROON|^FAAS_|^SSH_", re.IGNORECASE)
ASK_LOCALITY = (
    b'<?xml version="1.0"?><D:propfind xmlns:D="DAV:" xmlns:d="http://www.dcache.org/2013/webdav" '
    b'xmlns:s="http://srm.lbl.gov/StorageResourceManager"><D:prop><D:getcontentlength/><D:getetag/>'
    b"<d:Checksums/><s:FileLocality/></D:prop></D:propfind>"
)

Side = namedtuple("Side", "refused transient")
READ = Side(INPUT_REFUSED, INPUT_TRANSIENT)
WRITE = Side(OUTPUT_REFUSED, OUTPUT_TRANSIENT)
Facts = namedtuple("Facts", "size adler32 pnfsid locality")
Source = Callable[[], Iterator[bytes]]
T = TypeVar("T")


class Failure(Exception):
    """The event cannot be finished; `code` is the exit code."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Transient(Exception):
    """Worth another try; `lasting` is the exit code should it never pass."""

    def __init__(self, why: str, lasting: int) -> None:
        super().__init__(why)
        self.lasting = lasting


class Busy(Transient):
    """The storage asks to come back in `wait` seconds (429)."""

    def __init__(self, wait: float, lasting: int) -> None:
        super().__init__("the storage is busy", lasting)
        self.wait = wait


# ---------------------------------------------------------------------------------------------- HTTP


class Answer:
    """An HTTP answer whose body is read on demand; leaving the `with` block closes its connection."""

    def __init__(self, connection: Any, status: int, reason: str, headers: Message, body: Any, hops: int) -> None:
        self.connection = connection
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body
        self.hops = hops

    def __enter__(self) -> "Answer":
        return self

    def __exit__(self, *_: Any) -> None:
        self.connection.close()

    def read(self, size: int) -> bytes:
        return self.body.read(size) if self.body else b""

    @property
    def length(self) -> Optional[int]:
        value = self.headers.get("Content-Length", "")
        return int(value) if value.isdigit() else None

    @property
    def adler32(self) -> Optional[int]:
        return adler32_of(self.headers.get("Digest", ""))

    @property
    def pnfsid(self) -> Optional[str]:
        return pnfsid_of(self.headers.get("ETag", ""))


def adler32_of(digest: str) -> Optional[int]:
    """The adler32 in a `Digest` header or dCache's `Checksums` property (`adler32=5ae07809,md5=...`)."""
    found = re.search(r"adler32=([0-9a-fA-F]{1,8})\b", digest, re.IGNORECASE)
    return int(found.group(1), 16) if found else None


def pnfsid_of(etag: str) -> Optional[str]:
    """dCache's ETag is `"<pnfsid>_<n>"`; other storages have other forms, which tell nothing."""
    found = re.match(r'"?([0-9A-F]{24}|[0-9A-F]{36})_-?\d+"?$', etag.strip())
    return found.group(1) if found else None


def expiry_of(token: str) -> Optional[float]:
    """The earliest `before:` caveat of a macaroon in unix seconds, or None when it has none that can be read."""
    try:
        raw = base64.b64decode(token.replace("-", "+").replace("_", "/") + "=" * (-len(token) % 4))
    except ValueError:
        return None
    ends = []
    for found in re.finditer(rb"before:(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z", raw):
        moment = datetime.strptime(found.group(1).decode("ascii") + "+0000", "%Y-%m-%dT%H:%M:%S%z")
        ends.append(moment.timestamp())
    return min(ends) if ends else None


class Grant:
    """One token and what it opens: an endpoint, a path, and how failures on this side are called."""

    def __init__(self, fields: Dict[str, Any], side: Side) -> None:
        self.path = fields["path"]  # type: str
        self.endpoint = fields["endpoint"].rstrip("/")  # type: str
        self.side = side
        self.size = fields.get("size")  # type: Optional[int]
        self.pnfsid = fields.get("pnfsid")  # type: Optional[str]
        self._token = fields["macaroon"]  # type: str
        if not re.match(r"[A-Za-z0-9+/=_.~-]+$", self._token) or self._token.endswith("\n"):
            # http.client would show it in its error
            raise Failure(side.refused, "what came as the token for %s cannot be one" % self.path)
        self._expires = expiry_of(self._token)
        self._refused = False
        self._tls = ssl.create_default_context(cadata=fields.get("ca") or None)

    def url(self, path: str) -> str:
        return self.endpoint + urllib.parse.quote(os.fsencode(path), safe="/")

    def ask(self, method: str, path: str, headers: Dict[str, str], body: bytes = b"") -> Answer:
        """Send one request and follow its redirects, the token going to the endpoint alone."""
        return self._send(method, self.url(path), headers, lambda: iter([body]), len(body))

    def put(self, path: str, source: Source, size: int) -> Answer:
        """Upload `size` bytes; the door is asked first (`Expect`), so that the bytes go straight to a pool."""
        return self._send("PUT", self.url(path), {"Want-Digest": "adler32"}, source, size)

    def _send(self, method: str, url: str, headers: Dict[str, str], source: Source, size: int) -> Answer:
        if not self.endpoint.startswith("https://"):
            raise Failure(self.side.refused, "a token is sent over https only, not to %s" % self.endpoint)
        if self.expired():
            raise Failure(TOKEN_EXPIRED, "the token for %s has expired" % self.path)
        if self._refused:  # three 401 make dCache shut this node's address out, whoever asks
            raise Failure(self.side.refused, "the token for %s was refused before" % self.path)
        hops = 0
        sent = dict(headers, Authorization="Bearer " + self._token)
        if method == "PUT" and size:  # XRootD 5.5 never answers an empty upload that expects
            sent["Expect"] = "100-continue"
        while True:
            try:
                answer = self._one(method, url, sent, source, size, hops)
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, ssl.CertificateError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
                    raise Failure(self.side.refused, "the certificate of %s is not trusted" % origin(url))
                raise Transient("%s: %s" % (origin(url), error or type(error).__name__), self.side.transient)
            location = answer.headers.get("Location")
            if answer.status not in (301, 302, 303, 307, 308) or not location:
                return answer
            answer.connection.close()
            # A Location in raw UTF-8 comes as latin-1.
            url = urllib.parse.urljoin(url, urllib.parse.quote(location.encode("latin-1"), safe=URL_CHARACTERS))
            hops += 1
            sent = dict(headers)
            if not url.startswith(("https://", "http://")):
                raise Failure(self.side.refused, "redirected to something that is not HTTP")
            if hops > 4 or (hops > 1 and origin(url) == origin(self.endpoint)):
                raise Transient("sent back to the door by a pool", self.side.transient)

    def _one(self, method: str, url: str, headers: Dict[str, str], source: Source, size: int, hops: int) -> Answer:
        parts = urllib.parse.urlsplit(url)
        host, target = parts.hostname or "", urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        connection = http.client.HTTPConnection(host, parts.port, timeout=SOCKET_TIMEOUT)
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(host, parts.port, timeout=SOCKET_TIMEOUT, context=self._tls)
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if size or method == "PUT":
                connection.putheader("Content-Length", str(size))
            connection.endheaders()
            if "Expect" in headers:
                early = self._before_body(connection, hops)
                if early is not None:
                    return early
            send_body(connection, source)
            response = connection.getresponse()
            return Answer(connection, response.status, response.reason, response.headers, response, hops)
        except BaseException:
            connection.close()
            raise

    @staticmethod
    def _before_body(connection: http.client.HTTPConnection, hops: int) -> Optional[Answer]:
        """The final answer that came instead of `100 Continue`; None when the body is wanted.

        `http.client` knows no `Expect`: the head is read byte by byte, so that nothing of a later answer is lost.
        """
        channel = connection.sock
        channel.settimeout(EXPECT_WAIT)
        head = bytearray()
        try:
            while not head.endswith(b"\r\n\r\n"):
                byte = channel.recv(1)
                if not byte or len(head) > HEAD_BYTES:
                    raise http.client.HTTPException("the connection ended before an answer")
                head += byte
        except socket.timeout:
            if head:
                raise
            return None  # a server that does not know Expect waits for the body
        finally:
            channel.settimeout(SOCKET_TIMEOUT)
        line, _, rest = bytes(head).partition(b"\r\n")
        words = line.decode("latin-1").split(None, 2)
        if len(words) < 2 or not words[1].isdigit():
            raise http.client.HTTPException("the answer is not HTTP")
        if words[1] == "100":
            return None
        reason = words[2] if len(words) > 2 else ""
        return Answer(connection, int(words[1]), reason, http.client.parse_headers(io.BytesIO(rest)), None, hops)

    def expired(self) -> bool:
        return self._expires is not None and time.time() >= self._expires

    def check(self, answer: Answer, good: Tuple[int, ...], missing: Optional[int] = None) -> None:
        """Pass for a status in `good`, else raise what the status means. `missing`: the code of a lasting 404."""
        status = answer.status
        if status in good:
            return
        why = "%d %s" % (status, answer.reason[:200])
        if status == 429:
            told = answer.headers.get("Retry-After", "")
            raise Busy(min(float(told), 300.0) if told.isdigit() else 10.0, self.side.transient)
        if answer.hops and status in (400, 401, 403, 404):
            raise Transient("a pool answered " + why, self.side.transient)  # its one-time address is used up
        if status in (401, 403):
            self._refused = self._refused or status == 401
            raise Failure(TOKEN_EXPIRED if self.expired() else self.side.refused, "%s: %s" % (self.path, why))
        if status == 404:
            raise Transient(why, missing or self.side.transient)
        if status in (408, 409, 412, 423, 425) or (status >= 500 and status not in (501, 505, 507)):
            raise Transient(why, self.side.transient)
        raise Failure(self.side.refused, "%s: %s" % (self.path, why))


def origin(url: str) -> str:
    """Scheme, host and port: all of an address that may be shown, since a pool's query is a capability."""
    parts = urllib.parse.urlsplit(url)
    return "%s://%s:%s" % (parts.scheme, parts.hostname, parts.port or {"https": 443}.get(parts.scheme, 80))


def send_body(connection: http.client.HTTPConnection, source: Source) -> None:
    """Send the body; a server that answers and closes before it has all still gets its answer read."""
    for chunk in source():
        try:
            connection.send(chunk)
        except (BrokenPipeError, ConnectionResetError):
            return


def persist(attempt: Callable[[], T]) -> T:
    """Repeat `attempt` with growing pauses until it succeeds, fails for good, or the trouble lasts.

    Waiting that the storage asked for counts apart: it is a queue, and no trouble.
    """
    pause, asked, tries, deadline = 0.2, 0.0, 0, 0.0
    while True:
        try:
            return attempt()
        except Busy as busy:
            wait = max(busy.wait, 0.1) + random.uniform(0, 0.5)
            asked += wait
            if asked > BUSY:
                raise Failure(busy.lasting, "the storage stayed busy for %d s" % BUSY)
            deadline += wait
        except Transient as trouble:
            tries += 1
            deadline = deadline if tries > 1 else time.monotonic() + PATIENCE
            if tries >= TRIES and time.monotonic() > deadline:
                raise Failure(trouble.lasting, str(trouble))
            wait = random.uniform(pause / 2, pause)
            pause = min(pause * 2, 30.0)
        time.sleep(wait)


# ------------------------------------------------------------------------------------------ stage in


def look(grant: Grant, path: str) -> Facts:
    """Size, adler32, pnfsid and locality of a file, as far as the storage tells; never opens the file."""
    size = adler32 = pnfsid = locality = None
    with grant.ask("PROPFIND", path, {"Depth": "0", "Content-Type": "application/xml"}, ASK_LOCALITY) as answer:
        if answer.status not in (400, 403, 405, 501):  # a storage that cannot be asked about tape has none
            grant.check(answer, (207,), INPUT_SUPERSEDED)
            said = properties(answer.read(HEAD_BYTES))
            size = int(said["getcontentlength"]) if said.get("getcontentlength", "").isdigit() else None
            adler32 = adler32_of(said.get("Checksums", ""))
            pnfsid = pnfsid_of(said.get("getetag", ""))
            locality = said.get("FileLocality") or None
    if size is None or adler32 is None:
        with grant.ask("HEAD", path, {"Want-Digest": "adler32"}) as answer:
            grant.check(answer, (200,), INPUT_SUPERSEDED)
            size, adler32, pnfsid = answer.length, answer.adler32, pnfsid or answer.pnfsid
    if size is None:
        raise Transient("%s is not complete yet" % path, grant.side.transient)
    return Facts(size, adler32, pnfsid, locality)


def properties(multistatus: bytes) -> Dict[str, str]:
    """The properties of a PROPFIND's answer by their names without namespace; none if it cannot be read."""
    try:
        nodes = ElementTree.fromstring(multistatus).iter()
    except ElementTree.ParseError:
        return {}
    return {node.tag.rpartition("}")[2]: node.text or "" for node in nodes}


class Download:
    """One file on its way in: every call goes on where the last one broke off."""

    def __init__(self, grant: Grant, facts: Facts, target: str) -> None:
        self.grant = grant
        self.facts = facts
        self.target = target
        self.offset = 0
        self.adler32 = 1
        self.corrupt = 0

    def __call__(self) -> None:
        """Fetch what is missing; as long as every broken attempt brings some of it, that is no trouble."""
        while True:
            before = self.offset
            try:
                self._go_on()
                break
            except Transient:
                if self.offset - before < CHUNK:
                    raise
        if self.facts.adler32 is not None and self.adler32 != self.facts.adler32:
            self.offset, self.adler32 = 0, 1
            self.corrupt += 1
            if self.corrupt == CORRUPT_TRIES:
                raise Failure(
                    INPUT_TRANSIENT, "%s came with a wrong adler32 %d times" % (self.grant.path, self.corrupt)
                )
            raise Transient("wrong adler32", INPUT_TRANSIENT)

    def _go_on(self) -> None:
        if self.offset and self.offset == self.facts.size:
            return
        headers = {"Want-Digest": "adler32"}
        if self.offset:
            headers["Range"] = "bytes=%d-%d" % (self.offset, self.facts.size - 1)  # XRootD 5.5 fails at an open range
        with self.grant.ask("GET", self.grant.path, headers) as answer:
            self.grant.check(answer, (200, 206), INPUT_SUPERSEDED)
            if answer.pnfsid and self.facts.pnfsid and answer.pnfsid != self.facts.pnfsid:
                raise Failure(INPUT_SUPERSEDED, "%s was replaced while it was read" % self.grant.path)
            if answer.status == 200:
                self.offset, self.adler32 = 0, 1
            elif not answer.headers.get("Content-Range", "").startswith("bytes %d-" % self.offset):
                raise Transient("the storage sent another range than asked for", INPUT_TRANSIENT)
            flags = os.O_WRONLY | os.O_CREAT | (0 if self.offset else os.O_TRUNC)
            with local(lambda: os.fdopen(os.open(self.target, flags, 0o600), "wb")) as file:
                file.seek(self.offset)
                while self.offset < self.facts.size:
                    try:
                        chunk = answer.read(min(CHUNK, self.facts.size - self.offset))
                    except (OSError, http.client.HTTPException) as error:
                        raise Transient("cut after %d bytes: %s" % (self.offset, type(error).__name__), INPUT_TRANSIENT)
                    if not chunk:
                        raise Transient("cut after %d of %d bytes" % (self.offset, self.facts.size), INPUT_TRANSIENT)
                    local(lambda: file.write(chunk))
                    self.adler32 = zlib.adler32(chunk, self.adler32)
                    self.offset += len(chunk)


def local(action: Callable[[], T]) -> T:
    """Do something on the node's own disk; its trouble may pass on another node."""
    try:
        return action()
    except OSError as error:
        raise Failure(INPUT_TRANSIENT, "the sandbox: %s" % error.strerror)


def stage_in(grant: Grant, directory: str) -> Tuple[str, int]:
    """Bring the file in; return its local path and its size in bytes."""
    facts = persist(lambda: look(grant, grant.path))
    if facts.locality == "NEARLINE":
        raise Failure(INPUT_NEARLINE, "%s is on tape only" % grant.path)
    if facts.locality == "LOST":
        raise Failure(INPUT_SUPERSEDED, "%s is lost" % grant.path)
    if grant.pnfsid and facts.pnfsid and grant.pnfsid != facts.pnfsid:
        raise Failure(INPUT_SUPERSEDED, "%s was replaced: its pnfsid is now %s" % (grant.path, facts.pnfsid))
    if grant.size is not None and grant.size != facts.size:
        raise Failure(INPUT_SUPERSEDED, "%s has %d bytes, not %d" % (grant.path, facts.size, grant.size))
    local(lambda: os.makedirs(directory))
    target = os.path.join(directory, grant.path.rpartition("/")[2])
    persist(Download(grant, facts, target))
    return target, facts.size


# ----------------------------------------------------------------------------------------- stage out


def chunks_of(path: str) -> Iterator[bytes]:
    """A regular file's content; a link or pipe put in its place is refused: it could lead to this process, or hang."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Failure(FUNCTION_FAILED, "%s: %s" % (printable(os.path.basename(path)), error.strerror))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Failure(FUNCTION_FAILED, "%s is no file" % printable(os.path.basename(path)))
        for chunk in iter(lambda: file.read(CHUNK), b""):
            yield chunk


def outputs(directory: str) -> List[Tuple[str, int]]:
    """Every file below `directory`, as (relative name, size), sorted; anything but files is the function's mistake."""
    found = []
    for parent, folders, names in os.walk(directory):
        for name in folders + names:
            path = os.path.join(parent, name)
            relative = os.path.relpath(path, directory)
            state = os.lstat(path)
            if relative.split("/")[0] == RESERVED:
                raise Failure(FUNCTION_FAILED, "the output directory holds %s, a name that is reserved" % RESERVED)
            if stat.S_ISREG(state.st_mode):
                found.append((relative, state.st_size))
                if len(found) > OUTPUTS:
                    raise Failure(
                        FUNCTION_FAILED, "the function wrote more than %d files: pack them into an archive" % OUTPUTS
                    )
            elif not stat.S_ISDIR(state.st_mode):
                raise Failure(FUNCTION_FAILED, "the output %s is a link or a device, not a file" % printable(relative))
    return sorted(found)


class Upload:
    """One file on its way out; `source` gives its content anew for every attempt."""

    def __init__(self, grant: Grant, path: str, source: Source, size: int) -> None:
        self.grant = grant
        self.path = path
        self.source = source
        self.size = size
        self._adler32 = None  # type: Optional[int]

    @property
    def adler32(self) -> int:
        """The content's own checksum, which sending it brings along."""
        if self._adler32 is None:
            for _ in self._summed():
                pass
        return self._adler32 or 0

    def _summed(self) -> Iterator[bytes]:
        adler32 = 1
        for chunk in self.source():
            adler32 = zlib.adler32(chunk, adler32)
            yield chunk
        self._adler32 = adler32

    def __call__(self) -> None:
        """Leave an equal file alone, replace any other, and believe only what the storage computed itself."""
        there = self._there()
        if there:
            return
        with self.grant.put(self.path, self._summed, self.size) as answer:
            # A storage that does not overwrite (XRootD says 403 without MANAGE), and a leftover of an earlier try.
            if answer.status == 409 or (answer.status == 403 and there is False):
                with self.grant.ask("DELETE", self.path, {}) as removed:
                    self.grant.check(removed, (200, 204, 404))
                raise Transient("%d %s" % (answer.status, answer.reason[:200]), OUTPUT_TRANSIENT)
            if answer.hops and answer.status == 400:
                raise Transient("a pool answered 400 %s" % answer.reason[:200], OUTPUT_TRANSIENT)
            self.grant.check(answer, (200, 201, 204))
            computed = answer.adler32
        if computed is None:
            if not self._there():
                raise Transient("%s did not arrive whole" % printable(self.path), OUTPUT_TRANSIENT)
        elif computed != self.adler32:
            raise Transient("%s arrived with a wrong adler32" % printable(self.path), OUTPUT_TRANSIENT)

    def _there(self) -> Optional[bool]:
        """Whether an equal file is there, False for another one; None when there is none, or none to be seen."""
        with self.grant.ask("HEAD", self.path, {"Want-Digest": "adler32"}) as answer:
            if answer.status in (403, 404):  # a token that may only upload cannot always look
                return None
            self.grant.check(answer, (200,))
            return answer.length == self.size and (answer.adler32 is None or answer.adler32 == self.adler32)


def stage_out(grant: Grant, directory: str) -> List[Dict[str, Any]]:
    """Upload every file of `directory` under the name the function gave it."""
    done = []
    for name, size in outputs(directory):
        path = os.path.join(directory, name)
        upload = Upload(grant, grant.path + name, lambda path=path: chunks_of(path), size)  # type: ignore[misc]
        persist(upload)
        done.append({"path": printable(grant.path + name), "size": size, "adler32": "%08x" % upload.adler32})
    return done


def printable(name: str) -> str:
    """A file name as text, whatever bytes it is made of."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


# ---------------------------------------------------------------------------------------- the function


class Capture(threading.Thread):
    """Reads a pipe to its end and keeps its first and last half megabyte."""

    def __init__(self, pipe: Any) -> None:
        super().__init__(daemon=True)
        self.pipe = pipe
        self.head = bytearray()
        self.tail = bytearray()
        self.total = 0
        self.start()

    def run(self) -> None:
        for chunk in iter(lambda: self.pipe.read1(1 << 16), b""):
            self.total += len(chunk)
            room = LOG_BYTES // 2 - len(self.head)
            self.head += chunk[:room] if room > 0 else b""
            self.tail += chunk[max(room, 0) :]
            del self.tail[: -LOG_BYTES // 2]

    def content(self) -> bytes:
        self.join(5.0)
        left_out = self.total - len(self.head) - len(self.tail)
        gap = b"\n... %d bytes left out ...\n" % left_out if left_out > 0 else b""
        return bytes(self.head) + gap + bytes(self.tail)


class Launch:
    """How the event's function is started: its environment, folder, and a setup script to be sourced first."""

    def __init__(self, folder: str, work: str, setup: Optional[str], extra: Dict[str, str]) -> None:
        self.folder = folder
        self.setup = setup
        self.environment = {k: v for k, v in os.environ.items() if not CREDENTIALS.search(k)}
        self.environment.update({"HOME": work, "TMPDIR": os.path.join(work, "tmp")})
        self.environment.update(extra)

    def start(self, argv: List[str], **pipes: Any) -> Any:
        if self.setup:
            argv = ["/bin/bash", "-c", '. "$0" >&2 && exec "$@"', self.setup] + argv
        try:
            return subprocess.Popen(
                argv, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, start_new_session=True, **pipes
            )
        except OSError as error:
            raise Failure(WRONG_INTERPRETER, "%s cannot be started: %s" % (argv[0][:200], error.strerror))

    def run(self, argv: List[str], limit: Optional[float]) -> Tuple[Optional[int], Capture, Capture]:
        """Run to the end, or to the limit (then the status is None); nothing of the function outlives the call."""
        child = self.start(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        captures = Capture(child.stdout), Capture(child.stderr)
        status = None  # type: Optional[int]
        try:
            status = child.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGTERM)
            try:
                child.wait(timeout=5.0)
            except subprocess.TimeoutExpired:
                pass
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
        return (status,) + captures

    def python(self, version: Optional[str]) -> str:
        """A Python of that version (`3.11`; None: this one), asked for its version rather than believed."""
        here = "%d.%d" % sys.version_info[:2]
        if version in (None, here) and not self.setup:
            return sys.executable or os.readlink("/proc/self/exe")  # without a PATH, Python does not know itself
        for name in ["python" + version, "python3"] if version else ["python3"]:
            probe = "import sys; print('%d.%d' % sys.version_info[:2])"
            try:
                child = self.start([name, "-c", probe], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            except Failure:
                continue
            try:
                said = child.communicate(timeout=60.0)[0].decode("ascii", "replace").strip()
            except subprocess.TimeoutExpired:
                child.kill()
                child.communicate()
                continue
            if child.returncode == 0 and version in (None, said):
                return name
        raise Failure(WRONG_INTERPRETER, "no python%s here, only %s" % (version or "3", here))


def unpack(code: str, target: str) -> None:
    """Verify `function.zip` against the event's `sha256:...` and unpack it: plain files, inside, bounded."""
    if not os.path.isfile("function.zip"):
        raise Failure(WRONG_INTERPRETER, "the job came without its function.zip")
    digest = hashlib.sha256()
    for chunk in chunks_of("function.zip"):
        digest.update(chunk)
    if code != "sha256:" + digest.hexdigest():
        raise Failure(WRONG_INTERPRETER, "function.zip is not the code that the event names")
    left = CODE_BYTES
    try:
        with zipfile.ZipFile("function.zip") as archive:
            if len(archive.infolist()) > CODE_FILES:
                raise Failure(WRONG_INTERPRETER, "function.zip holds more than %d files" % CODE_FILES)
            for member in archive.infolist():
                parts = [part for part in member.filename.split("/") if part]
                kind = stat.S_IFMT(member.external_attr >> 16)
                odd = not parts or member.filename.startswith("/") or ".." in parts or "\\" in member.filename
                if odd or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise Failure(WRONG_INTERPRETER, "function.zip holds the unsafe entry %r" % member.filename[:200])
                path = os.path.join(target, *parts)
                if member.filename.endswith("/"):
                    os.makedirs(path, exist_ok=True)
                    continue
                os.makedirs(os.path.dirname(path), exist_ok=True)
                mode = 0o600 | ((member.external_attr >> 16) & 0o100)
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
                with archive.open(member) as source, os.fdopen(descriptor, "wb") as file:
                    for chunk in iter(lambda: source.read(CHUNK), b""):
                        left -= len(chunk)
                        if left < 0:
                            raise Failure(WRONG_INTERPRETER, "function.zip unpacks to more than %d bytes" % CODE_BYTES)
                        file.write(chunk)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError):
        raise Failure(WRONG_INTERPRETER, "function.zip is broken")
    except OSError as error:
        raise Failure(INPUT_TRANSIENT, "function.zip cannot be unpacked: %s" % error.strerror)


def without_tokens(event: Dict[str, Any]) -> Dict[str, Any]:
    """The event as the function may see it."""

    def bare(place: Any) -> Any:
        return {name: value for name, value in place.items() if name != "macaroon"} if place else None

    shown = {name: value for name, value in event.items() if name != "submit"}
    shown["inputs"] = {name: bare(place) for name, place in (event.get("inputs") or {}).items()}
    shown.update({side: bare(event.get(side)) for side in ("read", "write")})
    return shown


def call(event_path: str, main: str) -> None:
    """In the child: import the function's file and call `main(event)`; its answer goes to $FAAS_RESULT."""
    sys.path[0] = os.getcwd()
    sys.argv = [main]
    spec = importlib.util.spec_from_file_location(os.path.splitext(os.path.basename(main))[0], os.path.abspath(main))
    if spec is None or spec.loader is None:
        raise SystemExit("%s is no Python file" % main)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    with open(event_path, encoding="utf-8") as file:
        event = json.load(file)
    text = json.dumps(module.main(event))
    with open(os.environ["FAAS_RESULT"], "w", encoding="utf-8") as file:
        file.write(text)


# ------------------------------------------------------------------------------------------- one event


class Work:
    """One event from its input to its report."""

    def __init__(self, event: Dict[str, Any], directory: str, code: str) -> None:
        self.directory = directory
        self.code = code
        self.logs = {"stdout": b"", "stderr": b""}
        try:
            if event["schema"] != SCHEMA:
                raise Failure(
                    INPUT_REFUSED, "the event has schema %r, this runner knows %d" % (event["schema"], SCHEMA)
                )
            self.event = event
            self.exec = event["exec"]  # type: Dict[str, Any]
            self.read = Grant(event["read"], READ)
            self.inputs = {name: Grant(fields, READ) for name, fields in (event.get("inputs") or {}).items()}
            self.write = Grant(event["write"], WRITE) if event.get("write") else None
            key = event["key"]
        except (KeyError, TypeError, AttributeError, ValueError, ssl.SSLError) as error:
            raise Failure(INPUT_REFUSED, "the event is not complete: %s %s" % (type(error).__name__, str(error)[:100]))
        self.record = {
            "key": key, "function": self.exec.get("function"), "version": self.exec.get("version"),
            "code": self.exec.get("code"), "subject": event.get("subject"), "lineage": event.get("lineage") or [],
            "exit": DONE, "reason": None, "result": None, "outputs": [],
            "bytes_in": 0, "bytes_out": 0, "times": {"started": now()}, "usage": {},
        }  # type: Dict[str, Any]  # fmt: skip

    def run(self) -> Dict[str, Any]:
        """Do it all; what goes wrong ends in the record, and the record beside the output."""
        try:
            self._steps()
        except Failure as failure:
            self._failed(failure.code, str(failure))
        except OSError as error:
            self._failed(INPUT_TRANSIENT, "the node: %s" % error.strerror)
        except UnicodeError as error:
            self._failed(INPUT_TRANSIENT, "the node's locale cannot name the files: %s" % error.reason)  # type: ignore[attr-defined]
        self._stamp("finished")
        if self.write is not None:
            try:
                self._report(self.write)
            except Failure as failure:
                if self.record["exit"] == DONE:
                    self._failed(failure.code, str(failure))
        return self.record

    def _steps(self) -> None:
        tmp, out = os.path.join(self.directory, "tmp"), os.path.join(self.directory, "out")
        for path in (self.directory, tmp, out):
            os.mkdir(path)
        has_code = os.path.exists("function.zip") or not self.exec.get("command")
        if has_code and not os.path.isdir(self.code):
            os.mkdir(self.code)
            unpack(self.exec.get("code") or "", self.code)
        answer = os.path.join(self.directory, "answer.json")
        event_path = os.path.join(self.directory, "event.json")
        launch = Launch(
            self.code if has_code else self.directory,
            self.directory,
            self.exec.get("setup"),
            dict(self.exec.get("env") or {}, FAAS_RESULT=answer, FAAS_EVENT=event_path, FAAS_OUTPUT=out),
        )
        python = None if self.exec.get("command") else launch.python(self.exec.get("python"))

        event = without_tokens(self.event)
        variables = {"output": out}
        for name, grant in [("", self.read)] + sorted(self.inputs.items()):
            path, size = stage_in(grant, os.path.join(self.directory, "in", urllib.parse.quote(name, safe="")))
            self.record["bytes_in"] += size
            (event["inputs"][name] if name else event["read"])["local"] = path
            variables["inputs." + name if name else "input"] = path
            launch.environment["FAAS_INPUT_" + re.sub(r"\W", "_", name.upper()) if name else "FAAS_INPUT"] = path
        if event.get("write"):
            event["write"]["local"] = out
        self._stamp("staged_in")

        for name in ("key", "function", "subject"):
            launch.environment["FAAS_" + name.upper()] = str(self.record[name])
        with open(event_path, "w", encoding="utf-8") as file:
            json.dump(event, file)
        if self.exec.get("command"):
            argv = [
                re.sub(
                    r"\{(input|inputs\.\w+|output)\}", lambda found: variables.get(found.group(1), found.group(0)), word
                )
                for word in self.exec["command"]
            ]
        else:
            argv = [python or "", os.path.abspath(__file__), "--call", event_path, self.exec["main"]]
        self._function(launch, argv, answer)
        self._stamp("ran")
        if self.write is not None:
            self.record["outputs"] = stage_out(self.write, out)
            self.record["bytes_out"] = sum(output["size"] for output in self.record["outputs"])
            self._stamp("staged_out")
            if not self.record["outputs"]:
                self.record["reason"] = "the function wrote no file"

    def _function(self, launch: Launch, argv: List[str], answer: str) -> None:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        status, stdout, stderr = launch.run(argv, self.exec.get("runtime"))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.logs = {"stdout": stdout.content(), "stderr": stderr.content()}
        self.record["usage"] = {
            "wall": round(time.monotonic() - began, 3),
            "cpu": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 3),
            "max_rss": after.ru_maxrss * 1024,
        }
        last = self.logs["stderr"].decode("utf-8", "replace").strip().rpartition("\n")[2][:300]
        if status is None:
            raise Failure(FUNCTION_FAILED, "the function ran longer than %s s" % self.exec["runtime"])
        if status in (126, 127) and launch.setup:
            raise Failure(WRONG_INTERPRETER, "the command cannot be started: %s" % last)
        if status:
            how = "was killed by signal %d" % -status if status < 0 else "ended with exit code %d" % status
            raise Failure(FUNCTION_FAILED, "the function %s%s" % (how, ": " + last if last else ""))
        if os.path.exists(answer):
            text = b"".join(chunks_of(answer)) if os.path.getsize(answer) <= ANSWER_BYTES else b""
            try:
                self.record["result"] = json.loads(text.decode("utf-8"))
            except ValueError:
                raise Failure(FUNCTION_FAILED, "the function's answer is not JSON of at most %d bytes" % ANSWER_BYTES)

    def _report(self, grant: Grant) -> None:
        """Put stdout, stderr and, as the mark of the end, result.json beside the output."""
        logs = dict(self.logs)
        logs["result.json"] = json.dumps(self.record, indent=1, sort_keys=True).encode("utf-8")
        for name in ("stdout", "stderr", "result.json"):
            content = logs[name]
            path = "%s%s/%s" % (grant.path, RESERVED, name)
            persist(Upload(grant, path, lambda content=content: iter([content]), len(content)))  # type: ignore[misc]

    def _failed(self, code: int, why: str) -> None:
        self.record["exit"], self.record["reason"] = code, why

    def _stamp(self, step: str) -> None:
        self.record["times"][step] = now()


def now() -> float:
    return round(time.time(), 3)


# ------------------------------------------------------------------------------------------------ main


def hide() -> None:
    """Keep the tokens in this process's memory from others of the same account (and out of core files)."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
    except (ImportError, OSError, AttributeError):
        print("runner: this system cannot hide a process's memory", file=sys.stderr)


def take(path: str) -> List[bytes]:
    """Read the event file and unlink it before anything else happens."""
    try:
        with open(path, "rb") as file:
            lines = file.read().splitlines()
        os.unlink(path)
    except OSError as error:
        raise Failure(INPUT_REFUSED, "%s: %s" % (path, error.strerror))
    return [line for line in lines if line.strip()]


def handle(number: int, line: bytes, code: str) -> Dict[str, Any]:
    """One line of the event file to its record; nothing it does stops the lines after it."""
    directory = os.path.abspath("work-%d" % number)
    record = {"key": None, "exit": INPUT_REFUSED, "reason": None}  # type: Dict[str, Any]
    try:
        event = json.loads(line.decode("utf-8"))
        record["key"] = event["key"]
    except (ValueError, KeyError, TypeError):
        record["reason"] = "line %d of the event file is no event" % (number + 1)
        return record
    try:
        return Work(event, directory, code).run()
    except Failure as failure:
        record.update({"exit": failure.code, "reason": str(failure)})
    except Exception as error:  # never its text: it may quote a token
        place = traceback.extract_tb(error.__traceback__)[-1]
        record["reason"] = "%s in line %s (%s)" % (type(error).__name__, place.lineno, place.name)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return record


def report(records: List[Dict[str, Any]]) -> int:
    """Write result.json anew and return the job's exit code: trouble that may pass counts before any other."""
    codes = [record["exit"] for record in records if record["exit"] != DONE]
    transient = [code for code in codes if code in (INPUT_TRANSIENT, OUTPUT_TRANSIENT)]
    code = (transient + codes + [DONE])[0]  # type: int
    python = "%d.%d.%d" % sys.version_info[:3]
    content = {"schema": SCHEMA, "exit": code, "host": socket.gethostname(), "python": python, "events": records}
    with open("result.json.part", "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, sort_keys=True)
    os.replace("result.json.part", "result.json")
    return code


def tell_pool(records: List[Dict[str, Any]]) -> None:
    """Put the bytes that were read and written into the job's ad, for whoever sums up: by HTCondor's Chirp, which takes
    attributes of these names from any job and passes them on at its end. A pool without it knows no bytes."""
    config = os.environ.get("_CONDOR_CHIRP_CONFIG")
    if config is None:
        return
    sums = [sum(record.get(name) or 0 for record in records) for name in ("bytes_in", "bytes_out")]
    try:
        with open(config) as file:
            host, port, cookie = file.read().split()[:3]
        with socket.create_connection((host, int(port)), 5) as connection, connection.makefile("rb") as answers:
            lines = ["set_job_attr_delayed %s %d" % pair for pair in zip(POOL_ATTRIBUTES, sums)]
            for line in ["cookie " + cookie] + lines:
                connection.sendall(line.encode("ascii") + b"\n")
                if int(answers.readline(100)) < 0:
                    raise ValueError
    except (OSError, ValueError) as error:
        print("runner: the pool does not learn how much was read and written: %s" % type(error).__name__)


def main() -> int:
    if sys.getfilesystemencoding() == "ascii" and os.environ.get("LC_ALL") != "C.UTF-8":  # Python 3.6 without a locale
        os.execve(sys.executable, [sys.executable] + sys.argv, dict(os.environ, LC_ALL="C.UTF-8"))
    os.umask(0o077)
    hide()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        lines = take("events.jsonl")
    except Failure as failure:
        print("runner: %s" % failure, file=sys.stderr)
        return report([{"key": None, "exit": failure.code, "reason": str(failure)}])
    records = []  # type: List[Dict[str, Any]]
    code = report(records)  # so that there is one to transfer, whatever happens
    for number, line in enumerate(lines):
        record = handle(number, line, os.path.abspath("code"))
        records.append(record)
        code = report(records)
        print("runner: %s: exit %d, %s" % (record["key"], record["exit"], record["reason"] or "done"))
    tell_pool(records)
    return code


if __name__ == "__main__":
    if sys.argv[1:2] == ["--call"]:
        call(sys.argv[2], sys.argv[3])
    else:
        sys.exit(main())
