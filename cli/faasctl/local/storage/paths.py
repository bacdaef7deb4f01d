"""Paths of the namespace as dCache's ``diskCacheV111.util.FsPath`` understands them.

A path is absolute, has no empty, ``.`` or ``..`` segment, and does not end in ``/`` unless it is the root.
"""

from __future__ import annotations

from typing import NewType

FsPath = NewType("FsPath", str)

ROOT = FsPath("/")


def segments(path: str) -> tuple[str, ...]:
    """The names of ``path`` from the root on, with ``.`` and ``..`` carried out; ``..`` at the root stays there."""
    names: list[str] = []
    for name in path.split("/"):
        if name == "..":
            names[-1:] = []
        elif name not in ("", "."):
            names.append(name)
    return tuple(names)


def normal(path: str) -> FsPath:
    """``path`` in normal form; relative ones are taken from the root."""
    return FsPath("/" + "/".join(segments(path)))


def chroot(base: FsPath, path: str) -> FsPath:
    """``path`` inside ``base``, as a chroot would see it: ``..`` cannot leave ``base``."""
    return normal(f"{base}/{normal(path)}")


def resolve(base: FsPath, path: str) -> FsPath:
    """``path`` as a shell in ``base`` would see it: an absolute path replaces ``base``."""
    return normal(path) if path.startswith("/") else normal(f"{base}/{path}")


def covers(prefix: FsPath, path: FsPath) -> bool:
    """Is ``path`` the same as ``prefix`` or below it, by whole names?"""
    return prefix in ("/", path) or path.startswith(f"{prefix}/")


def parent(path: FsPath) -> FsPath:
    """The directory that holds ``path``; the root's is the root."""
    return FsPath(path.rpartition("/")[0] or "/")


def name(path: FsPath) -> str:
    """The last name of ``path``; the root's is empty."""
    return path.rpartition("/")[2]
