"""An HTCondor pool of one machine on loopback: `python -m faasctl.local.htcondor --dir DIR`.

The daemons run under one account (`nobody`, when root starts them), and so do all jobs: it takes work, accounts for it
and refuses what a site's pool would refuse, but it isolates no job from another, nor from its keys.
"""

from __future__ import annotations

import argparse
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eventflow.errors import FaasError
from faasctl.local import program
from faasctl.local.folder import write_private

CONDOR = "FAASCTL_CONDOR"
"""The environment variable that names HTCondor: the folder that its `sbin` is in."""

DOMAIN = "faasctl.local"
SCHEDD = f"faas@{DOMAIN}"
IDENTITY = SCHEDD
"""The platform's identity; its user part owns the jobs."""

START_S = 60.0
TOKEN_LIFE_S = 30 * 86400

CONFIG = """\
RELEASE_DIR = {release}
LOCAL_DIR = {home}
LOCAL_CONFIG_FILE =
LOCAL_CONFIG_DIR =
LOG = $(LOCAL_DIR)/log
SPOOL = $(LOCAL_DIR)/spool
EXECUTE = $(LOCAL_DIR)/execute
LOCK = $(LOCAL_DIR)/lock
RUN = $(LOCAL_DIR)/run
DAEMON_SOCKET_DIR = {home}/s
BIN = $(RELEASE_DIR)/bin
SBIN = $(RELEASE_DIR)/sbin
LIB = {lib}
LIBEXEC = {libexec}
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
UID_DOMAIN = {domain}
TRUST_DOMAIN = {domain}
SCHEDD_NAME = {schedd}
SEC_DEFAULT_AUTHENTICATION = REQUIRED
SEC_DEFAULT_AUTHENTICATION_METHODS = FS, IDTOKENS
SEC_TOKEN_POOL_SIGNING_KEY_FILE = {home}/keys/POOL
SEC_PASSWORD_DIRECTORY = {home}/keys
SEC_TOKEN_SYSTEM_DIRECTORY = {home}/tokens
ALLOW_READ = *
ALLOW_WRITE = *
ALLOW_DAEMON = condor@$(UID_DOMAIN) condor@family condor@password {user}@$(UID_DOMAIN)
ALLOW_NEGOTIATOR = $(ALLOW_DAEMON)
ALLOW_ADMINISTRATOR = root@$(UID_DOMAIN) condor@$(UID_DOMAIN) {user}@$(UID_DOMAIN)
RUNBENCHMARKS = 0
# A pool of one machine has little to negotiate: a job starts within a second or two.
NEGOTIATOR_INTERVAL = 1
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
# A daemon that died is started again at once, not after ten seconds.
MASTER_BACKOFF_CONSTANT = 1
MASTER_BACKOFF_CEILING = 2
PERIODIC_EXPR_INTERVAL = 2
STARTER_ALLOW_RUNAS_OWNER = False
EVENT_LOG_FORMAT_OPTIONS = UTC, ISO_DATE, SUB_SECOND
"""


class NoHTCondor(FaasError):
    """HTCondor is not on this machine, or does not start."""


