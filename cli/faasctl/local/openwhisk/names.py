"""Names of entities (core/entity/EntityPath.scala, FullyQualifiedEntityName.scala)."""

from __future__ import annotations

import re
import secrets
from typing import NamedTuple

from faasctl.local.openwhisk.errors import ApiError, invalid, malformed_content

SEGMENT = re.compile(r"\A(\w|\w[\w@ .&-]{0,254}[\w@.&-])\Z", re.ASCII)
LONGEST = 256
ILLEGAL = "The name of the entity contains illegal characters."
DEFAULT = "_"
"""Stands for the caller's own namespace."""


class FullName(NamedTuple):
    """``path`` is ``namespace`` or ``namespace/package``."""

    path: str
    name: str

    def __str__(self) -> str:
        return f"{self.path}/{self.name}"

    @property
    def namespace(self) -> str:
        return self.path.partition("/")[0]

    @property
    def package(self) -> str | None:
        return self.path.partition("/")[2] or None

    @property
    def relative(self) -> str:
        """``package/name``, or the name alone."""
        return f"{self.package}/{self.name}" if self.package else self.name

    @property
    def document(self) -> dict[str, str]:
        return {"path": self.path, "name": self.name}


def check_segment(name: str) -> str:
    """A name as it stands in a path of the API; raises ApiError."""
    if len(name) > LONGEST:
        raise invalid(f"Name segement longer than allowed: {len(name)} > {LONGEST}.")
    if not SEGMENT.match(name):
        raise invalid(ILLEGAL)
    return name


def check_namespace(name: str) -> str:
    """A namespace as it stands in a path of the API; raises ApiError."""
    if len(name) > LONGEST:
        raise invalid(f"Namespace longer than allowed: {len(name)} > {LONGEST}.")
    if not SEGMENT.match(name):
        raise invalid("The namespace contains illegal characters.")
    return name


def parse_full_name(text: object, own_namespace: str) -> FullName:
    """``/ns/pkg/name`` or ``ns/name``, with ``_`` resolved; raises ApiError as the body's deserialiser does."""
    if isinstance(text, dict) and isinstance(text.get("path"), str) and isinstance(text.get("name"), str):
        text = f"{text['path']}/{text['name']}"
    if not isinstance(text, str):
        raise malformed_content("fully qualified name malformed")
    parts = [part for part in text.split("/") if part]
    if len(parts) < 2:
        raise malformed_content(
            "requirement failed: The fully qualified name of the entity must contain at least "
            "the namespace and the name of the entity."
        )
    if any(not SEGMENT.match(part) for part in parts):
        raise malformed_content(f"requirement failed: {ILLEGAL}")
    if parts[0] == DEFAULT:
        parts[0] = own_namespace
    return FullName("/".join(parts[:-1]), parts[-1])


def new_activation_id() -> str:
    """32 lower-case hexadecimal digits (ActivationId.scala)."""
    return secrets.token_hex(16)


def check_activation_id(text: str) -> str:
    """Raises ApiError unless ``text`` could be an activation's id."""
    if len(text) != 32:
        raise ApiError(400, f"Activation id length is {len(text)} but must be 32.", rejected=True)
    if not re.fullmatch(r"[0-9a-f]{32}", text):
        raise invalid("The activation id is not valid.")
    return text
