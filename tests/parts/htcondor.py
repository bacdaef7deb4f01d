"""A real HTCondor pool of one machine, from Debian's packages in a prefix, on free ports of the loopback address.

Unless asked otherwise it runs as `nobody` when root starts it: one account for everything, so it shows nothing about
isolation between jobs.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.parts import debian

IDENTITY = "faas@test.pool"

CONFIG = """
RELEASE_DIR = {root}/usr
LOCAL_DIR = {local}
LOCAL_CONFIG_FILE =
LOCAL_CONFIG_DIR =
LOG = $(LOCAL_DIR)/log
SPOOL = $(LOCAL_DIR)/spool
EXECUTE = $(LOCAL_DIR)/execute
LOCK = $(LOCAL_DIR)/lock
RUN = $(LOCAL_DIR)/run
DAEMON_SOCKET_DIR = {local}/s
BIN = $(RELEASE_DIR)/bin
SBIN = $(RELEASE_DIR)/sbin
LIB = $(RELEASE_DIR)/lib/condor
LIBEXEC = $(RELEASE_DIR)/libexec/condor
SHARE = $(RELEASE_DIR)/share/condor
use ROLE: CentralManager, Submit, Execute
use security:recommended_v9_0
# Otherwise a master started by root changes the whole machine's settings.
ENABLE_KERNEL_TUNING = False
LINUX_KERNEL_TUNING_SCRIPT =
BASE_CGROUP =
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = False
ENABLE_IPV6 = False
CONDOR_HOST = 127.0.0.1
SHARED_PORT_PORT = {shared_port}
COLLECTOR_HOST = 127.0.0.1:{collector_port}
UID_DOMAIN = test.pool
TRUST_DOMAIN = test.pool
SCHEDD_NAME = faas-schedd@test
NUM_CPUS = 16
MEMORY = 32768
SEC_DEFAULT_AUTHENTICATION = REQUIRED
SEC_DEFAULT_AUTHENTICATION_METHODS = FS, IDTOKENS
SEC_TOKEN_POOL_SIGNING_KEY_FILE = {local}/keys/POOL
SEC_PASSWORD_DIRECTORY = {local}/keys
SEC_TOKEN_SYSTEM_DIRECTORY = {local}/tokens
ALLOW_READ = *
ALLOW_WRITE = *
ALLOW_DAEMON = condor@$(UID_DOMAIN) condor@family condor@password {user}@$(UID_DOMAIN)
ALLOW_NEGOTIATOR = $(ALLOW_DAEMON)
ALLOW_ADMINISTRATOR = root@$(UID_DOMAIN) condor@$(UID_DOMAIN) {user}@$(UID_DOMAIN)
RUNBENCHMARKS = 0
NEGOTIATOR_INTERVAL = 1
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
PERIODIC_EXPR_INTERVAL = 2
STARTER_ALLOW_RUNAS_OWNER = False
{extra}
"""


class Condor:
    """A running pool: its collector's address, and the tokens and tools that go with it."""

    schedd = "faas-schedd@test"

    def __init__(self, root: Path, local: Path, collector: str, as_root: bool) -> None:
        self.local = local
        self.collector = collector
        self._root = root
        self._as_root = as_root

    def run(self, tool: str, *args: str) -> str:
        """Run one of HTCondor's own tools as the pool's administrator and return what it prints."""
        command = [str(next(self._root.glob(f"usr/*bin/{tool}"))), *args]
        done = subprocess.run(
            self.as_service(command), env=_environment(self.local), capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def token(self, *authorizations: str, identity: str = IDENTITY) -> str:
        """An IDTOKEN of the pool, for reading and writing unless said otherwise."""
        limits = [part for name in authorizations or ("READ", "WRITE") for part in ("-authz", name)]
        return self.run("condor_token_create", "-identity", identity, "-lifetime", "86400", *limits).strip()

    def as_service(self, command: list[str]) -> list[str]:
        """The command as the account that the daemons are started by."""
        if os.getuid() != 0 or self._as_root:
            return command
        return ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", *command]


@contextmanager
def condor(extra: str = "", *, as_root: bool = False) -> Iterator[Condor]:
    """Start a pool of its own, wait until it has a slot, and stop it; ``extra`` is appended to its configuration.

    ``as_root`` (only for root) starts the daemons as a site does: jobs then run under accounts that the configuration
    names, and a submitter's identity must be an account of the machine.
    """
    root = _prefix()
    local = Path(tempfile.mkdtemp(prefix="hc-", dir="/tmp"))  # socket paths must be short
    try:
        for folder in ("log", "spool", "execute", "lock", "run", "keys", "tokens", "s"):
            (local / folder).mkdir(mode=0o700 if folder in ("keys", "tokens") else 0o755)
        (local / "keys/POOL").write_bytes(secrets.token_bytes(48))
        (local / "keys/POOL").chmod(0o600)
        shared_port, collector_port = _free_ports(2)
        values = {"root": root, "local": local, "shared_port": shared_port, "collector_port": collector_port}
        (local / "condor_config").write_text(CONFIG.format(**values, user=_service_user(), extra=extra))
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", f"{_service_user()}:", str(local)], check=True)
        if as_root:
            subprocess.run(["chown", "-R", "root:", str(local / "keys"), str(local / "tokens")], check=True)
        local.chmod(0o755)
        pool = Condor(root, local, f"127.0.0.1:{collector_port}", as_root)
        with (local / "master.out").open("wb") as output:
            master = subprocess.Popen(
                pool.as_service([str(root / "usr/sbin/condor_master"), "-f"]),
                env=_environment(local),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            _wait_for_slot(pool, master)
            yield pool
        finally:
            master.send_signal(signal.SIGTERM)
            try:
                master.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(master.pid, signal.SIGKILL)
                master.wait()
    finally:
        shutil.rmtree(local, ignore_errors=True)


def _prefix() -> Path:
    root = debian.prefix(
        "htcondor", "trixie", ["condor"], leave_out=["python3*", "libpython3*", "*perl*", "libjs*", "libboost*"]
    )
    if not (root / "relocated").exists():
        debian.relocate(
            root, ["usr/bin/condor_*", "usr/sbin/condor_*", "usr/libexec/condor/*"], extra=["usr/lib/condor"]
        )
        (root / "relocated").touch()
    return root


def _wait_for_slot(pool: Condor, master: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert master.poll() is None, (pool.local / "master.out").read_text()
        try:
            if pool.run("condor_status", "-af", "Name").strip() and pool.run("condor_status", "-schedd", "-af", "Name"):
                return
        except AssertionError:
            pass  # the collector is not up yet
        time.sleep(0.1)
    raise AssertionError((pool.local / "log/MasterLog").read_text()[-2000:])


def _environment(local: Path) -> dict[str, str]:
    return {"CONDOR_CONFIG": str(local / "condor_config"), "PATH": os.defpath, "HOME": str(local), "LANG": "C.UTF-8"}


def _service_user() -> str:
    return "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports
