"""An XRootD with macaroons over https on loopback: `python -m faasctl.local.xrootd --dir DIR`.

It issues and enforces macaroons by its own rules, and tells of every file that is closed after writing on a pipe, from
which a forwarder announces them (`faasfeeds.xrootd`). It refuses to run as root; started by root it runs as `nobody`.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from eventflow.errors import FaasError
from faasctl.local import program

XROOTD = "FAASCTL_XROOTD"
"""The environment variable that names XRootD: the folder that its `bin` is in."""

USERS = ("platform", "user")
"""Who holds a certificate: the platform, and whoever tries things out. Both may do anything below the trees."""

START_S = 20.0
ORGANIZATION = "faasctl local"

CONFIG = """\
all.export /
oss.localroot {home}/data
all.adminpath {home}/admin
all.pidpath {home}/run
all.sitename {site}
xrd.port {port}
xrd.network nodnr
xrootd.seclib libXrdSec.so
xrd.protocol http:{port} libXrdHttp.so
xrd.tls {home}/host.pem {home}/host.key
xrd.tlsca certfile {home}/ca.pem
http.gridmap {home}/gridmap
http.header2cgi Authorization authz
http.listingdeny no
http.exthandler xrdmacaroons libXrdMacaroons.so
macaroons.secretkey {home}/secret.b64
macaroons.onmissing passthrough
ofs.authorize 1
acc.authdb {home}/authdb
ofs.authlib ++ libXrdMacaroons.so
xrootd.chksum max 2 adler32 md5
# A cut upload is closed like any other; with this it is removed at once.
ofs.persist auto hold 0
ofs.notify closew rm >{home}/changes
"""


class NoXRootD(FaasError):
    """XRootD is not on this machine, or does not start."""


@dataclass(frozen=True)
class Server:
    """An XRootD in the folder ``home``."""

    home: Path
    port: int

    @property
    def endpoint(self) -> str:
        """Its door."""
        return f"https://localhost:{self.port}"

    @property
    def ca(self) -> Path:
        """The certificate of its CA (PEM)."""
        return self.home / "ca.pem"

    @property
    def data(self) -> Path:
        """The folder that is its root."""
        return self.home / "data"

    @property
    def changes(self) -> Path:
        """The pipe that it writes its notes of changes to."""
        return self.home / "changes"

    def certificate(self, user: str) -> tuple[Path, Path]:
        """The certificate and the key (PEM) of one of `USERS`."""
        return self.home / f"{user}.pem", self.home / f"{user}.key"


def find(environment: Mapping[str, str] = os.environ) -> Path:
    """The program: in the folder that `FAASCTL_XROOTD` names, or on the PATH. Raises `NoXRootD`."""
    named = environment.get(XROOTD)
    found = shutil.which("xrootd", path=environment.get("PATH"))
    places = [Path(named, "bin"), Path(named, "usr/bin")] if named else [Path(found).parent] if found else []
    for place in places:
        if (place / "xrootd").exists():
            return place / "xrootd"
    raise NoXRootD(
        f"{named} holds no XRootD" if named else "XRootD is not on this machine",
        hint=f"install it with its macaroons plugin (https://xrootd.org), or set {XROOTD} to an unpacked one",
    )


def configure(home: Path, trees: Sequence[str], *, user: str | None = None) -> Server:
    """Write a server's configuration into ``home``; port, certificates and data that are there stay.

    ``trees`` are the folders that exist at the start, and all that may be written.
    """
    for name in ("admin", "run", "data"):
        (home / name).mkdir(exist_ok=True)
    for tree in trees:
        (home / "data" / tree.strip("/")).mkdir(parents=True, exist_ok=True)
    port = home / "port"
    if not port.exists():
        port.write_text(str(program.free_ports(1)[0]))
        _credentials(home)
    subjects = [f'"/O={ORGANIZATION}/CN={name}" {name}\n' for name in USERS]
    (home / "gridmap").write_text("".join(subjects))
    (home / "authdb").write_text("".join(f"u {name} {' '.join(f'{tree} a' for tree in trees)}\n" for name in USERS))
    server = Server(home, int(port.read_text()))
    (home / "xrootd.cfg").write_text(CONFIG.format(home=home, port=server.port, site="LOCAL"))
    if not server.changes.exists():
        os.mkfifo(server.changes, 0o600)
    program.hand_over(home, user)
    return server


def start(server: Server, binary: Path, *, user: str | None = None) -> subprocess.Popen[bytes]:
    """Start a server and wait until it answers; raises `NoXRootD` with the end of its log."""
    log = server.home / "xrootd.log"
    command = [str(binary), "-c", str(server.home / "xrootd.cfg"), "-n", "local"]
    process = program.start(command, log, user=user)
    end = time.monotonic() + START_S
    while not answers(server.port, server.ca):
        if process.poll() is not None or time.monotonic() > end:
            program.end(process)
            said = log.read_text(errors="replace").strip()[-1000:]
            raise NoXRootD(f"did not start: {said}", where=str(server.home))
        time.sleep(0.05)
    return process


def answers(port: int, ca: Path) -> bool:
    """Whether a server takes TLS connections on a port of this machine."""
    trust = ssl.create_default_context(cafile=str(ca))
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=2) as plain,
        trust.wrap_socket(plain, server_hostname="localhost"),
    ):
        return True
    return False


def _credentials(home: Path) -> None:
    """A CA whose key is not kept, a certificate for the server and one for each user."""
    authority = trustme.CA(organization_name=ORGANIZATION)
    host = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(str(home / "ca.pem"))
    (home / "host.pem").write_bytes(b"".join(pem.bytes() for pem in host.cert_chain_pems))
    _private(home / "host.key", host.private_key_pem.bytes())
    for user in USERS:
        certificate, key = _certificate(authority, user)
        (home / f"{user}.pem").write_bytes(certificate)
        _private(home / f"{user}.key", key)
    _private(home / "secret.b64", base64.b64encode(secrets.token_bytes(64)) + b"\n")


def _certificate(authority: trustme.CA, name: str) -> tuple[bytes, bytes]:
    """A client certificate and its key. trustme puts names of its own into a subject, and the gridmap needs the whole
    of it to be known."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    names = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
        x509.NameAttribute(NameOID.COMMON_NAME, name),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(signer, hashes.SHA256())  # type: ignore[arg-type]
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _private(file: Path, content: bytes) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)


def main() -> int:
    """Run a server until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m faasctl.local.xrootd", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="where its files are")
    parser.add_argument("--tree", action="append", required=True, help="a folder that may be written; again for more")
    options = parser.parse_args()
    user = program.account()
    home = program.home(options.dir, user)

    def begin() -> tuple[subprocess.Popen[bytes], Mapping[str, object]]:
        server = configure(home, options.tree, user=user)
        process = start(server, find(), user=user)
        facts: dict[str, object] = {
            "endpoint": server.endpoint,
            "ca": str(server.ca),
            "data": str(server.data),
            "changes": str(server.changes),
        }
        return process, facts | {name: list(map(str, server.certificate(name))) for name in USERS}

    return program.serve(begin)


if __name__ == "__main__":
    sys.exit(main())
