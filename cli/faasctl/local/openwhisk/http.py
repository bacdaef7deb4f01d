"""Requests and answers as the API's handlers see them, free of any server's types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

import msgspec

JSON = "application/json"
TEXT = "text/plain; charset=UTF-8"
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": ("Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent"),
    "Access-Control-Allow-Methods": "GET, DELETE, POST, PUT, HEAD",
}
"""What the controller adds to all answers of the API proper (RestAPIs.scala, sendCorsHeaders)."""


class Header(NamedTuple):
    name: str
    value: str


def parse_query(text: str) -> dict[str, str]:
    """A query string as a map."""
    return dict(reversed(parse_qsl(text, keep_blank_values=True))) if text else {}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request. ``path`` and ``query_string`` are as they were sent; names of ``headers`` are in lower case."""

    method: str
    path: str
    query_string: str
    query: dict[str, str]
    """Query parameters; the first of several of one name counts, as in Pekko."""
    headers: tuple[Header, ...]
    body: bytes
    transaction: str
    """Names the request in the answer and in logs."""

    @property
    def segments(self) -> tuple[str, ...]:
        """The decoded parts of the path; an escaped slash does not part them."""
        parts = self.path.removeprefix("/").split("/")
        return tuple(map(unquote, parts)) if "%" in self.path else tuple(parts)

    @property
    def seen_headers(self) -> dict[str, str]:
        """The headers as functions see them: Pekko keeps those of the body apart."""
        return {h.name: h.value for h in self.headers if h.name not in ("content-type", "content-length")}

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        for header in self.headers:
            if header.name == name:
                return header.value
        return None


class Reply(msgspec.Struct, frozen=True):
    """One answer. ``body``: bytes as they are; None for no body; anything else becomes JSON."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = {}
    cors: bool = True
    content_type: str = JSON
    more_headers: tuple[Header, ...] = ()
    """Headers that may stand several times, such as Set-Cookie."""

    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)
