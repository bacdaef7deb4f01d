"""A real XRootD with macaroons over https, from Debian's packages in a prefix, on free ports of the loopback address.

XRootD refuses to run as root; started by root it runs as `nobody`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from faasctl.local import program
from faasctl.local import xrootd as product
from faasctl.local.xrootd import XROOTD, Server
from tests.parts import debian
from tests.parts.issuer import ANY, Issuer

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


@contextlib.contextmanager
def job_door(of: XRootD, trusts: Issuer | None = None) -> Iterator[str]:
    """A second server on the same files that knows the same macaroons, and nobody by name: the door for jobs.

    With ``trusts`` it takes that issuer's WLCG tokens; the issuer's keys are put where the library keeps those that it
    has fetched.
    """
    home = of.server.home
    (port,) = program.free_ports(1)
    for name in ("admin2", "run2", "cache", "cache/scitokens"):
        (home / name).mkdir()
    (home / "nobody").write_text("")
    changes = {
        str(of.server.port): str(port),
        f"{home}/authdb": f"{home}/nobody",
        f"{home}/admin\n": f"{home}/admin2\n",
        f"{home}/run\n": f"{home}/run2\n",
        "http.gridmap": "# http.gridmap",
        "ofs.notify": "# ofs.notify",
        "ofs.persist": "# ofs.persist",
    }
    config = (home / "xrootd.cfg").read_text()
    for old, new in changes.items():
        config = config.replace(old, new)
    if trusts is not None:
        config += f"ofs.authlib ++ libXrdAccSciTokens.so config={home}/scitokens.cfg\n"
        (home / "scitokens.cfg").write_text(
            f"[Global]\naudience = {ANY}\n[Issuer test]\nissuer = {trusts.url}\nbase_path = /\n"
        )
        with contextlib.closing(sqlite3.connect(home / "cache/scitokens/scitokens_cpp.sqllite")) as kept, kept:
            kept.execute("create table keycache (issuer text unique primary key not null, keys text not null)")
            later = int(time.time()) + 86400
            keys = json.dumps({"jwks": trusts.jwks, "expires": later, "next_update": later})
            kept.execute("insert into keycache values (?, ?)", (trusts.url, keys))
    (home / "jobs.cfg").write_text(config)
    user = program.account()
    program.hand_over(home, user)
    environment = {**os.environ, "XDG_CACHE_HOME": str(home / "cache")}
    command = [str(product.find()), "-c", str(home / "jobs.cfg"), "-n", "jobs"]
    log = home / "jobs.log"
    process = program.start(command, log, user=user, environment=environment)
    try:
        end = time.monotonic() + product.START_S
        while not product.answers(port, of.ca):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < end, log.read_text()[-2000:]
            time.sleep(0.05)
        yield f"https://localhost:{port}"
    finally:
        program.end(process)


def prefix() -> Path:
    """The unpacked packages, fetched once, and named to `faasctl` as a user would name them."""
    if XROOTD in os.environ:
        return Path(os.environ[XROOTD])
    root = debian.prefix("xrootd", "bookworm", PACKAGES, leave_out=["*perl*", "logrotate*", "*expect*"])
    debian.relocate(root, ["usr/bin/xrootd"])
    os.environ[XROOTD] = str(root)
    return root
