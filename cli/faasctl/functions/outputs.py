"""What functions left in the storage, read over WebDAV."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree

import msgspec
import requests

from eventflow.clients.bounded import read
from eventflow.clients.pem import pem_file
from eventflow.clients.storage import StorageClient
from eventflow.errors import FaasError, UsageError
from eventflow.event import covers
from eventflow.storages import Storage, holding

OWN_TOKEN = "FAASCTL_STORAGE_TOKEN"  # noqa: S105
"""The variable with a token that is used instead of the platform's credential."""

TIMEOUT = (5.0, 30.0)
TOKEN_LIFE = 3600.0
LISTING_BYTES = 32 << 20

_ASK = (
    b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/><getlastmodified/></prop>'
    b"</propfind>"
)


class Unreadable(FaasError):
    """The storage would not show something, or did not answer."""


class Entry(msgspec.Struct, frozen=True):
    """A file or directory: its path, when it changed (unix seconds, 0 for unknown), its size (a file's)."""

    path: str
    directory: bool
    modified: float
    size: int | None


Token = Callable[[Storage, str], str]
"""A bearer token that may read and list a path of a storage."""


def tokens(credential_of: Callable[[Storage], str], process: Mapping[str, str] = os.environ) -> Token:
    """The caller's own token, else one that the storage makes for the platform's credential of that name: to read below
    one path, for an hour. Raises `UsageError` where there is neither."""
    own = process.get(OWN_TOKEN)
    if own:
        return lambda storage, path: own

    def token(storage: Storage, path: str) -> str:
        credential = storage.credentials.get(credential_of(storage))
        if credential is None or b"${" in msgspec.json.encode(credential):
            raise UsageError(
                f"the platform's credential for the storage {storage.name} is not at hand",
                hint=f"set the variables of the environment's file, or give a token of your own as {OWN_TOKEN}",
            )
        client = StorageClient(storage, credential)
        now = time.time()
        found = client.mint(path, ("DOWNLOAD", "LIST"), door=storage.read, expires=now + TOKEN_LIFE, now=now)
        return found.token

    return token


class Outputs:
    """Reads files and directories of the storages; asks for one token per directory that ``below`` names."""

    def __init__(self, storages: Sequence[Storage], token: Token, below: str) -> None:
        self._storage = holding(storages, below)
        self._below = below
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = pem_file(self._storage.ca) if self._storage.ca is not None else True
        self._session.headers["Authorization"] = f"Bearer {token(self._storage, below)}"

    def entry(self, path: str) -> Entry | None:
        """What stands at a path; ``None`` for nothing."""
        found = self._find(path, "0")
        return found[0] if found else None

    def listing(self, path: str) -> list[Entry]:
        """What is in a directory; nothing, when it is not there."""
        own = path.rstrip("/")
        return [entry for entry in self._find(path, "1") if entry.path != own]

    def content(self, path: str, most: int) -> bytes | None:
        """A file of at most ``most`` bytes; ``None`` for one that is not there."""
        answer = self._ask("GET", path, {}, None)
        if answer.status_code == 404:
            answer.close()
            return None
        self._check(answer, path, 200)
        return self._body(answer, path, most)

    def _find(self, path: str, depth: str) -> list[Entry]:
        answer = self._ask("PROPFIND", path, {"Depth": depth, "Content-Type": "application/xml"}, _ASK)
        if answer.status_code == 404:
            answer.close()
            return []
        self._check(answer, path, 207)
        return _entries(self._body(answer, path, LISTING_BYTES), path)

    def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> requests.Response:
        if not covers(self._below.rstrip("/"), path.rstrip("/")):
            raise Unreadable(f"{path} is not below {self._below}")
        url = self._storage.read + quote(path)
        try:
            return self._session.request(method, url, data=body, headers=headers, timeout=TIMEOUT, stream=True)
        except requests.exceptions.RequestException as error:
            raise Unreadable(f"no answer ({type(error).__name__})", where=self._storage.read) from None

    def _check(self, answer: requests.Response, path: str, wanted: int) -> None:
        if answer.status_code != wanted:
            answer.close()
            why = f"{path}: HTTP {answer.status_code} {answer.reason}"
            raise Unreadable(why, where=self._storage.read, hint="the credential must be allowed to read it")

    def _body(self, answer: requests.Response, path: str, most: int) -> bytes:
        try:
            return read(answer, most=most, longest=TIMEOUT[1])
        except requests.exceptions.RequestException as error:
            raise Unreadable(f"{path}: {error}", where=self._storage.read) from None


def _entries(multistatus: bytes, asked: str) -> list[Entry]:
    """The entries of a PROPFIND's answer; without a document type there is nothing in it to expand."""
    try:
        if b"<!" in multistatus:
            raise ElementTree.ParseError
        root = ElementTree.fromstring(multistatus)  # noqa: S314
    except ElementTree.ParseError:
        raise Unreadable(f"{asked}: the listing is no XML that can be read") from None
    found = []
    for response in root.iter("{DAV:}response"):
        path = unquote(urlsplit(response.findtext("{DAV:}href", "")).path).rstrip("/")
        size = response.findtext(".//{DAV:}getcontentlength") or ""
        found.append(
            Entry(
                path=path or "/",
                directory=response.find(".//{DAV:}resourcetype/{DAV:}collection") is not None,
                modified=_time(response.findtext(".//{DAV:}getlastmodified") or ""),
                size=int(size) if size.isdigit() else None,
            )
        )
    return found


def _time(text: str) -> float:
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return 0.0
