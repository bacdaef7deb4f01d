"""The bytes of a file, or a range of them, by pool or door; announced when they are sent."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.types import ASGIApp

from faasctl.local.storage import digests
from faasctl.local.storage.replies import Refusal
from faasctl.local.storage.service import Service
from faasctl.local.storage.transfers import Sending, Transfer, byte_range


def download(
    service: Service,
    http: Request,
    transfer: Transfer,
    *,
    proxied: bool,
    headers: dict[str, str],
    whole: dict[str, str],
) -> ASGIApp:
    """The answer that carries the file; ``headers`` go with every answer, ``whole`` with the whole file only.

    Raises Refusal for a range that the file does not have.
    """
    began, size = time.time_ns(), transfer.size

    def ended(sent: int, active: int, cut: bool) -> None:
        service.read_ended(transfer, proxied=proxied, began=began, sent=sent, active=active, cut=cut)

    try:
        wanted = byte_range(http.headers.get("range"), size)
    except ValueError:
        ended(0, 0, False)
        raise Refusal(416, reason="Invalid (empty) list of valid ranges") from None
    first, length = wanted or (0, size)
    headers = headers | {"Content-Length": str(length)}
    if wanted is not None:
        headers["Content-Range"] = f"bytes {first}-{first + length - 1}/{size}"
    else:
        headers |= whole | digests.answer(http.headers, {"adler32": bytes.fromhex(transfer.adler32)})
    data = service.namespace.data(transfer.request.pnfsid)
    try:
        return Sending(data, status=206 if wanted else 200, headers=headers, first=first, length=length, ended=ended)
    except FileNotFoundError:
        # removed, and cleaned, since the door let the client through
        raise Refusal(500, reason="File not found") from None
