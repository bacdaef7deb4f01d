"""Changing what is there: PUT, DELETE, MKCOL, MOVE and PROPPATCH at the door."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from starlette.responses import Response

from faasctl.local.storage import digests, propfind
from faasctl.local.storage.asked import Asked, decoded
from faasctl.local.storage.caveats import Activity
from faasctl.local.storage.digests import Checksums
from faasctl.local.storage.namespace import Entry, Forbidden, Missing
from faasctl.local.storage.paths import FsPath, chroot, covers, parent
from faasctl.local.storage.replies import Refusal, entry_headers, trouble
from faasctl.local.storage.transfers import Transfer, receive

Made = TypeVar("Made")


async def put(asked: Asked) -> Response:
    """Take a file, or send the client that waits for 100 Continue to the pool with it.

    As at dCache a file that is there is gone before the new one has come, missing directories are made, and the name
    is there, without a size, from now on.
    """
    http, service = asked.http, asked.service
    _check_writable(asked)
    limit = asked.login.context.max_upload
    length = http.headers.get("content-length")
    if limit is not None and length is not None and length.isdigit() and int(length) > limit:
        raise Refusal(507, "Insufficient storage: SER_DISK_FULL")
    content_md5 = _content_md5(http.headers.get("content-md5"))
    entry = _created(asked)
    if content_md5 is not None and not asked.permits(Activity.UPDATE_METADATA):
        raise asked.denied()
    transfer = Transfer(
        request=asked.billed(entry, write=True), url_path=asked.url_path, content_md5=content_md5, limit=limit
    )
    if service.config.redirects and http.headers.get("expect", "").lower() == "100-continue":
        return service.redirect(307, transfer)
    part = service.namespace.partial(entry.pnfsid)
    received = await receive(http.stream(), part, Checksums(digests.wanted(http.headers)), limit)
    stored = service.store(transfer, received, proxied=True)
    headers = entry_headers(stored) | digests.answer(http.headers, received.checksums)
    return Response(status_code=201, headers=headers)


async def delete(asked: Asked) -> Response:
    """Remove a file, or a directory; a whole tree only for who may also list it."""
    entry = asked.entry()
    namespace = asked.service.namespace
    if not asked.permits(Activity.DELETE):
        raise asked.denied()
    files = [entry] if not entry.directory else namespace.files_below(entry.path)
    empty = not entry.directory or next(namespace.children(entry.path), None) is None
    if not empty and not asked.permits(Activity.LIST):
        raise trouble(f"Directory is not empty: {asked.url_path}")
    _done(asked, lambda: namespace.remove(entry, asked.login.owner))
    for file in files:
        asked.service.announce_removed(asked.login, file)
    return Response(status_code=204, headers=entry_headers(entry))


async def mkcol(asked: Asked) -> Response:
    """Make one directory; the one above must be there."""
    if asked.existing() is not None:
        raise Refusal(405, "Method MKCOL is not allowed.")
    if asked.existing(parent(asked.path)) is None:
        raise _conflict()
    if not _may_make(asked, asked.path):
        raise asked.denied()
    _done(asked, lambda: asked.service.namespace.make_directory(asked.path, asked.login.owner))
    return Response(status_code=201)


async def proppatch(asked: Asked) -> Response:
    """No property can be changed, as at dCache; whoever may look is told so."""
    entry = asked.entry()
    wanted = propfind.patched(await asked.small_body())
    body = propfind.unchanged(asked.url_path, entry, wanted)
    return Response(body, 207, {"DAV": "1, 2"}, "application/xml; charset=utf-8")


async def move(asked: Asked) -> Response:
    """Give another name; nothing is overwritten."""
    entry = asked.entry()
    target = urlsplit(asked.http.headers.get("destination", "")).path
    if not target:
        raise Refusal(400, "No destination")
    destination = chroot(asked.login.context.root, decoded(target.encode()))
    if not (asked.permits(Activity.MANAGE) and asked.permits(Activity.MANAGE, destination)):
        raise asked.denied()
    if asked.existing(destination) is not None:
        raise Refusal(412)
    if covers(entry.path, destination):
        raise _conflict()
    _done(asked, lambda: asked.service.namespace.move(entry, destination, asked.login.owner))
    return Response(status_code=201, headers=entry_headers(entry))


def _check_writable(asked: Asked) -> None:
    """May the file asked for be written? To overwrite takes DELETE as well. Raises Refusal."""
    existing = asked.existing()
    if existing is not None and "*" in asked.http.headers.get("if-none-match", ""):
        raise Refusal(412)
    if not asked.permits(Activity.UPLOAD):
        raise asked.denied()
    if existing is None:
        return
    if not asked.permits(Activity.DELETE) or not asked.service.namespace.may_change(asked.path, asked.login.owner):
        raise asked.denied()
    if existing.directory:
        raise Refusal(405, "Method PUT is not allowed.")


def _created(asked: Asked) -> Entry:
    """A new name for an upload; missing directories on its way are made, if the credential allows that."""
    namespace, owner = asked.service.namespace, asked.login.owner
    above = parent(asked.path)
    while asked.existing(above) is None:
        if not _may_make(asked, above):
            raise asked.denied()
        above = parent(above)

    def create() -> Entry:
        namespace.make_parents(asked.path, owner)
        return namespace.create(asked.path, owner)

    return _done(asked, create)


def _may_make(asked: Asked, directory: FsPath) -> bool:
    """To make a directory takes UPLOAD or MANAGE of the one above."""
    above = parent(directory)
    return asked.permits(Activity.UPLOAD, above) or asked.permits(Activity.MANAGE, above)


def _done(asked: Asked, change: Callable[[], Made]) -> Made:
    try:
        return change()
    except Missing:
        raise _conflict() from None
    except Forbidden:
        raise asked.denied() from None


def _content_md5(text: str | None) -> bytes | None:
    try:
        return None if text is None else digests.content_md5(text)
    except ValueError:
        raise Refusal(400, "Received a bad PUT request.") from None


def _conflict() -> Refusal:
    return Refusal(409, page="<html><body><h1>Conflict</h1></body></html>")
