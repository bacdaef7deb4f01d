"""Servers that are not ours: a service of the stack runs one, and neither outlives the other."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from eventflow.errors import FaasError
from faasctl.local import announce, lifeline

STOP_S = 30.0

SHORT = 40
"""Characters of a folder below which sockets can stand: their whole path may have 107."""


def account() -> str | None:
    """The account that servers run under which refuse root: ``nobody`` for root, else one's own (``None``)."""
    return "nobody" if os.getuid() == 0 else None


def start(
    command: Sequence[str], log: Path, *, user: str | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a server in the folder of its log, as ``user`` if one is named.

    Where the system can, the kernel ends it should this process be killed.
    """
    setpriv = shutil.which("setpriv")
    options = ["--pdeathsig", "TERM"] if setpriv else []
    if user is not None:
        options += _as(user)
    with log.open("ab") as output:
        return subprocess.Popen(
            [*([setpriv or "setpriv", *options] if options else []), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env=environment,
            start_new_session=True,
        )


def as_user(command: Sequence[str], user: str | None) -> list[str]:
    """The command line that runs ``command`` as ``user``."""
    return list(command) if user is None else ["setpriv", *_as(user), *command]


def end(server: subprocess.Popen[bytes]) -> None:
    """End a server: SIGTERM, and SIGKILL for it and all its children when it does not listen."""
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def home(folder: Path, user: str | None) -> Path:
    """Where a server that may run as ``user`` keeps its files: ``folder``, if it can.

    Another account cannot reach a folder that is private to this one, and sockets need short paths. Then it is a
    temporary folder, to which a link leads for the next start; `forget_home` removes it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user is None and len(str(folder.resolve())) <= SHORT:
        return folder.resolve()
    link = folder / "home"
    if not link.is_dir():
        link.unlink(missing_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix="faas-"))
        temporary.chmod(0o755)
        link.symlink_to(temporary)
    return link.readlink()


def forget_home(folder: Path) -> None:
    """Remove what `home` made elsewhere."""
    link = folder / "home"
    if link.is_symlink():
        shutil.rmtree(link.readlink(), ignore_errors=True)
        link.unlink()


def hand_over(folder: Path, user: str | None) -> None:
    """Give a folder with all that is in it to ``user``."""
    if user is not None:
        found = pwd.getpwnam(user)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, found.pw_uid, found.pw_gid, follow_symlinks=False)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody uses."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


def serve(begin: Callable[[], tuple[subprocess.Popen[bytes], Mapping[str, object]]]) -> int:
    """Run the server that ``begin`` starts until SIGTERM, SIGINT, or its own end; returns the exit code.

    The facts that ``begin`` returns beside it are announced on stdout, with the server's ``pid``.
    """
    lifeline.watch()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        server, facts = begin()
    except FaasError as error:
        print(f"error: {error}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    announce.ready(**{**facts, "pid": server.pid})
    while server.poll() is None and not stop.wait(0.1):
        pass
    end(server)
    return 0 if stop.is_set() else 1


def _as(user: str) -> list[str]:
    found = pwd.getpwnam(user)
    return ["--reuid", str(found.pw_uid), "--regid", str(found.pw_gid), "--clear-groups"]
