"""A request to the door, logged in and with its path understood."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.requests import Request

from faasctl.local.storage import billing
from faasctl.local.storage.authn import Login
from faasctl.local.storage.caveats import Activity
from faasctl.local.storage.namespace import Entry, Forbidden, Missing
from faasctl.local.storage.paths import ROOT, FsPath, normal
from faasctl.local.storage.replies import Refusal, denied, missing
from faasctl.local.storage.service import Service

_SMALL = 1 << 20


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """``path`` is where the request leads in the namespace, ``url_path`` what the client called it."""

    service: Service
    http: Request
    login: Login
    path: FsPath
    url_path: str
    began: int

    def permits(self, activity: Activity, path: FsPath | None = None) -> bool:
        """Does the credential allow ``activity`` on ``path``, or else on what was asked for?"""
        return self.login.restriction.permits(activity, self.path if path is None else path)

    def denied(self) -> Refusal:
        """The credential, or the owner and mode of what is there, does not allow it."""
        return denied(self.http.method, self.url_path)

    def entry(self) -> Entry:
        """What the path names. Raises Refusal."""
        found = self.existing()
        if found is None:
            raise missing(self.url_path)
        return found

    def existing(self, path: FsPath | None = None) -> Entry | None:
        """What ``path``, or else the path asked for, names; the credential must allow to look. Raises Refusal."""
        path = self.path if path is None else path
        if not self.permits(Activity.READ_METADATA, path):
            raise self.denied()
        try:
            return self.service.namespace.lookup(path, self.login.owner)
        except Missing:
            return None
        except Forbidden:
            raise self.denied() from None

    def billed(self, entry: Entry, *, write: bool) -> billing.Request:
        """The request as billing records tell of it."""
        return billing.Request(
            login=self.login,
            path=self.path,
            pnfsid=entry.pnfsid,
            storage_class=entry.storage_class,
            write=write,
            began=self.began,
            client_port=self.http.scope["client"][1],
        )

    async def small_body(self) -> bytes:
        """The body of a request that carries no file. Raises Refusal."""
        body = bytearray()
        async for chunk in self.http.stream():
            body += chunk
            if len(body) > _SMALL:
                raise Refusal(413, "Too large")
        return bytes(body)


def decoded(raw: bytes) -> str:
    """The path in a URL: without parameters (``;x=y``), decoded, normal but for a slash at its end. Raises Refusal."""
    without = re.sub(rb";[^/]*", b"", raw)
    if re.search(rb"%(?![0-9a-fA-F]{2})", without):
        raise Refusal(400, "Bad Request")
    try:
        text = unquote_to_bytes(without).decode()
    except UnicodeDecodeError:
        raise Refusal(400, "Bad Request") from None
    if "\0" in text:
        raise Refusal(400, "Bad Request")
    path = normal(text)
    return f"{path}/" if text.endswith("/") and path != ROOT else path
