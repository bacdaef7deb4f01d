"""A value that must not be seen: not in a repr, not in an error, not in a plan."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping

import msgspec


class Secret:
    """A text that is shown only to those who ask for it with `reveal`.

    ``origin`` says where it came from (``env:FAAS_SEAL_KEY``, ``file:/run/secrets/token``, or ``""`` for a text
    written into the file itself), so that a message can name a secret without holding it.
    """

    __slots__ = ("_text", "origin")

    def __init__(self, text: str, origin: str = "") -> None:
        self._text = text
        self.origin = origin

    def reveal(self) -> str:
        """The text itself. Call it at the edge, where the text is sent, and nowhere earlier."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({self.origin or 'inline'})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)


def secrets_in(value: object) -> Iterator[Secret]:
    """Every secret of an environment, or of a part of one, however deep."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from secrets_in(getattr(value, name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from secrets_in(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from secrets_in(inner)
