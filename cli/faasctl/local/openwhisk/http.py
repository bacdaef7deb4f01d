"""Requests and answers as the API's handlers see them, free of any server's types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``segments`` are the decoded parts of the path; an escaped slash does not part them."""

    method: str
    path: str
    query_string: str
    headers: tuple[Header, ...]
    body: bytes
    transaction: str
    base_url: str
    """``http://host:port`` under which the caller reached the host."""

    @property
    def segments(self) -> tuple[str, ...]:
        return tuple(unquote(part) for part in self.path.removeprefix("/").split("/"))

    @property
    def query(self) -> dict[str, str]:
        """Query parameters; the first of several of one name counts, as in Pekko."""
        pairs: dict[str, str] = {}
        for name, value in parse_qsl(self.query_string, keep_blank_values=True):
            pairs.setdefault(name, value)
        return pairs

    @property
    def seen_headers(self) -> dict[str, str]:
        """The headers as functions see them: Pekko keeps those of the body apart."""
        return {h.name: h.value for h in self.headers if h.name not in ("content-type", "content-length")}

    def header(self, name: str) -> str | None:
        """The first header of that (lower-case) name."""
        return next((header.value for header in self.headers if header.name == name), None)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. ``body``: bytes as they are; None for no body; anything else becomes JSON."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cors: bool = True
    content_type: str = JSON
    more_headers: tuple[Header, ...] = ()
    """Headers that may stand several times, such as Set-Cookie."""

    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)
