"""One action's zip: its folder, the platform's modules it imports, and its requirements."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from faasctl.build.archive import folder_files, zip_folder
from faasctl.build.imports import needed_modules
from faasctl.build.vendor import Target, vendor


class BuiltAction(msgspec.Struct, frozen=True):
    """A zip on disk: the action's name, the file, its size in bytes and its SHA-256 (hex)."""

    name: str
    path: Path
    size: int
    sha256: str


def build_action(folder: Path, target: Target, output: Path) -> BuiltAction:
    """Build ``folder`` into ``output/NAME.zip``; the file is replaced at once or not at all. Raises `BuildError`."""
    python = [path for name, path in folder_files(folder) if name.endswith(".py")]
    data = zip_folder(
        folder,
        vendored=vendor(folder / "requirements.txt", target),
        extra=needed_modules(python),
    )
    path = output / f"{folder.name}.zip"
    _write(path, data)
    return BuiltAction(folder.name, path, len(data), hashlib.sha256(data).hexdigest())


def build_actions(folders: Iterable[Path], target: Target, output: Path) -> list[BuiltAction]:
    """Build several actions at the same time; the first error is raised."""
    output.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=8) as workers:
        return list(workers.map(lambda folder: build_action(folder, target, output), folders))


def _write(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
