"""The WebDAV door: who may do what, in the order in which dCache looks at it.

Methods and activities are those of dCache's ``DcacheResourceFactory``: HEAD and PROPFIND need READ_METADATA
(children: LIST), GET DOWNLOAD, PUT UPLOAD (onto a file also DELETE), DELETE DELETE, MOVE MANAGE, MKCOL UPLOAD
or MANAGE of the parent.
"""

from __future__ import annotations

import base64
import html
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar
from urllib.parse import quote, unquote_to_bytes, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from faasctl.local.storage import billing, digests, macaroons, propfind
from faasctl.local.storage.authn import Login, LoginFailed
from faasctl.local.storage.billing import Status
from faasctl.local.storage.caveats import Activity
from faasctl.local.storage.digests import Checksums
from faasctl.local.storage.namespace import Entry, Forbidden, Missing
from faasctl.local.storage.paths import ROOT, FsPath, chroot, covers, name, normal, parent
from faasctl.local.storage.replies import Refusal, denied, http_date, missing, trouble, unauthorized, url_path
from faasctl.local.storage.service import Service, route
from faasctl.local.storage.transfers import Sending, Transfer, byte_range, receive

MACAROON_REQUEST = "application/macaroon-request"
_SMALL = 1 << 20

_READ = 4
_DEEPEST = 64

Made = TypeVar("Made")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request to the door: ``path`` is where it leads in the namespace, ``url_path`` what the client called
    it.
    """

    http: Request
    login: Login
    path: FsPath
    url_path: str
    began: int

    def permits(self, activity: Activity, path: FsPath | None = None) -> bool:
        """Does the credential allow ``activity`` on ``path``, or else on what was asked for?"""
        return self.login.restriction.permits(activity, self.path if path is None else path)

    def denied(self) -> Refusal:
        """The credential or the file's mode does not allow it."""
        return denied(self.http.method, self.url_path)


