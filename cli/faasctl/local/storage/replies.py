"""Answers in dCache's words: refusals as exceptions, URLs, the headers of files."""

from __future__ import annotations

import email.utils
import re
from urllib.parse import quote

from starlette.responses import Response

from faasctl.local.storage.namespace import Entry
from faasctl.local.storage.protocol import REASON

SERVER = "faasctl"


class Refusal(Exception):
    """A request that is answered with an error; ``reason`` goes into the status line.

    The body is ``text``, to which dCache adds a newline, or ``page``, which it calls nothing.
    """

    def __init__(
        self,
        status: int,
        text: str = "",
        *,
        reason: str | None = None,
        headers: dict[str, str] | None = None,
        page: str = "",
    ) -> None:
        super().__init__(reason or text)
        self.status = status
        self.text = text
        self.reason = reason
        self.headers = headers or {}
        self.page = page

    def response(self) -> Response:
        """The answer."""
        body = f"{self.text}\n" if self.text else self.page
        response = Response(body, self.status, self.headers, "text/plain;charset=utf-8" if self.text else None)
        if self.reason is not None:
            # a phrase is one line of Latin-1; Jetty puts "?" for the rest, so does this
            phrase = re.sub(r"[^\x20-\x7e\xa0-\xff]", "?", self.reason)
            response.raw_headers.append((REASON, phrase.encode("latin-1")))
        return response


def unauthorized(reason: str = "login failed") -> Refusal:
    """Nobody we know, or a credential that does not hold."""
    return Refusal(401, reason=reason, headers={"WWW-Authenticate": 'Basic realm="faasctl"'})


def denied(method: str, path: str) -> Refusal:
    """A login without the right to do this."""
    return Refusal(403, f"Permission denied for {method} on path {path}")


def missing(path: str) -> Refusal:
    """There is no such name."""
    return Refusal(404, f"Path not found: {path}")


def trouble(text: str) -> Refusal:
    """What dCache calls an internal problem."""
    return Refusal(500, f"Internal problem: {text}", reason="Server Error")


def url_path(path: str) -> str:
    """``path`` as dCache writes it into redirects."""
    return quote(path, safe="/+!$&'()*,;=:@~")


def location_path(path: str) -> bytes:
    """``path`` as a pool writes it into Location: escaped, but for letters beyond ASCII, which stay UTF-8."""
    return "".join(character if ord(character) > 127 else url_path(character) for character in path).encode()


def http_date(milliseconds: int) -> str:
    """A moment (ms since the epoch) for Last-Modified."""
    return email.utils.formatdate(milliseconds // 1000, usegmt=True)


def entry_headers(entry: Entry) -> dict[str, str]:
    """What dCache says about a file or directory in almost every answer."""
    return {"Accept-Ranges": "bytes", "ETag": entry.etag}
