"""What a check of `faasctl doctor` says."""

from __future__ import annotations

from typing import Literal

import msgspec

Level = Literal["ok", "warning", "problem", "skipped"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at: ``about`` names it, ``why`` says how it is, ``remedy`` what to do about it.

    A ``problem`` needs a person now, a ``warning`` some day; ``skipped`` could not be looked at.
    """

    about: str
    level: Level
    why: str
    remedy: str = ""


def ok(about: str, why: str) -> Finding:
    """All is well."""
    return Finding(about=about, level="ok", why=why)


def problem(about: str, why: str, remedy: str) -> Finding:
    """A person is needed now."""
    return Finding(about=about, level="problem", why=why, remedy=remedy)


def warning(about: str, why: str, remedy: str) -> Finding:
    """It works, and will not do so for ever, or under every load."""
    return Finding(about=about, level="warning", why=why, remedy=remedy)


def skipped(about: str, why: str) -> Finding:
    """It cannot be looked at here."""
    return Finding(about=about, level="skipped", why=why)
