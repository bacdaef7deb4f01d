"""A YAML file with the line of each of its keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import yaml

from eventflow.errors import FaasError
from eventflow.spec import Key

MAX_BYTES = 1 << 20


class BadDocument(FaasError):
    """A file that cannot be read as one YAML document."""


class Document(msgspec.Struct, frozen=True):
    """What a YAML file holds, and where each key stands in it."""

    tree: Any
    lines: dict[Key, int]

    def line(self, key: Key) -> int:
        """The line of ``key``, or of the nearest thing around it."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)


def read_document(path: Path) -> Document:
    """Read a file; raises `BadDocument`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadDocument("is larger than 1 MiB", where=str(path))
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadDocument(f"cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        raise BadDocument("is not UTF-8 text", where=str(path)) from None
    return parse_document(text, str(path))


def parse_document(text: str, name: str) -> Document:
    """Parse a text; ``name`` stands in errors. Duplicate keys and aliases are errors."""
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise BadDocument(f"is no YAML: {getattr(error, 'problem', None) or error}", where=where) from None
    lines: dict[Key, int] = {}
    _number(node, (), lines, name)
    return Document(yaml.safe_load(text), lines)


def _number(node: yaml.Node | None, key: Key, lines: dict[Key, int], name: str) -> None:
    if node is None:
        return
    lines.setdefault(key, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            inner = (*key, key_node.value if isinstance(key_node, yaml.ScalarNode) else str(key_node.tag))
            line = key_node.start_mark.line + 1
            if inner in lines:
                raise BadDocument(f"the key {inner[-1]!r} is there twice", where=f"{name}:{line}")
            lines[inner] = line
            _number(value_node, inner, lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value_node in enumerate(node.value):
            _number(value_node, (*key, index), lines, name)