def find(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder with HTCondor's `bin` and `sbin`: named by `FAASCTL_CONDOR`, or where the PATH has `condor_master`.

    Raises `NoHTCondor`.
    """
    named = environment.get(CONDOR)
    master = shutil.which("condor_master", path=environment.get("PATH"))
    homes = [Path(named), Path(named, "usr")] if named else [Path(master).resolve().parents[1]] if master else []
    for home in homes:
        if (home / "sbin/condor_master").exists():
            return home.resolve()
    raise NoHTCondor(
        f"{named} holds no HTCondor" if named else "HTCondor is not on this machine",
        hint=f"install it (https://htcondor.org/htcondor/download), or set {CONDOR} to an unpacked one",
    )


def on_path(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this machine's PATH has an HTCondor that could run a pool."""
    return shutil.which("condor_master", path=environment.get("PATH")) is not None


@dataclass(frozen=True)
class Pool:
    """A pool in the folder ``home``; ``user`` is the account of its daemons, None for that of this process."""

    home: Path
    release: Path
    collector: str
    user: str | None
    schedd: str = SCHEDD

    def run(self, tool: str, *args: str) -> str:
        """Run one of HTCondor's own tools as the pool's administrator and return what it prints.

        Raises `NoHTCondor` with what it says when it fails.
        """
        path = next((path for place in ("bin", "sbin") if (path := self.release / place / tool).exists()), None)
        if path is None:
            raise NoHTCondor(f"there is no {tool}", where=str(self.release))
        done = subprocess.run(
            program.as_user([str(path), *args], self.user),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise NoHTCondor(f"{tool}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def token(self, *authorizations: str, identity: str = IDENTITY, life: int = TOKEN_LIFE_S) -> str:
        """An IDTOKEN of the pool, for reading and writing unless said otherwise, for ``life`` seconds."""
        limits = [part for name in authorizations or ("READ", "WRITE") for part in ("-authz", name)]
        return self.run("condor_token_create", "-identity", identity, "-lifetime", str(life), *limits).strip()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its daemons and tools: nothing of the machine's own configuration."""
        return {
            "CONDOR_CONFIG": str(self.home / "condor_config"),
            "PATH": os.defpath,
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
        }


def configure(home: Path, release: Path, extra: str = "", *, user: str | None = None) -> Pool:
    """Write a pool's configuration into ``home``, with ``extra`` at its end; ports and keys that are there stay."""
    for name in ("log", "spool", "execute", "lock", "run", "keys", "tokens", "s"):
        (home / name).mkdir(mode=0o700 if name in ("keys", "tokens") else 0o755, exist_ok=True)
    key = home / "keys/POOL"
    if not key.exists():
        with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(48))
    ports = home / "ports"
    if not ports.exists():
        ports.write_text(" ".join(map(str, program.free_ports(2))))
    shared_port, collector_port = ports.read_text().split()
    config = CONFIG.format(
        release=release,
        home=home,
        lib=_part(release, "lib/condor", "lib64/condor", "lib"),
        libexec=_part(release, "libexec/condor", "libexec"),
        shared_port=shared_port,
        collector_port=collector_port,
        domain=DOMAIN,
        schedd=SCHEDD,
        user=user or pwd.getpwuid(os.getuid()).pw_name,
    )
    (home / "condor_config").write_text(config + extra)
    program.hand_over(home, user)
    return Pool(home, release, f"127.0.0.1:{collector_port}", user)


def start(pool: Pool) -> subprocess.Popen[bytes]:
    """Start a pool's daemons and wait until it has a slot; raises `NoHTCondor` with the end of its log."""
    command = [str(pool.release / "sbin/condor_master"), "-f"]
    log = pool.home / "master.out"
    master = program.start(command, log, user=pool.user, environment=pool.environment)
    end = time.monotonic() + START_S
    while not _has_slot(pool):
        if master.poll() is not None or time.monotonic() > end:
            program.end(master)
            logs = [file for file in (log, pool.home / "log/MasterLog") if file.exists()]
            said = " / ".join(file.read_text(errors="replace").strip()[-500:] for file in logs)
            raise NoHTCondor(f"did not start: {said}", where=str(pool.home))
        time.sleep(0.1)
    return master


def _has_slot(pool: Pool) -> bool:
    try:
        return bool(
            pool.run("condor_status", "-af", "Name").strip() and pool.run("condor_status", "-schedd", "-af", "Name")
        )
    except NoHTCondor:
        return False  # the collector is not up yet


def _part(release: Path, *places: str) -> Path:
    """Where a distribution put a part of it."""
    return next((path for place in places if (path := release / place).is_dir()), release / places[0])


def main() -> int:
    """Run a pool until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m faasctl.local.htcondor", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="where its queue and logs are")
    parser.add_argument("--config", type=Path, help="more configuration, read last")
    options = parser.parse_args()
    user = program.account()
    home = program.home(options.dir, user)

    def begin() -> tuple[subprocess.Popen[bytes], Mapping[str, object]]:
        extra = options.config.read_text() if options.config is not None else ""
        pool = configure(home, find(), extra, user=user)
        master = start(pool)
        token = write_private(options.dir / "token", pool.token())
        log = home / "log/EventLog"
        return master, {
            "collector": pool.collector,
            "schedd": pool.schedd,
            "token": str(token),
            "event_log": str(log),
        }

    return program.serve(begin)


if __name__ == "__main__":
    sys.exit(main())
