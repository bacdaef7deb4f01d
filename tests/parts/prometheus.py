"""Prometheus's own `promtool`, from Debian's package in a prefix: it judges metrics, and runs alert rules."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.parts import debian

NOT_PROMETHEUS = ["[!p]*", "pa*", "pe*"]
"""Packages that promtool, which is one file, does not need: of the others only Prometheus itself is left."""


def promtool() -> Path:
    """The program, the machine's own or fetched once; skips, or fails, when this machine cannot have it."""
    if found := shutil.which("promtool"):
        return Path(found)
    return debian.prefix("prometheus", "bookworm", ["prometheus"], NOT_PROMETHEUS) / "usr/bin/promtool"
