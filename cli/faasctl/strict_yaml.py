"""YAML as people expect it: the YAML 1.2 core schema, no surprises, and every value knows its line.

``on`` and ``yes`` are strings, ``010`` is ten, a key that stands twice is an error, and no document can make
reading it slow: size, depth and what aliases expand to are bounded, and nothing recurses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from eventflow.errors import FaasError
from eventflow.spec import Key, SpecError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 40
MAX_VALUES = 100_000

_TAG = "tag:yaml.org,2002:"
_KINDS = {_TAG + "null": type(None), _TAG + "bool": bool, _TAG + "int": int, _TAG + "float": float}
_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class YamlError(FaasError):
    """A file is no YAML, or uses YAML in a way that is refused here; ``where`` is ``file:line``."""


class Document:
    """What one file says: its ``value`` as plain dicts, lists and scalars, and the line of every key."""

    def __init__(self, name: str, value: Any, lines: dict[Key, int]) -> None:
        self.name = name
        self.value = value
        self._lines = lines

    def where(self, key: Key = ()) -> str:
        """``file:line`` of a key such as ``("when", "path", 0)``, or of the nearest one above it that is there."""
        while key and key not in self._lines:
            key = key[:-1]
        return f"{self.name}:{self._lines.get(key, 1)}"

    def located(self, error: SpecError) -> SpecError:
        """The same error, with file and line before its key."""
        found = SpecError(str(error), key=error.key, hint=error.hint)
        found.where = self.where(error.key)
        return found


def read(path: Path) -> Document:
    """Read a YAML file; `YamlError` when it cannot be read or is refused."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise YamlError(f"cannot be read: {error.strerror}", where=str(path)) from None
    return parse(content, str(path))


def parse(content: bytes, name: str) -> Document:
    """Parse one document; ``name`` stands in errors."""
    if len(content) > MAX_BYTES:
        raise YamlError(f"is larger than {MAX_BYTES} bytes", where=name)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise YamlError("is no UTF-8 text", where=f"{name}:{line}", hint="save it as UTF-8") from None
    try:
        return _Composer(name).compose(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        why = f"holds the character {text[error.position]!a}, which YAML does not allow"
        raise YamlError(why, where=f"{name}:{line}") from None
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, name) from None


def _syntax_error(error: yaml.MarkedYAMLError, text: str, name: str) -> YamlError:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    source = text.splitlines()[line - 1] if line <= len(text.splitlines()) else ""
    if "\t" in source[: len(source) - len(source.lstrip())] or "'\\t'" in str(error.problem):
        return YamlError("a tab in the indentation", where=f"{name}:{line}", hint="indent with spaces")
    return YamlError(f"is no YAML: {error.problem}", where=f"{name}:{line}")


class _Open:
    """A mapping or list that is being read."""

    __slots__ = ("anchor", "key", "name", "size", "value")

    def __init__(self, value: dict[str, Any] | list[Any], key: Key, anchor: str | None) -> None:
        self.value = value
        self.key = key
        self.anchor = anchor
        self.name: str | None = None
        self.size = 1


class _Composer:
    """Builds the value from the parser's events, with an explicit stack and without recursion."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines: dict[Key, int] = {}
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._stack: list[_Open] = []
        self._values = 0
        self._result: Any = None

    def compose(self, events: Iterator[yaml.Event]) -> Document:
        documents = 0
        for event in events:
            line = event.start_mark.line + 1 if event.start_mark else 0
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._error("a second document", line, "one file holds one document")
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event, line)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event, line)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._start(event, line)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                done = self._stack.pop()
                if done.anchor:
                    self._anchors[done.anchor] = (done.value, done.size)
                if self._stack:
                    self._stack[-1].size += done.size
        return Document(self._name, self._result, self._lines)

    def _start(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, line: int) -> None:
        mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", _TAG + ("map" if mapping else "seq")):
            raise self._error(f"the tag {event.tag} is not allowed", line)
        if len(self._stack) >= MAX_DEPTH:
            raise self._error(f"is nested deeper than {MAX_DEPTH}", line)
        value: dict[str, Any] | list[Any] = {} if mapping else []
        key = self._add(value, 0, line)
        self._stack.append(_Open(value, key, event.anchor))

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.value, dict) and top.name is None:
            self._mapping_key(top, event, line)
            return
        value = self._plain_value(event, line)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._add(value, 1, line)

    def _mapping_key(self, top: _Open, event: yaml.ScalarEvent, line: int) -> None:
        name = self._plain_value(event, line)
        if event.anchor or not isinstance(name, str):
            raise self._error(f"the key {event.value!r} is no plain string", line, "quote it")
        if name == "<<" and event.style is None:
            raise self._error("merge keys (<<) are not part of YAML 1.2", line, "write the keys out")
        if name in top.value:
            first = self._lines[(*top.key, name)]
            raise self._error(f"the key {name!r} stands twice, first in line {first}", line)
        top.name = name
        self._lines[(*top.key, name)] = line

    def _alias(self, event: yaml.AliasEvent, line: int) -> None:
        if event.anchor not in self._anchors:
            raise self._error(f"*{event.anchor} has no anchor before it", line)
        value, size = self._anchors[event.anchor]
        self._add(value, size, line)

    def _add(self, value: Any, size: int, line: int) -> Key:
        """Put a value where the document has it; returns its key."""
        self._values += max(size, 1)
        if self._values > MAX_VALUES:
            raise self._error(f"holds more than {MAX_VALUES} values", line)
        if not self._stack:
            self._result = value
            return ()
        top = self._stack[-1]
        top.size += size
        if isinstance(top.value, list):
            key = (*top.key, len(top.value))
            self._lines[key] = line
            top.value.append(value)
            return key
        if top.name is None:
            raise self._error("a key must be a plain string", line)
        key = (*top.key, top.name)
        top.value[top.name] = value
        top.name = None
        return key

    def _plain_value(self, event: yaml.ScalarEvent, line: int) -> Any:
        tag = event.tag
        if tag in ("!", _TAG + "str") or (tag is None and not event.implicit[0]):
            return event.value
        value = self._resolved(event.value, line)
        if tag is not None and tag not in _KINDS:
            raise self._error(f"the tag {tag} is not allowed", line)
        if tag is not None and type(value) is not _KINDS[tag]:
            raise self._error(f"{event.value!r} is no {tag.removeprefix(_TAG)}", line)
        return value

    def _resolved(self, text: str, line: int) -> Any:
        """The scalar by the YAML 1.2 core schema, as far as JSON can carry it."""
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text[0] in "tT"
        if _INT.fullmatch(text):
            number = int(text, 0) if text[:2] in ("0o", "0x") else int(text) if len(text) < 25 else 1 << 64
            if not -(1 << 63) <= number < 1 << 64:
                raise self._error(f"{text[:40]} is no 64 bit number", line, "quote it if it is a name")
            return number
        if _FLOAT.fullmatch(text):
            real = float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
            if not math.isfinite(real):
                raise self._error(f"{text[:40]} is no finite number", line)
            return real
        return text

    def _error(self, why: str, line: int, hint: str = "") -> YamlError:
        return YamlError(why, where=f"{self._name}:{line}", hint=hint)
