"""The pool: where the door sends clients for the bytes. The uuid in the URL is the credential; no other counts."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from faasctl.local.storage import digests
from faasctl.local.storage.digests import Checksums
from faasctl.local.storage.downloads import download
from faasctl.local.storage.paths import name
from faasctl.local.storage.replies import Refusal, location_path, url_path
from faasctl.local.storage.service import Service
from faasctl.local.storage.transfers import Transfer, receive

_UUID_LENGTH = 36
_CONTENT_HEADERS = frozenset({"content-length", "content-md5"})


async def answer(service: Service, http: Request) -> ASGIApp:
    """The pool's answer to ``http``. Raises Refusal."""
    if http.method not in ("GET", "HEAD", "PUT"):
        raise Refusal(501, reason="The requested operation is not supported by dCache")
    key = http.query_params.get("dcache-http-uuid")
    if key is None:
        raise Refusal(400, reason="Query string does not include any UUID.")
    if len(key) > _UUID_LENGTH:
        raise Refusal(400, reason="UUID string too large")
    transfer = service.promised.waiting(key)
    if transfer is None or transfer.request.write != (http.method == "PUT"):
        raise _outdated(service, http)
    if http.method == "PUT":
        return await _write(service, http, key, transfer)
    service.promised.take(key)
    whole = {
        "Content-Disposition": f"attachment;filename={quote(name(transfer.request.path))}",
        "Content-Location": service.endpoint + url_path(transfer.url_path),
    }
    return download(service, http, transfer, proxied=False, headers={"Accept-Ranges": "bytes"}, whole=whole)


async def _write(service: Service, http: Request, key: str, transfer: Transfer) -> Response:
    for header in http.headers:
        if header.startswith("content-") and header not in _CONTENT_HEADERS:
            raise Refusal(501, reason=f"{header.title()} is not implemented")
    service.promised.take(key)
    wanted = digests.wanted(http.headers) | ({"md5"} if transfer.content_md5 is not None else set())
    part = service.namespace.partial(transfer.request.pnfsid)
    received = await receive(http.stream(), part, Checksums(wanted), transfer.limit)
    service.store(transfer, received, proxied=False)
    response = Response(
        f"{received.size} bytes uploaded\r\n\r\n",
        201,
        {**digests.answer(http.headers, received.checksums), "X-OC-MTime": "accepted"},
        "text/plain; charset=UTF-8",
    )
    response.raw_headers.append((b"location", service.endpoint.encode() + location_path(transfer.url_path)))
    return response


def _outdated(service: Service, http: Request) -> Refusal:
    """Used up or too late: back to the door, if that is where the client says it comes from."""
    if http.query_params.get("dcache-http-ref") == service.endpoint:
        location = service.endpoint + url_path(http.scope["path"])
        return Refusal(307, reason="Request is no longer valid", headers={"Location": location})
    return Refusal(400, reason="Request is no longer valid. Please resubmit to door.")
