"""An action's requirements as files beside its code, installed once per set of requirements and target."""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from faasctl import bundle
from faasctl.build.archive import BuildError
from faasctl.environment.find import xdg

_NEWEST_GLIBC = 36
"""The python:3.x images are Debian bookworm, glibc 2.36: wheels for anything up to it run there."""

_UNUSED = ("bin", "include", "share", "__pycache__")
_UNREPRODUCIBLE = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "WHEEL", "uv_cache.json"}


class Target(msgspec.Struct, frozen=True):
    """What an action will run on: a Python version, and the platforms whose wheels fit, best first.

    No platforms means: this machine, this interpreter.
    """

    python: str
    platforms: tuple[str, ...] = ()

    @classmethod
    def of_kind(cls, kind: str) -> Target:
        """The target of an OpenWhisk kind such as ``python:3.11``; raises `BuildError` for what is no Python."""
        family, _, version = kind.partition(":")
        if family != "python":
            raise BuildError(f"{kind!r} is no Python kind", hint="write python:3.11, as GET / of the API host lists it")
        if not re.fullmatch(r"3\.\d{1,2}", version):
            raise BuildError(
                f"{kind!r} names no version", hint="write python:3.11: wheels are made for one version of Python"
            )
        tags = [f"manylinux_2_{minor}_x86_64" for minor in range(_NEWEST_GLIBC, 16, -1)]
        return cls(version, (*tags, "manylinux2014_x86_64"))

    @classmethod
    def here(cls) -> Target:
        """This machine and the interpreter that runs faasctl."""
        return cls(f"{sys.version_info.major}.{sys.version_info.minor}")

    def options(self) -> list[str]:
        """pip's options that choose wheels for this target."""
        if not self.platforms:
            return []
        named = [option for tag in self.platforms for option in ("--platform", tag)]
        return ["--python-version", self.python, "--implementation", "cp", *named]


def vendor(requirements: Path, target: Target, *, constraints: Path | None = None) -> Path | None:
    """Install ``requirements`` for ``target`` and return the folder; ``None`` when there is nothing to install.

    The folder is kept in faasctl's cache under a hash of everything that decides its content, and appears there
    by one rename: builds that run at the same time cannot see or make half of it. Raises `BuildError`.
    """
    if not requirements.is_file():
        return None
    text = requirements.read_text(encoding="utf-8")
    if not any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
        return None
    constraints = constraints or bundle.constraints()
    machine = "" if target.platforms else f"{sys.implementation.cache_tag} {platform.platform()}"
    ingredients = [text, constraints.read_text(encoding="utf-8"), repr(target), machine]
    digest = hashlib.sha256("\0".join(ingredients).encode()).hexdigest()
    home = xdg("XDG_CACHE_HOME", ".cache") / "vendor"
    final = home / digest
    if final.is_dir():
        return final
    home.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{digest[:12]}.", dir=home))
    try:
        _install(requirements, target, constraints, work)
        _strip(work)
        try:
            work.rename(final)
        except OSError:
            if not final.is_dir():  # another build was first, and its folder is as good
                raise
        return final
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _install(requirements: Path, target: Target, constraints: Path, folder: Path) -> None:
    command = [
        *(sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"),
        *("--target", str(folder), "--no-compile", "--only-binary=:all:", *target.options()),
        *("--constraint", str(constraints), "--requirement", str(requirements)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        why = re.sub(r"(?<=://)[^/@\s]+@", "", "; ".join(lines) or done.stderr.strip()[-500:] or "pip failed")
        where = "this machine" if not target.platforms else f"Linux x86_64, Python {target.python}"
        raise BuildError(
            f"pip: {why}",
            where=str(requirements),
            hint=f"every requirement needs a wheel for {where}; is the version there, and the package index reachable?",
        )


def _strip(folder: Path) -> None:
    """Drop what no action runs: scripts, tests, and the metadata that differs from one installation to the next."""
    for name in _UNUSED:
        shutil.rmtree(folder / name, ignore_errors=True)
    for path in [*folder.rglob("tests"), *folder.rglob("__pycache__")]:
        shutil.rmtree(path, ignore_errors=True)
    for metadata in folder.glob("*.dist-info"):
        for path in metadata.iterdir():
            if path.name in _UNREPRODUCIBLE:
                path.unlink()
