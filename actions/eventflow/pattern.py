r"""Globs on paths, and templates that their captures fill.

``*`` matches within a segment, ``**`` (a segment of its own) any number of whole segments, ``{run}`` captures a
segment or a part of one, as in ``{run}-{n}.root``; ``\`` takes the next character literally. Captures are the
shortest that fit, from left to right, never empty, never hold ``/`` and are never ``.`` or ``..`` alone.

No pattern can be slow: there is no backtracking. Within a segment (and between two ``**``) the leftmost place of
each literal is taken once and kept, which finds a match whenever there is one, since what follows a wildcard can
only gain from an earlier start.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from eventflow.errors import ItemError
from eventflow.event import normal_path
from eventflow.spec import Key, SpecError

MAX_LENGTH = 1024
MAX_SEGMENTS = 48
_SPECIAL = "*?[]{}\\"
_CAPTURE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}", re.ASCII)


class Wild(NamedTuple):
    """A wildcard in a segment: a capture of at least one character, or ``*`` (name ``None``) of any number."""

    name: str | None


Part = str | Wild


class Segment:
    """What one segment of a path must look like: literals with wildcards between them."""

    __slots__ = ("_head", "_inner", "_last", "_tail", "literal", "parts")

    def __init__(self, parts: Iterable[Part]) -> None:
        self.parts: Final = _merged(parts)
        wild = [part for part in self.parts if isinstance(part, Wild)]
        self.literal: Final = None if wild else "".join(part for part in self.parts if isinstance(part, str))
        first, last = (self.parts[0], self.parts[-1]) if self.parts else ("", "")
        self._head = first if isinstance(first, str) else ""
        self._tail = last if isinstance(last, str) and wild else ""
        middle = [part for part in self.parts[1:-1] if isinstance(part, str)]
        self._inner = [(part.name, literal) for part, literal in zip(wild, middle, strict=False)]
        self._last = wild[-1].name if wild else None

    @property
    def head(self) -> str:
        """The literal that every match starts with."""
        return self._head

    @property
    def tail(self) -> str:
        """The literal that every match ends with, behind the last wildcard."""
        return self._tail

    def match(self, text: str, captures: dict[str, str]) -> bool:
        """Whether ``text`` fits; what it captures is added to ``captures``."""
        if self.literal is not None:
            return text == self.literal
        at, end = len(self._head), len(text) - len(self._tail)
        if at > end or not text.startswith(self._head) or not text.endswith(self._tail):
            return False
        for name, literal in self._inner:
            start = text.find(literal, at + 1 if name else at, end)
            if start < 0:
                return False
            if name and not _keep(captures, name, text[at:start]):
                return False
            at = start + len(literal)
        return not self._last or _keep(captures, self._last, text[at:end])


def _keep(captures: dict[str, str], name: str, value: str) -> bool:
    if value in ("", ".", ".."):
        return False
    captures[name] = value
    return True


def _merged(parts: Iterable[Part]) -> tuple[Part, ...]:
    merged: list[Part] = []
    for part in parts:
        last = merged[-1] if merged else None
        if isinstance(part, str) and isinstance(last, str):
            merged[-1] = last + part
        elif part != "":
            merged.append(part)
    return tuple(merged)


STAR: Final = Segment([Wild(None)])
"""A segment of anything."""


class Glob:
    """A compiled path pattern; ``segments`` holds ``None`` for ``**`` (any number of segments, even none)."""

    __slots__ = ("_first", "_others", "segments", "text")

    def __init__(self, segments: Sequence[Segment | None], text: str = "") -> None:
        self.text: Final = text
        self.segments: Final = tuple(segments)
        groups: list[list[Segment]] = [[]]
        for segment in self.segments:
            if segment is None:
                groups.append([])
            else:
                groups[-1].append(segment)
        self._first, *others = map(tuple, groups)  # the segments before the first **, and between and behind others
        self._others = tuple(others)

    @property
    def captures(self) -> frozenset[str]:
        """The names that a match captures."""
        return frozenset(part.name for part in self._wild() if part.name)

    @property
    def literal_directory(self) -> str:
        """The longest directory that every matching path is in, as far as the pattern spells it out."""
        return _literal_directory(self.segments[:-1])

    def _wild(self) -> list[Wild]:
        return [part for seg in self.segments if seg for part in seg.parts if isinstance(part, Wild)]

    def match(self, path: Sequence[str]) -> dict[str, str] | None:
        """The captures of ``path`` (its segments, see `split`), or ``None`` if it does not match."""
        captures: dict[str, str] = {}
        first = self._first
        if not self._others:
            return captures if len(first) == len(path) and _all(first, path, 0, captures) else None
        last = self._others[-1]
        at, end = len(first), len(path) - len(last)
        if at > end or not _all(first, path, 0, captures) or not _all(last, path, end, captures):
            return None
        for group in self._others[:-1]:
            while at + len(group) <= end and not _all(group, path, at, captures):
                at += 1
            at += len(group)
            if at > end:
                return None
        return captures


def _all(group: Sequence[Segment], path: Sequence[str], at: int, captures: dict[str, str]) -> bool:
    part = path[at : at + len(group)]
    return all(segment.match(text, captures) for segment, text in zip(group, part, strict=True))


def split(path: str) -> list[str]:
    """The segments of an absolute path; a trailing slash (of a directory) does not count."""
    return path.removesuffix("/").split("/")[1:]


def parse_glob(text: str, key: Key = ()) -> Glob:
    """Compile a pattern for paths; a `SpecError` at ``key`` says what is wrong with it."""
    raw = _raw_segments(text, key)
    if raw[-1] == "":
        raise SpecError("ends in '/'", key=key, hint="files have no trailing slash; /** matches all below")
    segments: list[Segment | None] = []
    for part in raw:
        if part == "**":
            if segments and segments[-1] is None:
                raise SpecError("one ** after another", key=key, hint="a single ** matches any depth")
            segments.append(None)
        else:
            segments.append(_segment(part, key))
    _refuse_repeats(segments, key)
    if segments[-1] is None:  # a file below: at least one segment more
        segments[-1:] = [STAR, None]
    return Glob(segments, text)


def parse_globs(texts: Sequence[str], key: Key = ("when", "path")) -> list[Glob]:
    """Compile several patterns, the list of which stands at ``key``."""
    return [parse_glob(text, (*key, i)) for i, text in enumerate(texts)]


class Template:
    """A path with ``{captures}`` to fill in, such as ``write``."""

    __slots__ = ("segments", "text")

    def __init__(self, text: str, key: Key = ()) -> None:
        self.text: Final = text
        raw = _raw_segments(text.removesuffix("/"), key)
        self.segments: Final = tuple(_segment(part, key) for part in raw)
        if any(part.name is None for part in self._wild()):
            raise SpecError("a template has no '*'", key=key, hint=r"fill in a {capture}, or write \*")

    def _wild(self) -> list[Wild]:
        return [part for segment in self.segments for part in segment.parts if isinstance(part, Wild)]

    @property
    def captures(self) -> frozenset[str]:
        """The names that must be given to fill it in."""
        return frozenset(part.name for part in self._wild() if part.name)

    @property
    def literal_directory(self) -> str:
        """The longest directory that every path made from it is in (or is)."""
        return _literal_directory(self.segments)

    def expand(self, captures: Mapping[str, str]) -> str:
        """Fill in; `ItemError` (``bad_path``) when a capture is missing or would leave its segment."""
        out = []
        for segment in self.segments:
            out.append("/")
            for part in segment.parts:
                out.append(part if isinstance(part, str) else _capture(part.name or "", captures, self.text))
        path = normal_path("".join(out), where=self.text)
        return path + "/" if self.text.endswith("/") else path


def _capture(name: str, captures: Mapping[str, str], template: str) -> str:
    value = captures.get(name)
    if value is None:
        raise ItemError(f"nothing to fill {{{name}}} with", code="bad_path", where=template)
    if "/" in value or value in ("", ".", ".."):
        raise ItemError(f"{{{name}}} is {value[:200]!r}, no part of a path", code="bad_path", where=template)
    return value


@lru_cache(maxsize=4096)
def _template(text: str) -> Template:
    return Template(text)


def expand(template: str, captures: Mapping[str, str]) -> str:
    """Fill the ``{captures}`` of a path template in; the result is absolute and in normal form."""
    return _template(template).expand(captures)


def _literal_directory(segments: Sequence[Segment | None]) -> str:
    path = ""
    for segment in segments:
        if segment is None or segment.literal is None:
            break
        path += "/" + segment.literal
    return path or "/"


def _raw_segments(text: str, key: Key) -> list[str]:
    if not text.startswith("/"):
        raise SpecError(f"{text[:200]!r} is no absolute path", key=key, hint="start it with /")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_LENGTH or text.count("/") > MAX_SEGMENTS:
        raise SpecError(f"is longer than {MAX_LENGTH} bytes or {MAX_SEGMENTS} segments", key=key)
    if any(ord(char) < 32 or char == "\x7f" for char in text):
        raise SpecError("holds a control character", key=key)
    raw = text.split("/")[1:]
    if any(part in (".", "..") or (part == "" and i < len(raw) - 1) for i, part in enumerate(raw)):
        raise SpecError("holds an empty, '.' or '..' segment", key=key)
    return raw


@lru_cache(maxsize=16384)
def _segment(text: str, key: Key) -> Segment:
    """Equal segments of thousands of functions share one object, which also keeps matching in the CPU's cache."""
    return Segment(_parts(text, key))


def _parts(text: str, key: Key) -> list[Part]:
    parts: list[Part] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            if text[at + 1 : at + 2] not in tuple(_SPECIAL):
                raise SpecError("a lone \\", key=key, hint=f"it goes before one of {_SPECIAL}")
            parts.append(text[at + 1])
            at += 2
        elif char == "{":
            end = text.find("}", at)
            name = text[at + 1 : end] if end > 0 else ""
            if not _CAPTURE.fullmatch(name):
                raise SpecError(
                    f"{text[at : end + 1 or None]!r} is no capture", key=key, hint=r"write {name}, or \{ for {"
                )
            parts.append(Wild(name))
            at = end + 1
        elif char == "*":
            if text[at + 1 : at + 2] == "*":
                raise SpecError(f"** in {text!r} is not alone in its segment", key=key, hint="as in /a/**/b")
            parts.append(Wild(None))
            at += 1
        elif char in _SPECIAL:
            raise SpecError(f"{char!r} is no wildcard here", key=key, hint=f"write \\{char} for itself")
        else:
            parts.append(char)
            at += 1
    return parts


def _refuse_repeats(segments: Sequence[Segment | None], key: Key) -> None:
    seen: set[str] = set()
    for segment in segments:
        previous: Part = ""
        for part in segment.parts if segment else ():
            if isinstance(part, Wild):
                if isinstance(previous, Wild):
                    raise SpecError("two wildcards side by side", key=key, hint="put a character between them")
                if part.name in seen:
                    raise SpecError(f"{{{part.name}}} occurs twice", key=key, hint="give each its own name")
                if part.name:
                    seen.add(part.name)
            previous = part
