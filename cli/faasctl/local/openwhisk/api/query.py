"""Query parameters, read and refused as Pekko's directives and RestAPIs.scala do."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import TypeVar

from faasctl.local.openwhisk.errors import malformed_query
from faasctl.local.openwhisk.http import Call

TRUE = ("true", "yes", "on", "1")
FALSE = ("false", "no", "off", "0")
T = TypeVar("T")
MOST = 200
USUAL = 30


def boolean(call: Call, name: str, default: bool = False) -> bool:
    """An empty value counts as absent; raises ApiError 400."""
    text = call.query.get(name, "")
    if not text:
        return default
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise malformed_query(name, f"'{text}' is not a valid Boolean value")


class Page:
    """The window of a list that is asked for: ``limit`` 0 means as many as are allowed, which is 200."""

    def __init__(self, call: Call, collection: str) -> None:
        """Raises ApiError 400."""
        query = call.query
        self.skip = _integer(query, "skip", collection, 0)
        if self.skip < 0:
            raise malformed_query(
                "skip", f"The value '{self.skip}' is not greater than or equal to 0 for {collection}."
            )
        limit = _integer(query, "limit", collection, USUAL)
        if not 0 <= limit <= MOST:
            raise malformed_query("limit", f"The value '{limit}' is not in the range of 0 to {MOST} for {collection}.")
        self.limit = limit or MOST
        self.count = boolean(call, "count")

    def of(self, rows: list[T]) -> list[T]:
        return rows[self.skip : self.skip + self.limit]

    def remaining(self, rows: Sized) -> int:
        """What ``count=true`` answers."""
        return max(len(rows) - self.skip, 0)


def _integer(query: Mapping[str, str], name: str, collection: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isascii() and digits.isdigit()) or abs(int(text)) >= 2**31:
        raise malformed_query(name, f"The value '{text}' is not an integer for {collection}.")
    return int(text)
