"""A real XRootD with macaroons over https, from Debian's packages in a prefix, on free ports of the loopback address.

XRootD refuses to run as root; started by root it runs as `nobody`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from faasctl.local import program
from faasctl.local import xrootd as product
from faasctl.local.xrootd import XROOTD, Server
from tests.parts import debian

PACKAGES = ["xrootd-server", "xrootd-server-plugins", "xrootd-plugins", "xrootd-scitokens-plugins"]


class XRootD:
    """A running XRootD that can be killed and started again. ``certificate`` and ``key`` (PEM) are the platform's own
    identity, which may write ``tree``."""

    def __init__(self, server: Server, tree: str) -> None:
        self.server = server
        self.tree = tree
        self.endpoint = server.endpoint
        self.ca = server.ca
        self.certificate, self.key = server.certificate("platform")
        self.data = server.data
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"{self.endpoint}{path}"

    def start(self) -> None:
        """Start it, on the same port with the same files."""
        self._process = product.start(self.server, product.find(), user=program.account())

    def kill(self) -> None:
        """End it with -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it as an operator would."""
        assert self._process is not None
        program.end(self._process)


@contextlib.contextmanager
def xrootd(tree: str = "/data") -> Iterator[XRootD]:
    """Start an XRootD of its own that holds ``tree``, wait until it answers, and stop it."""
    prefix()
    home = Path(tempfile.mkdtemp(prefix="xrd-", dir="/tmp"))  # socket paths must be short
    home.chmod(0o755)
    try:
        running = XRootD(product.configure(home, [tree], user=program.account()), tree)
        running.start()
        try:
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def prefix() -> Path:
    """The unpacked packages, fetched once, and named to `faasctl` as a user would name them."""
    if XROOTD in os.environ:
        return Path(os.environ[XROOTD])
    root = debian.prefix("xrootd", "bookworm", PACKAGES, leave_out=["*perl*", "logrotate*", "*expect*"])
    debian.relocate(root, ["usr/bin/xrootd"])
    os.environ[XROOTD] = str(root)
    return root
