"""A function's folder as the zip that is pushed: its files, its requirements, and nothing that changes by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from eventflow import job
from eventflow.function import Function
from eventflow.registrar import CODE_BYTES
from faasctl.build import BuildError, Target, vendor, zip_folder
from faasctl.build.archive import folder_files, largest, megabytes
from faasctl.functions.file import FILE_NAME, SCHEMA_NAME

LEFT_OUT = ("test_*.py", "tests/*", SCHEMA_NAME, ".gitlab-ci.yml", ".gitignore")
"""What belongs to a function and is of no use to a job: a changed test is no new version."""

SOURCE_BYTES = 64 << 20
"""The most that a folder may hold before it is compressed: each job unpacks it."""

_WORKERS_GLIBC = 28
"""Worker nodes run Enterprise Linux 8 or newer: wheels for glibc up to 2.28 work there."""

_ANY = "3.11"
"""Where there are no requirements, no version matters."""

_JOB_ONLY = b'''"""This function runs as a batch job: OpenWhisk only keeps its code."""


def main(args):
    return {"error": "this function runs as a batch job and cannot be invoked"}
'''

_NO_CONSTRAINTS = Path("/dev/null")


class Package(msgspec.Struct, frozen=True):
    """The zip of a function, and its SHA-256 as ``sha256:<hex>``."""

    data: bytes
    code: str


def pack(folder: Path, function: Function, target: Target) -> Package:
    """Zip a function's folder with its vendored requirements; the same input gives the same bytes.

    Raises `BuildError`: links to outside of the folder, requirements without a wheel, more than `CODE_BYTES`.
    """
    check_folder(folder)
    requirements = folder / "requirements.txt"
    vendored = vendor(requirements, target, constraints=_NO_CONSTRAINTS) if function.run.main else None
    extra: Mapping[str, Path | bytes] = {}
    if function.run.backend == "openwhisk":
        extra = job.wrapper()
    elif not (folder / "__main__.py").exists():
        extra = {"__main__.py": _JOB_ONLY}
    data = zip_folder(folder, vendored=vendored, extra=extra, leave_out=LEFT_OUT)
    if len(data) > CODE_BYTES:
        raise BuildError(
            f"the function's zip has {megabytes(len(data))}, and {megabytes(CODE_BYTES)} is the most for job code",
            where=str(folder / FILE_NAME),
            hint="put large data and software on /cvmfs or into run.image, and remove what the job does not need",
        )
    return Package(data, "sha256:" + hashlib.sha256(data).hexdigest())


def check_folder(folder: Path) -> None:
    """Raise `BuildError` for a folder that cannot be packed: too large, links to outside, pipes."""
    sizes = {name: path.stat().st_size for name, path in folder_files(folder)}
    if sum(sizes.values()) > SOURCE_BYTES:
        raise BuildError(
            f"the folder has {megabytes(sum(sizes.values()))}, and {megabytes(SOURCE_BYTES)} is the most",
            where=str(folder),
            hint="largest: " + ", ".join(f"{name} {megabytes(size)}" for name, size in largest(sizes)),
        )


def worker_target(folder: Path, function: Function) -> Target:
    """What the function's requirements are vendored for: ``run.python`` on a worker node (Linux, x86_64).

    Raises `BuildError` when there are requirements and ``run.python`` does not say for which Python.
    """
    if function.run.python is None and (folder / "requirements.txt").exists() and function.run.main:
        raise BuildError(
            "requirements.txt needs run.python: packages are made for one version of Python",
            where=str(folder / FILE_NAME),
            hint='write under run: python: "3.11", the version on the worker nodes',
        )
    tags = [f"manylinux_2_{minor}_x86_64" for minor in range(_WORKERS_GLIBC, 16, -1)]
    return Target(function.run.python or _ANY, (*tags, "manylinux2014_x86_64"))
