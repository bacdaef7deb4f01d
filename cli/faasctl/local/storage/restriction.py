"""May this activity be done on this path?

Follows the behaviour of dCache's ``PrefixRestriction`` (made from the ``path`` caveat),
``DenyActivityRestriction`` (made from ``activity``) and ``CompositeRestriction``. Paths are whole namespace
paths. Pure.
"""

from __future__ import annotations

import msgspec

from faasctl.local.storage.caveats import Activity, Context
from faasctl.local.storage.paths import ROOT, FsPath, covers

_ON_ANCESTORS = frozenset({Activity.READ_METADATA, Activity.LIST})


class Restriction(msgspec.Struct, frozen=True, kw_only=True):
    """``allowed`` None means all activities, ``prefix`` None all paths; ``root`` is what the bearer sees as ``/``."""

    root: FsPath = ROOT
    prefix: FsPath | None = None
    allowed: frozenset[Activity] | None = None
    max_upload: int | None = None

    def permits(self, activity: Activity, path: FsPath) -> bool:
        """Is ``activity`` allowed on ``path``? Looking at and listing are allowed on the way to the prefix, too."""
        if self.allowed is not None and activity not in self.allowed:
            return False
        if self.prefix is None or covers(self.prefix, path):
            return True
        return activity in _ON_ANCESTORS and covers(path, self.prefix)

    def in_root(self, path: FsPath) -> bool:
        """Can the bearer name ``path`` at all?"""
        return covers(self.root, path)

    def __str__(self) -> str:
        """As dCache prints it in the records of refused reads."""
        parts = []
        if self.prefix is not None:
            parts.append(f"PrefixRestrict[prefix={self.prefix}]")
        if self.allowed is not None:
            parts.append(f"Restrict[{','.join(name for name in Activity if name not in self.allowed)}]")
        if len(parts) > 1:
            return f"CompositeRestriction[{', '.join(parts)}]"
        return parts[0] if parts else "Unrestricted"


def of(context: Context) -> Restriction:
    """The restriction that a macaroon's context puts on its bearer."""
    return Restriction(
        root=context.root,
        prefix=context.prefix() if context.path != ROOT else None,
        allowed=context.allowed(),
        max_upload=context.max_upload,
    )
