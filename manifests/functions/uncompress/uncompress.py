"""Unpack a .gz, .bz2, .xz or .zip file into the output directory.

Content is streamed, so memory does not grow with it, and what comes out is bounded: a file of a few kilobytes that
unpacks to terabytes is refused as soon as it passes the bound. A zip's entries stay inside the output directory.
"""

import bz2
import gzip
import lzma
import pathlib
import stat
import zipfile
import zlib

CHUNK = 1 << 20
RESERVED = "_faas"
STREAMS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, gzip.BadGzipFile)


class Refused(Exception):
    """The file cannot be unpacked, or must not be."""


class Budget:
    """How many bytes may still be written."""

    def __init__(self, left):
        self.limit = self.left = left

    def take(self, count):
        self.left -= count
        if self.left < 0:
            raise Refused(f"unpacks to more than {self.limit} bytes")


def main(event):
    """Unpack event["read"]["local"]; the answer says how many files and bytes came out."""
    params = event.get("params") or {}
    source = pathlib.Path(event["read"]["local"])
    target = pathlib.Path(event["write"]["local"])
    budget = Budget(int(params.get("max_bytes", 10**10)))
    try:
        if source.suffix == ".zip":
            files = unzip(source, target, budget, int(params.get("max_files", 10_000)))
        elif source.suffix in STREAMS:
            with STREAMS[source.suffix](source, "rb") as stream:
                copy(stream, target / source.stem, budget)
            files = 1
        else:
            raise Refused(f"is none of {', '.join([*STREAMS, '.zip'])}")
    except BROKEN as error:
        raise Refused(f"{source.name}: is broken: {error}") from None
    except Refused as error:
        raise Refused(f"{source.name}: {error}") from None
    return {"files": files, "bytes": budget.limit - budget.left}


def unzip(source, target, budget, max_files):
    """Unpack a zip's plain files; returns their number."""
    with zipfile.ZipFile(source) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) > max_files:
            raise Refused(f"holds more than {max_files} files")
        for member in members:
            if member.flag_bits & 1:
                raise Refused(f"{member.filename!r} needs a password")
            path = target.joinpath(*safe_parts(member))
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as stream:
                copy(stream, path, budget)
    return len(members)


def safe_parts(member):
    """The segments of an entry's name, if it stays below the output directory and is a plain file."""
    parts = member.filename.split("/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    odd = any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts)
    if odd or parts[0] == RESERVED or kind not in (0, stat.S_IFREG):
        raise Refused(f"the entry {member.filename[:200]!r} is no plain file below the output directory")
    return parts


def copy(stream, path, budget):
    """Copy to a new file; two entries of one name are refused rather than mixed."""
    try:
        with path.open("xb") as target:
            while chunk := stream.read(CHUNK):
                budget.take(len(chunk))
                target.write(chunk)
    except FileExistsError:
        raise Refused(f"holds {path.name!r} twice") from None
