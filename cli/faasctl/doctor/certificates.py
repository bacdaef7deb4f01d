"""The servers' certificates verify, and do not end soon."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator

from eventflow.macaroon import instant
from faasctl.doctor.finding import Finding, ok, problem, warning
from faasctl.doctor.servers import Server, tls_servers
from faasctl.environment import Environment

TIMEOUT_S = 5.0
SOON_S = 14 * 86400


def check(env: Environment) -> Iterator[Finding]:
    """One finding per server that speaks TLS."""
    for server in tls_servers(env):
        yield _about(server, time.time())


def _about(server: Server, now: float) -> Finding:
    host, port = server.address
    about = f"{server.name} ({host}:{port})"
    try:
        context = ssl.create_default_context(cafile=server.ca)
    except OSError as error:
        return problem(about, f"the CA file {server.ca} cannot be read: {error.strerror or error}", server.setting)
    try:
        with (
            socket.create_connection((host, port), TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            end = ssl.cert_time_to_seconds(str((secure.getpeercert() or {})["notAfter"]))
    except ssl.SSLCertVerificationError as error:
        remedy = f"renew the server's certificate, or name the CA that signed it as {server.setting}"
        return problem(about, f"the certificate does not verify: {error.verify_message}", remedy)
    except OSError as error:
        return problem(about, f"no TLS connection: {error.strerror or error}", "is the server up, is the port right?")
    if end < now + SOON_S:
        return warning(about, f"the certificate ends at {instant(end)}", "renew it")
    return ok(about, f"the certificate verifies and ends at {instant(end)}")
