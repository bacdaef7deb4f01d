"""Looking at what is there: HEAD, GET and PROPFIND at the door."""

from __future__ import annotations

import html
from collections.abc import Iterator

from starlette.responses import Response
from starlette.types import ASGIApp

from faasctl.local.storage import billing, digests, propfind
from faasctl.local.storage.asked import Asked
from faasctl.local.storage.billing import Status
from faasctl.local.storage.caveats import Activity
from faasctl.local.storage.downloads import download
from faasctl.local.storage.namespace import READ, Entry
from faasctl.local.storage.paths import name
from faasctl.local.storage.replies import entry_headers, http_date, trouble, url_path
from faasctl.local.storage.transfers import Transfer

_DEEPEST = 64


async def head(asked: Asked) -> Response:
    """Size, times and, when asked for, the checksum; a file that is still coming in has no size."""
    entry = asked.entry()
    headers = entry_headers(entry) | {"Last-Modified": http_date(entry.modified)}
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


async def get(asked: Asked) -> ASGIApp:
    """The way to the pool, or the file itself where the door proxies, or a directory as a page."""
    entry = asked.entry()
    if entry.directory:
        return _listing(asked, entry)
    _check_readable(asked, entry)
    transfer = Transfer(
        request=asked.billed(entry, write=False),
        url_path=asked.url_path,
        size=entry.size or 0,
        adler32=entry.adler32 or "",
    )
    if asked.service.config.redirects:
        return asked.service.redirect(302, transfer)
    headers = {"ETag": entry.etag, "Content-Disposition": "attachment"}
    whole = {"Accept-Ranges": "bytes", "Last-Modified": http_date(entry.modified)}
    return download(asked.service, asked.http, transfer, proxied=True, headers=headers, whole=whole)


async def properties(asked: Asked) -> Response:
    """PROPFIND; without a depth it goes all the way down."""
    entry = asked.entry()
    wanted = propfind.wanted(await asked.small_body())
    depth = {"0": 0, "1": 1}.get(asked.http.headers.get("depth", ""), _DEEPEST)
    shown = list(_below(asked, asked.url_path, entry, depth))
    return Response(propfind.answer(shown, wanted), 207, {"DAV": "1, 2"}, "application/xml; charset=utf-8")


def _check_readable(asked: Asked, entry: Entry) -> None:
    """A read that is refused is announced as well. Raises Refusal."""
    request = asked.billed(entry, write=False)
    if not asked.permits(Activity.DOWNLOAD) or not asked.login.owner.may(entry, READ):
        why = f"Restriction {asked.login.restriction} denied access for [READ_DATA] on {asked.path}"
        status = Status(billing.PERMISSION_DENIED, why)
        asked.service.refuse_read(request, size=0, status=status, known=False)
        raise asked.denied()
    if entry.size is None:
        asked.service.refuse_read(request, size=0, status=Status(billing.FILE_IS_NEW, _COMING), known=False)
        raise trouble(_COMING)
    if entry.broken:
        asked.service.refuse_read(request, size=entry.size, status=Status(billing.FILE_CORRUPTED, _BROKEN), known=True)
        raise trouble(_BROKEN)


_COMING = "File upload not yet completed"
_BROKEN = "File is broken"


def _listing(asked: Asked, entry: Entry) -> Response:
    if not asked.url_path.endswith("/"):
        location = f"{asked.service.endpoint}{url_path(asked.url_path)}/"
        return Response(status_code=302, headers={"Location": location})
    headers = entry_headers(entry) | {"Last-Modified": http_date(entry.modified)}
    if not _listable(asked, entry):
        refusal = asked.denied()
        refusal.headers |= headers
        raise refusal
    items = "".join(
        f'<li><a href="{html.escape(url_path(label))}">{html.escape(label)}</a></li>'
        for child in asked.service.namespace.children(entry.path)
        for label in [name(child.path) + ("/" if child.directory else "")]
    )
    return Response(f"<!DOCTYPE html><ul>{items}</ul>", headers=headers, media_type="text/html")


def _below(asked: Asked, url: str, entry: Entry, depth: int) -> Iterator[tuple[str, Entry]]:
    """``entry``, called ``url``, and what the client may see below it."""
    yield url, entry
    if depth == 0 or not entry.directory or not _listable(asked, entry):
        return
    for child in asked.service.namespace.children(entry.path):
        if asked.permits(Activity.READ_METADATA, child.path):
            yield from _below(asked, f"{url.rstrip('/')}/{name(child.path)}", child, depth - 1)


def _listable(asked: Asked, entry: Entry) -> bool:
    return asked.permits(Activity.LIST, entry.path) and asked.login.owner.may(entry, READ)
