"""A real XRootD with macaroons over https, from Debian's packages in a prefix, on free ports of the loopback address.

XRootD refuses to run as root; started by root it runs as `nobody`.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.parts import debian

PACKAGES = ["xrootd-server", "xrootd-server-plugins", "xrootd-plugins", "xrootd-scitokens-plugins"]

CONFIG = """
all.export /
oss.localroot {data}
all.adminpath {local}/admin
all.pidpath {local}/run
all.sitename TEST
xrd.port {port}
xrd.network nodnr
xrootd.seclib libXrdSec.so
xrd.protocol http:{port} libXrdHttp.so
xrd.tls {local}/host.pem {local}/host.key
xrd.tlsca certfile {local}/ca.pem
http.gridmap {local}/gridmap
http.header2cgi Authorization authz
http.listingdeny no
http.exthandler xrdmacaroons libXrdMacaroons.so
macaroons.secretkey {local}/secret.b64
macaroons.onmissing passthrough
ofs.authorize 1
acc.authdb {local}/authdb
ofs.authlib ++ libXrdMacaroons.so
xrootd.chksum max 2 adler32 md5
"""

STARTS_WITHIN = 20.0


@dataclass(frozen=True)
class XRootD:
    """A running XRootD. ``certificate`` and ``key`` (PEM) are the platform's own identity, which may write ``tree``."""

    endpoint: str
    ca: Path
    certificate: Path
    key: Path
    tree: str
    data: Path

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"{self.endpoint}{path}"


@contextlib.contextmanager
def xrootd(tree: str = "/data") -> Iterator[XRootD]:
    """Start an XRootD of its own that holds ``tree``, wait until it answers, and stop it."""
    root = debian.prefix("xrootd", "bookworm", PACKAGES, leave_out=["*perl*", "logrotate*", "*expect*"])
    local = Path(tempfile.mkdtemp(prefix="xrd-", dir="/tmp"))  # socket paths must be short
    try:
        for folder in ("admin", "run", "data"):
            (local / folder).mkdir()
        (local / "data" / tree.strip("/")).mkdir(parents=True)
        port = _free_port()
        _credentials(local)
        (local / "gridmap").write_text('"/O=Test/CN=platform" platform\n')
        (local / "authdb").write_text(f"u platform {tree} a\n")
        (local / "xrootd.cfg").write_text(CONFIG.format(local=local, data=local / "data", port=port))
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", "nobody:nogroup", str(local)], check=True)
            local.chmod(0o755)
        command = [*_program(root), "-c", str(local / "xrootd.cfg"), "-n", "test"]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", *command]
        log = local / "xrootd.log"
        with log.open("wb") as output:
            server = subprocess.Popen(command, cwd=local, stdout=output, stderr=output)
        try:
            _await_answer(server, port, local)
            yield XRootD(
                endpoint=f"https://localhost:{port}",
                ca=local / "ca.pem",
                certificate=local / "platform.pem",
                key=local / "platform.key",
                tree=tree,
                data=local / "data",
            )
        finally:
            server.terminate()
            server.wait(STARTS_WITHIN)
    finally:
        shutil.rmtree(local, ignore_errors=True)


def _program(root: Path) -> list[str]:
    """XRootD with the prefix's own C library; Debian 12 has libraries in two places."""
    folders = [root / "lib/x86_64-linux-gnu", root / "usr/lib/x86_64-linux-gnu"]
    loader = str(folders[0] / "ld-linux-x86-64.so.2")
    return [loader, "--library-path", ":".join(map(str, folders)), str(root / "usr/bin/xrootd")]


def _credentials(local: Path) -> None:
    """A CA, a certificate for the server, and one for the platform; XRootD maps the latter by its whole subject."""
    authority = trustme.CA(organization_name="Test CA")
    host = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(str(local / "ca.pem"))
    host.private_key_pem.write_to_path(str(local / "host.key"))
    (local / "host.pem").write_bytes(b"".join(pem.bytes() for pem in host.cert_chain_pems))
    # trustme puts names of its own into every subject; the gridmap needs exactly this one
    key = ec.generate_private_key(ec.SECP256R1())
    signer = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"), x509.NameAttribute(NameOID.COMMON_NAME, "platform")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(signer, hashes.SHA256())  # type: ignore[arg-type]
    )
    (local / "platform.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (local / "platform.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (local / "secret.b64").write_bytes(base64.b64encode(secrets.token_bytes(64)) + b"\n")
    for private in ("host.key", "platform.key", "secret.b64"):
        (local / private).chmod(0o600)


def _await_answer(server: subprocess.Popen[bytes], port: int, local: Path) -> None:
    trust = ssl.create_default_context(cafile=str(local / "ca.pem"))
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        assert server.poll() is None, (local / "xrootd.log").read_text()[-3000:]
        try:
            with (
                socket.create_connection(("127.0.0.1", port), timeout=2) as plain,
                trust.wrap_socket(plain, server_hostname="localhost"),
            ):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError((local / "xrootd.log").read_text()[-3000:])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
