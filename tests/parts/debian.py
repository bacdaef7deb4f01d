"""Debian packages unpacked into a folder of the project, as nobody's root: for servers that the machine has not.

The mirror is the one of the machine's own apt configuration; nothing of the machine is changed.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import pytest

CACHE = Path(__file__).resolve().parents[2] / ".parts"


def missing(why: str) -> None:
    """A part that cannot be had skips its tests; where the parts are required, that is a failure."""
    if os.environ.get("FAAS_REQUIRE_PARTS") == "1":
        pytest.fail(why)
    pytest.skip(why)


def prefix(name: str, suite: str, packages: Sequence[str], leave_out: Sequence[str] = ()) -> Path:
    """A folder with the packages and all they depend on, made once; ``leave_out`` are package name patterns."""
    root = CACHE / f"{name}-{suite}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes want it at once
        if not (root / "complete").exists():
            if not (shutil.which("apt-get") and shutil.which("dpkg")):
                missing(f"{name}: this machine has no apt-get to fetch it with")
            try:
                _fetch(root, suite, packages, leave_out)
            except (subprocess.SubprocessError, LookupError) as error:
                said = getattr(error, "stderr", None) or str(error)
                missing(f"{name}: its packages cannot be had: {said.strip()[-300:]}")
            (root / "complete").touch()
    return root


def relocate(root: Path, patterns: Sequence[str], extra: Sequence[str] = ()) -> None:
    """Make programs find the prefix's C library and libraries by themselves, so that children inherit nothing.

    With LD_LIBRARY_PATH instead, every job would run with the prefix's libraries. Debian 12 has them in two places.
    """
    with (CACHE / f"{root.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes want it at once
        if not (root / "relocated").exists():
            _relocate(root, patterns, extra)
            (root / "relocated").touch()


def _relocate(root: Path, patterns: Sequence[str], extra: Sequence[str]) -> None:
    places = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/lib", *extra)
    search = ":".join(str(root / place) for place in places)
    interpreter = next(str(found) for place in places for found in (root / place).glob("ld-linux-x86-64.so.2"))
    tool = [interpreter, "--library-path", search, str(root / "usr/bin/patchelf")]
    for path in (path for pattern in patterns for path in root.glob(pattern)):
        if path.is_symlink() or not path.is_file() or ".so" in path.name:
            continue
        if path.read_bytes()[:4] == b"\x7fELF":
            subprocess.run(
                [*tool, "--set-interpreter", interpreter, "--force-rpath", "--set-rpath", search, str(path)],
                check=True,
                capture_output=True,
                text=True,
            )


def _mirror() -> str:
    """The Debian mirror that this machine uses."""
    folder = Path("/etc/apt")
    for source in sorted(folder.glob("sources.list.d/*.sources")):
        for found in re.finditer(r"^URIs:\s*(\S+)", source.read_text(), re.MULTILINE):
            if "debian" in source.name or "/debian" in found[1]:
                return found[1].rstrip("/")
    for source in [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]:
        if source.exists():
            for found in re.finditer(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+/debian/?)\s", source.read_text(), re.MULTILINE):
                return found[1].rstrip("/")
    raise LookupError("no Debian mirror in the machine's apt configuration")


def _fetch(root: Path, suite: str, packages: Sequence[str], leave_out: Sequence[str]) -> None:
    shutil.rmtree(root, ignore_errors=True)
    apt = root / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "etc"):
        (apt / folder).mkdir(parents=True)
    (apt / "status").touch()
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (apt / "sources.list").write_text(f"deb [signed-by={keyring}] {_mirror()} {suite} main\n")
    settings = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
    }
    options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
    for action in (["update"], ["install", "-y", "--download-only", "patchelf", *packages]):
        subprocess.run(["apt-get", *options, *action], check=True, capture_output=True, text=True, timeout=300)
    for package in sorted((apt / "cache/archives").glob("*.deb")):
        if not any(fnmatch(package.name, pattern) for pattern in leave_out):
            subprocess.run(["dpkg", "-x", package, root], check=True, capture_output=True, text=True)
    shutil.rmtree(apt)
