"""Zips that are a function of their content: sorted entries, one timestamp, two modes, one compression."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from eventflow.errors import FaasError

LIMIT = 48 << 20
"""OpenWhisk's limit of an action's code (`exec.size`, Exec.scala). A zip travels and counts as base64."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_IGNORED_FOLDERS = {"__pycache__", ".git", ".venv", "virtualenv", "node_modules", ".pytest_cache", ".mypy_cache"}
_IGNORED_SUFFIXES = (".pyc", ".pyo", ".swp", "~")


class BuildError(FaasError):
    """An action that cannot be built."""


def folder_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a folder as (name in the zip, file), caches and editors' leftovers left out.

    Symbolic links are followed as long as they stay inside the folder.
    """
    base = folder.resolve()
    for directory, folders, files in os.walk(base):
        folders[:] = sorted(name for name in folders if name not in _IGNORED_FOLDERS)
        for name in folders:
            path = Path(directory, name)
            if path.is_symlink():
                where = str(folder / path.relative_to(base))
                raise BuildError("is a link to a folder, which does not travel", where=where, hint="copy its files")
        for name in sorted(files):
            path = Path(directory, name)
            if name.endswith(_IGNORED_SUFFIXES):
                continue
            if not path.resolve().is_relative_to(base):
                raise BuildError(
                    "is a link to outside of its folder",
                    where=str(folder / path.relative_to(base)),
                    hint="copy the file into the folder: only what is inside it travels",
                )
            if not path.is_file():
                where = str(folder / path.relative_to(base))
                raise BuildError("is no file that could be packed", where=where, hint="a link to nothing, or a pipe")
            yield path.relative_to(base).as_posix(), path


def pack(entries: Mapping[str, Path | bytes], *, where: str) -> bytes:
    """Zip the entries; raises `BuildError` when the result is larger than OpenWhisk takes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(entries):
            source = entries[name]
            executable = isinstance(source, Path) and source.stat().st_mode & 0o100
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            info.external_attr = (0o100755 if executable else 0o100644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, source.read_bytes() if isinstance(source, Path) else source)
        sizes = {info.filename: info.compress_size for info in archive.infolist()}
    data = buffer.getvalue()
    if base64_size(len(data)) > LIMIT:
        raise BuildError(
            f"the zip has {megabytes(len(data))}, as base64 {megabytes(base64_size(len(data)))}, "
            f"and OpenWhisk takes {megabytes(LIMIT)}",
            where=where,
            hint="largest: " + ", ".join(f"{name} {megabytes(size)}" for name, size in largest(sizes)),
        )
    return data


def zip_folder(
    folder: Path,
    *,
    vendored: Path | None = None,
    extra: Mapping[str, Path | bytes] | None = None,
    need_main: bool = True,
    leave_out: Sequence[str] = (),
) -> bytes:
    """A folder as an action's zip: its files, ``vendored`` packages beside them, and ``extra`` entries.

    A name that occurs twice is taken from ``extra``, else from the folder. What of the folder matches one of the
    patterns in ``leave_out`` (`fnmatch`) does not travel. ``requirements.txt`` stays out: at the
    root of a zip it makes the runtime run pip when the action starts (openwhisk-runtime-python, ``bin/compile``).
    """
    if not folder.is_dir():
        raise BuildError("is no folder", where=str(folder))
    entries: dict[str, Path | bytes] = dict(folder_files(vendored)) if vendored else {}
    own = folder_files(folder)
    entries.update((name, path) for name, path in own if not any(fnmatchcase(name, out) for out in leave_out))
    entries.update(extra or {})
    entries.pop("requirements.txt", None)
    if need_main and "__main__.py" not in entries:
        found = ", ".join(sorted(name for name in entries if "/" not in name)[:10]) or "nothing"
        raise BuildError(
            "has no __main__.py",
            where=str(folder),
            hint=f"the runtime starts __main__.py and calls its main(args); found here: {found}",
        )
    return pack(entries, where=str(folder))


def base64_size(size: int) -> int:
    """How many bytes ``size`` bytes have as base64."""
    return (size + 2) // 3 * 4


def largest(sizes: Mapping[str, int], count: int = 5) -> list[tuple[str, int]]:
    """The heaviest top-level entries of a zip, in compressed bytes, heaviest first."""
    totals: dict[str, int] = {}
    for name, size in sizes.items():
        top = name.partition("/")[0]
        totals[top] = totals.get(top, 0) + size
    return sorted(totals.items(), key=lambda item: (-item[1], item[0]))[:count]


def megabytes(size: int) -> str:
    """A size for people, as OpenWhisk counts: 1 MB is 2^20 bytes; in kB where that says more."""
    return f"{size / (1 << 20):.1f} MB" if size >= 100_000 else f"{size / (1 << 10):.1f} kB"
