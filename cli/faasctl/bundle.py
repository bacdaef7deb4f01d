"""Where the platform's own actions, manifests and constraints are.

In an installed wheel they are `faasctl/bundled/`; in an editable checkout they are the repository itself.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def root() -> Path:
    """The folder that holds ``actions/``, ``manifests/`` and ``constraints.txt``."""
    bundled = _PACKAGE / "bundled"
    return bundled if bundled.is_dir() else _PACKAGE.parent.parent


def actions() -> Path:
    """The folder with one folder per bundled action."""
    return root() / "actions"


def action_folders() -> list[Path]:
    """The bundled actions' folders, by name: those with a ``__main__.py``."""
    return sorted(file.parent for file in actions().glob("*/__main__.py"))


def manifests() -> Path:
    """The folder with the manifest template, the environments and the policies."""
    return root() / "manifests"


def constraints() -> Path:
    """The versions that requirements are pinned to."""
    return root() / "constraints.txt"