class Door:
    """Answers one request at a time for ``service``."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._methods: dict[str, Callable[[Asked], Awaitable[ASGIApp]]] = {
            "HEAD": self._head,
            "GET": self._get,
            "PUT": self._put,
            "DELETE": self._delete,
            "MKCOL": self._mkcol,
            "MOVE": self._move,
            "PROPFIND": self._propfind,
            "POST": self._post,
        }

    async def answer(self, http: Request) -> ASGIApp:
        """The answer to ``http``. Raises Refusal."""
        began = time.time_ns()
        if http.method == "OPTIONS":
            return Response()
        url = _decoded(http.scope["raw_path"])
        try:
            login = self._service.accounts.login(
                http.headers.get("authorization"),
                http.query_params.getlist("authz"),
                client=http.scope["client"][0],
                now=began,
            )
        except LoginFailed as failure:
            raise unauthorized(str(failure)) from None
        method = self._methods.get(http.method)
        if method is None:
            raise Refusal(501, f"Method {http.method} is not implemented.")
        path = chroot(login.context.root, url)
        return await method(Asked(http=http, login=login, path=path, url_path=url, began=began))

    async def _head(self, asked: Asked) -> Response:
        entry = self._looked_up(asked)
        headers = self._entry_headers(entry)
        headers["Last-Modified"] = http_date(entry.modified)
        if entry.adler32:
            headers |= digests.answer(asked.http.headers, {"adler32": bytes.fromhex(entry.adler32)})
        if entry.directory:
            headers["Content-Type"] = "text/html;charset=utf-8"
        response = Response(headers=headers)
        if entry.size is not None:
            response.headers["content-length"] = str(entry.size)
        else:
            del response.headers["content-length"]
        return response

    async def _get(self, asked: Asked) -> ASGIApp:
        entry = self._looked_up(asked)
        if entry.directory:
            return self._listing(asked, entry)
        request = _billed(asked, entry, write=False)
        if not asked.permits(Activity.DOWNLOAD) or not asked.login.owner.may(entry, _READ):
            why = f"Restriction {asked.login.restriction} denied access for [READ_DATA] on {asked.path}"
            status = Status(billing.PERMISSION_DENIED, why)
            self._service.refuse_read(request, size=0, status=status, known=False)
            raise asked.denied()
        if entry.size is None or entry.broken:
            status = (
                Status(billing.FILE_IS_NEW, "File upload not yet completed")
                if entry.size is None
                else Status(billing.FILE_CORRUPTED, "File is broken")
            )
            self._service.refuse_read(request, size=entry.size or 0, status=status, known=entry.size is not None)
            raise trouble(status.message or "")
        transfer = Transfer(request=request, url_path=asked.url_path, size=entry.size, adler32=entry.adler32 or "")
        if self._service.config.redirects:
            return self._redirect(302, transfer)
        return self._proxied_read(asked, transfer, entry)

    async def _put(self, asked: Asked) -> Response:
        http, service = asked.http, self._service
        existing = self._existing(asked)
        if existing is not None and "*" in http.headers.get("if-none-match", ""):
            raise Refusal(412)
        allowed = asked.permits(Activity.UPLOAD) and (existing is None or asked.permits(Activity.DELETE))
        if not allowed:
            raise asked.denied()
        if existing is not None and not self._service.namespace.may_change(asked.path, asked.login.owner):
            raise asked.denied()
        if existing is not None and existing.directory:
            raise Refusal(405, "Method PUT is not allowed.")
        limit = asked.login.context.max_upload
        length = http.headers.get("content-length")
        if limit is not None and length is not None and length.isdigit() and int(length) > limit:
            raise Refusal(507, "Insufficient storage: SER_DISK_FULL")
        content_md5 = self._content_md5(http)
        entry = self._created(asked)
        if content_md5 is not None and not asked.permits(Activity.UPDATE_METADATA):
            raise asked.denied()
        transfer = Transfer(
            request=_billed(asked, entry, write=True),
            url_path=asked.url_path,
            content_md5=content_md5,
            limit=limit,
        )
        if service.config.redirects and http.headers.get("expect", "").lower() == "100-continue":
            return self._redirect(307, transfer)
        part = service.namespace.partial(entry.pnfsid)
        received = await receive(http.stream(), part, Checksums(digests.wanted(http.headers)), limit)
        stored = service.store(transfer, received, route(http, proxied=True))
        headers = self._entry_headers(stored) | digests.answer(http.headers, received.checksums)
        return Response(status_code=201, headers=headers)

    async def _delete(self, asked: Asked) -> Response:
        entry = self._looked_up(asked)
        namespace = self._service.namespace
        if not asked.permits(Activity.DELETE):
            raise asked.denied()
        files = [entry] if not entry.directory else namespace.files_below(entry.path)
        try:
            if entry.directory and any(True for _ in namespace.children(entry.path)):
                if not asked.permits(Activity.LIST):
                    raise trouble(f"Directory is not empty: {asked.url_path}")
                namespace.remove_tree(entry.path, asked.login.owner)
            else:
                namespace.remove(entry, asked.login.owner)
        except Forbidden:
            raise asked.denied() from None
        for file in files:
            self._service.announce_removed(asked.login, file)
        return Response(status_code=204, headers=self._entry_headers(entry))

    async def _mkcol(self, asked: Asked) -> Response:
        if self._existing(asked) is not None:
            raise Refusal(405, "Method MKCOL is not allowed.")
        try:
            self._service.namespace.lookup(parent(asked.path), asked.login.owner)
        except Missing:
            raise _conflict() from None
        except Forbidden:
            raise asked.denied() from None
        if not self._may_make(asked, asked.path):
            raise asked.denied()
        self._make(asked, lambda: self._service.namespace.make_directory(asked.path, asked.login.owner))
        return Response(status_code=201)

    async def _move(self, asked: Asked) -> Response:
        entry = self._looked_up(asked)
        target = urlsplit(asked.http.headers.get("destination", "")).path
        if not target:
            raise Refusal(400, "No destination")
        destination = chroot(asked.login.context.root, _decoded(target.encode()))
        if not (asked.permits(Activity.MANAGE) and asked.permits(Activity.MANAGE, destination)):
            raise asked.denied()
        if covers(entry.path, destination) and entry.path != destination:
            raise _conflict()
        namespace, owner = self._service.namespace, asked.login.owner
        try:
            namespace.lookup(destination, owner)
        except Missing:
            self._make(asked, lambda: namespace.move(entry, destination, owner))
        except Forbidden:
            raise asked.denied() from None
        else:
            raise Refusal(412)
        return Response(status_code=201, headers=self._entry_headers(entry))

    async def _propfind(self, asked: Asked) -> Response:
        entry = self._looked_up(asked)
        properties = propfind.wanted(await _small_body(asked.http))
        depth = {"0": 0, "1": 1}.get(asked.http.headers.get("depth", ""), _DEEPEST)
        shown = list(self._below(asked, asked.url_path, entry, depth))
        return Response(propfind.answer(shown, properties), 207, {"DAV": "1, 2"}, "application/xml; charset=utf-8")

    async def _post(self, asked: Asked) -> Response:
        http, service = asked.http, self._service
        if http.headers.get("content-type", "").strip() != MACAROON_REQUEST:
            raise Refusal(501, "Method POST is not implemented.")
        path = normal(asked.url_path)
        login = asked.login
        try:
            request = macaroons.read_request(await _small_body(http))
            context = macaroons.context_for(login.context, path)
            context = msgspec.structs.replace(context, uid=login.uid, gids=login.gids, username=login.username)
            caveats = macaroons.chain(
                context, request, iid=base64.b64encode(secrets.token_bytes(6)).decode(), now=asked.began
            )
            token = macaroons.seal(service.secret, context.path, caveats)
        except macaroons.Refused as refused:
            raise Refusal(400, reason=str(refused)) from None
        except OverflowError:
            raise Refusal(500, reason="Server Error") from None
        base = f"https://{http.headers.get('host', f'localhost:{service.door_port}')}/"
        target = base + url_path(asked.url_path).removeprefix("/")
        return Response(macaroons.answer(token, target, base), media_type="application/json")

    def _below(self, asked: Asked, url: str, entry: Entry, depth: int) -> Iterator[tuple[str, Entry]]:
        """``entry``, called ``url``, and what the client may see below it."""
        yield url, entry
        listable = asked.permits(Activity.LIST, entry.path) and asked.login.owner.may(entry, _READ)
        if depth == 0 or not entry.directory or not listable:
            return
        for child in self._service.namespace.children(entry.path):
            if asked.permits(Activity.READ_METADATA, child.path):
                yield from self._below(asked, f"{url.rstrip('/')}/{name(child.path)}", child, depth - 1)

    def _looked_up(self, asked: Asked) -> Entry:
        entry = self._existing(asked)
        if entry is None:
            raise missing(asked.url_path)
        return entry

    def _existing(self, asked: Asked) -> Entry | None:
        """What is there already; the credential must at least allow to look."""
        if not asked.permits(Activity.READ_METADATA):
            raise asked.denied()
        try:
            return self._service.namespace.lookup(asked.path, asked.login.owner)
        except Missing:
            return None
        except Forbidden:
            raise asked.denied() from None

    def _created(self, asked: Asked) -> Entry:
        """A new name for an upload; missing directories on its way are made, if the credential allows that."""
        above, missing_directories = parent(asked.path), []
        while not self._is_there(above, asked):
            missing_directories.append(above)
            above = parent(above)
        if not all(self._may_make(asked, directory) for directory in missing_directories):
            raise asked.denied()
        namespace, owner = self._service.namespace, asked.login.owner

        def create() -> Entry:
            namespace.make_parents(asked.path, owner)
            return namespace.create(asked.path, owner)

        return self._make(asked, create)

    def _is_there(self, path: FsPath, asked: Asked) -> bool:
        try:
            self._service.namespace.lookup(path, asked.login.owner)
        except Missing:
            return path == ROOT
        except Forbidden:
            raise asked.denied() from None
        return True

    def _may_make(self, asked: Asked, directory: FsPath) -> bool:
        """To make a directory takes UPLOAD or MANAGE of the one above."""
        above = parent(directory)
        return asked.permits(Activity.UPLOAD, above) or asked.permits(Activity.MANAGE, above)

    def _make(self, asked: Asked, make: Callable[[], Made]) -> Made:
        try:
            return make()
        except Missing:
            raise _conflict() from None
        except Forbidden:
            raise asked.denied() from None

    def _content_md5(self, http: Request) -> bytes | None:
        text = http.headers.get("content-md5")
        try:
            return None if text is None else digests.content_md5(text)
        except ValueError:
            raise Refusal(400, "Received a bad PUT request.") from None

    def _redirect(self, status: int, transfer: Transfer) -> Response:
        key = self._service.promised.promise(transfer)
        path = url_path(transfer.url_path)
        query = f"dcache-http-uuid={key}&dcache-http-ref={quote(self._service.endpoint, safe='')}"
        headers = {"Location": f"{self._service.pool_endpoint}{path}?{query}"}
        return Response(status_code=status, headers=headers)

    def _proxied_read(self, asked: Asked, transfer: Transfer, entry: Entry) -> ASGIApp:
        way, began, size = route(asked.http, proxied=True), time.time_ns(), transfer.size

        def ended(sent: int, active: int, cut: bool) -> None:
            self._service.read_ended(transfer, way, began=began, sent=sent, active=active, cut=cut)

        try:
            wanted = byte_range(asked.http.headers.get("range"), size)
        except ValueError:
            raise Refusal(416, headers={"Content-Range": f"bytes */{size}"}) from None
        first, length = wanted or (0, size)
        headers = self._entry_headers(entry) | {"Content-Length": str(length)}
        headers["Content-Disposition"] = "attachment"
        if wanted is not None:
            headers["Content-Range"] = f"bytes {first}-{first + length - 1}/{size}"
            del headers["Accept-Ranges"]
        else:
            headers |= digests.answer(asked.http.headers, {"adler32": bytes.fromhex(transfer.adler32)})
            headers["Last-Modified"] = http_date(entry.modified)
        data = self._service.namespace.data(entry.pnfsid)
        return Sending(data, status=206 if wanted else 200, headers=headers, first=first, length=length, ended=ended)

    def _listing(self, asked: Asked, entry: Entry) -> Response:
        if not asked.url_path.endswith("/"):
            return Response(
                status_code=302, headers={"Location": f"{self._service.endpoint}{url_path(asked.url_path)}/"}
            )
        headers = self._entry_headers(entry) | {"Last-Modified": http_date(entry.modified)}
        if not asked.permits(Activity.LIST) or not asked.login.owner.may(entry, _READ):
            refusal = asked.denied()
            refusal.headers |= headers
            raise refusal
        items = "".join(
            f'<li><a href="{html.escape(url_path(label))}">{html.escape(label)}</a></li>'
            for child in self._service.namespace.children(entry.path)
            for label in [name(child.path) + ("/" if child.directory else "")]
        )
        return Response(f"<!DOCTYPE html><ul>{items}</ul>", headers=headers, media_type="text/html")

    @staticmethod
    def _entry_headers(entry: Entry) -> dict[str, str]:
        return {"Accept-Ranges": "bytes", "ETag": entry.etag}


def _billed(asked: Asked, entry: Entry, *, write: bool) -> billing.Request:
    return billing.Request(
        login=asked.login,
        path=asked.path,
        pnfsid=entry.pnfsid,
        storage_class=entry.storage_class,
        write=write,
        began=asked.began,
    )


def _conflict() -> Refusal:
    return Refusal(409, page="<html><body><h1>Conflict</h1></body></html>")


def _decoded(raw: bytes) -> str:
    """The path in a URL: without parameters (``;x=y``), decoded, normal but for a slash at its end."""
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


async def _small_body(http: Request) -> bytes:
    body = bytearray()
    async for chunk in http.stream():
        body += chunk
        if len(body) > _SMALL:
            raise Refusal(413, "Too large")
    return bytes(body)
