"""A real HTCondor pool of one machine, from Debian's packages in a prefix, on free ports of the loopback address.

Unless asked otherwise it runs as `nobody` when root starts it: one account for everything, so it shows nothing about
isolation between jobs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faasctl.local import htcondor, program
from faasctl.local.htcondor import CONDOR, DOMAIN, IDENTITY, Pool
from tests.parts import debian

LARGE = """
NUM_CPUS = 16
MEMORY = 32768
"""
"""A machine larger than the one of the test, on which many small jobs fit."""

__all__ = ["DOMAIN", "IDENTITY", "Pool", "condor", "prefix"]


@contextmanager
def condor(extra: str = "", *, as_root: bool = False) -> Iterator[Pool]:
    """Start a pool of its own, wait until it has a slot, and stop it; ``extra`` is appended to its configuration.

    ``as_root`` (only for root) starts the daemons as a site does: jobs then run under accounts that the configuration
    names, and a submitter's identity must be an account of the machine.
    """
    prefix()
    user = None if as_root else program.account()
    home = Path(tempfile.mkdtemp(prefix="hc-", dir="/tmp"))  # socket paths must be short
    home.chmod(0o755)
    try:
        pool = htcondor.configure(home, htcondor.find(), LARGE + extra, user=user)
        if as_root:
            program.hand_over(home, "nobody")
            program.hand_over(home / "keys", "root")
            program.hand_over(home / "tokens", "root")
        master = htcondor.start(pool)
        try:
            yield pool
        finally:
            program.end(master)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def prefix() -> Path:
    """The unpacked packages, fetched once, and named to `faasctl` as a user would name them."""
    if CONDOR in os.environ:
        return Path(os.environ[CONDOR])
    root = debian.prefix(
        "htcondor", "trixie", ["condor"], leave_out=["python3*", "libpython3*", "*perl*", "libjs*", "libboost*"]
    )
    programs = ["usr/bin/condor_*", "usr/sbin/condor_*", "usr/libexec/condor/*"]
    debian.relocate(root, programs, extra=["usr/lib/condor"])
    os.environ[CONDOR] = str(root)
    return root
