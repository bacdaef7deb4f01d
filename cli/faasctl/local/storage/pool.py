"""The pool: where the door sends clients for the bytes. The uuid in the URL is the credential; no other is looked
at.
"""

from __future__ import annotations

import time
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from faasctl.local.storage import digests
from faasctl.local.storage.digests import Checksums
from faasctl.local.storage.paths import name
from faasctl.local.storage.replies import Refusal, location_path, url_path
from faasctl.local.storage.service import Service, route
from faasctl.local.storage.transfers import Sending, Transfer, byte_range, receive

_UUID_LENGTH = 36
_CONTENT_HEADERS = frozenset({"content-length", "content-md5"})


class Pool:
    """Answers one request at a time for ``service``."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, http: Request) -> ASGIApp:
        """The answer to ``http``. Raises Refusal."""
        if http.method not in ("GET", "HEAD", "PUT"):
            raise Refusal(501, reason="The requested operation is not supported by dCache")
        key = http.query_params.get("dcache-http-uuid")
        if key is None:
            raise Refusal(400, reason="Query string does not include any UUID.")
        if len(key) > _UUID_LENGTH:
            raise Refusal(400, reason="UUID string too large")
        transfer = self._service.promised.waiting(key)
        if transfer is None or transfer.request.write != (http.method == "PUT"):
            raise self._outdated(http)
        if http.method == "PUT":
            return await self._write(http, key, transfer)
        return self._read(http, key, transfer)

    def _outdated(self, http: Request) -> Refusal:
        """Used up or too late: back to the door, if the client says it comes from ours."""
        if http.query_params.get("dcache-http-ref") == self._service.endpoint:
            location = self._service.endpoint + url_path(http.scope["path"])
            return Refusal(307, reason="Request is no longer valid", headers={"Location": location})
        return Refusal(400, reason="Request is no longer valid. Please resubmit to door.")

    async def _write(self, http: Request, key: str, transfer: Transfer) -> Response:
        for header in http.headers:
            if header.startswith("content-") and header not in _CONTENT_HEADERS:
                raise Refusal(501, reason=f"{header.title()} is not implemented")
        self._service.promised.take(key)
        wanted = digests.wanted(http.headers) | ({"md5"} if transfer.content_md5 is not None else set())
        part = self._service.namespace.partial(transfer.request.pnfsid)
        received = await receive(http.stream(), part, Checksums(wanted), transfer.limit)
        self._service.store(transfer, received, route(http, proxied=False))
        response = Response(
            f"{received.size} bytes uploaded\r\n\r\n",
            201,
            {**digests.answer(http.headers, received.checksums), "X-OC-MTime": "accepted"},
            "text/plain; charset=UTF-8",
        )
        location = self._service.endpoint.encode() + location_path(transfer.url_path)
        response.raw_headers.append((b"location", location))
        return response

    def _read(self, http: Request, key: str, transfer: Transfer) -> ASGIApp:
        self._service.promised.take(key)
        way, began, size = route(http, proxied=False), time.time_ns(), transfer.size

        def ended(sent: int, active: int, cut: bool) -> None:
            self._service.read_ended(transfer, way, began=began, sent=sent, active=active, cut=cut)

        try:
            wanted = byte_range(http.headers.get("range"), size)
        except ValueError:
            ended(0, 0, False)
            raise Refusal(416, reason="Invalid (empty) list of valid ranges") from None
        first, length = wanted or (0, size)
        headers = {"Accept-Ranges": "bytes", "Content-Length": str(length)}
        if wanted is not None:
            headers["Content-Range"] = f"bytes {first}-{first + length - 1}/{size}"
        else:
            headers |= digests.answer(http.headers, {"adler32": bytes.fromhex(transfer.adler32)})
            headers["Content-Disposition"] = f"attachment;filename={quote(name(transfer.request.path))}"
            headers["Content-Location"] = self._service.endpoint + url_path(transfer.url_path)
        data = self._service.namespace.data(transfer.request.pnfsid)
        try:
            return Sending(
                data, status=206 if wanted else 200, headers=headers, first=first, length=length, ended=ended
            )
        except FileNotFoundError:
            raise Refusal(500, reason="File was removed") from None
