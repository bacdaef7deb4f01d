"""An action's code becomes a folder: zip, tar.gz or plain source.

Behaviour of openwhisk-runtime-go, openwhisk/{extractor,zip,tar}.go, and of the moves that the Python runtime's
``bin/compile`` makes; entries that would leave the folder are refused there instead of written.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

UNPACKED_LIMIT = 1024 * 1024 * 1024
"""Bytes that an archive may unfold to."""


UNIX = 3
"""The system that made an archive's entry; others' permissions mean nothing."""
OURS = 0 if os.geteuid() == 0 else stat.S_IRUSR
"""What is added to a file's mode: only root, as in a container, can read what nobody may."""


class BadCode(Exception):
    """The code cannot become a folder; the text goes to the activation's log."""


def unpack(code: bytes, folder: Path) -> None:
    """Lay ``code`` out in ``folder``, which must not exist; raises BadCode."""
    folder.mkdir(parents=True)
    if code.startswith(b"PK\x03\x04"):
        _unzip(code, folder)
    elif code.startswith(b"\x1f\x8b"):
        _untar(code, folder)
    else:
        (folder / "exec").write_bytes(code)


def is_compiled(folder: Path) -> bool:
    """Whether ``exec`` is a program by itself (a script or an ELF file) that needs no compilation."""
    try:
        with (folder / "exec").open("rb") as file:
            magic = file.read(4)
    except OSError:
        return False
    return magic.startswith(b"#!") or magic == b"\x7fELF"


def arrange(folder: Path) -> None:
    """Name the main module as the launcher imports it: ``exec`` beats ``__main__.py`` beats ``main__.py``."""
    if (folder / "exec").exists():
        (folder / "exec").rename(folder / "__main__.py")
    if (folder / "__main__.py").exists():
        (folder / "__main__.py").rename(folder / "main__.py")


def _place(folder: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise BadCode(f"illegal file name in the archive: {name!r}")
    place = folder.joinpath(*parts)
    if not place.parent.resolve().is_relative_to(folder.resolve()):
        raise BadCode(f"a link in the archive leads outside: {name!r}")
    return place


def _unzip(code: bytes, folder: Path) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(code)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > UNPACKED_LIMIT:
                raise BadCode("the archive unfolds to more than 1 GB")
            for entry in archive.infolist():
                place = _place(folder, entry.filename)
                mode = entry.external_attr >> 16 if entry.create_system == UNIX else None
                if entry.is_dir():
                    place.mkdir(parents=True, exist_ok=True)
                    place.chmod(stat.S_IMODE(mode) | stat.S_IRWXU if mode else 0o755)
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                content = archive.read(entry)
                if mode is not None and stat.S_ISLNK(mode):
                    place.symlink_to(content.decode())
                    continue
                place.write_bytes(content)
                place.chmod(0o644 if mode is None else mode & 0o777 | OURS)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise BadCode(f"zip: {error}") from None


def _untar(code: bytes, folder: Path) -> None:
    try:
        size = 0
        with tarfile.open(fileobj=io.BytesIO(code), mode="r:gz") as archive:
            for entry in archive:
                size += entry.size
                if size > UNPACKED_LIMIT:
                    raise BadCode("the archive unfolds to more than 1 GB")
                _place(folder, entry.name)
                archive.extract(entry, folder, set_attrs=False, filter="data")
                if entry.isfile():
                    os.chmod(folder / entry.name, entry.mode & 0o777)  # noqa: PTH101
    except (EOFError, tarfile.ReadError) as error:
        raise BadCode("unexpected EOF" if isinstance(error, EOFError) else str(error)) from None
    except (tarfile.TarError, OSError) as error:
        raise BadCode(str(error)) from None
