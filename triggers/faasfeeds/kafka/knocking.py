"""What brokers tell whoever comes, without any client library and before any login."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Sequence
from urllib.parse import urlsplit

DEFAULT_PORT = 9092

PATIENCE_S = 2.0
"""Seconds for a broker to accept a connection, and for each answer."""

LARGEST_ANSWER = 65_536


def knock(servers: Sequence[str]) -> None:
    """Make sure that one of the servers (``host:port``) accepts connections; raises `OSError` and `ValueError`.

    For before a client is made: a constructor of kafka-python's that fails leaves a thread and its sockets behind.
    """
    refused: OSError | None = None
    for server in servers:
        try:
            _connection(server).close()
        except OSError as error:
            refused = error
        else:
            return
    if refused is not None:
        raise refused


def speaks_tls(server: str) -> bool:
    """Whether a TLS handshake succeeds; raises `OSError` when nothing listens there."""
    connection = _connection(server)
    try:
        _unverified().wrap_socket(connection).close()
    except OSError:
        return False
    finally:
        connection.close()
    return True


def mechanisms(server: str, *, tls: bool) -> list[str]:
    """The SASL mechanisms that a broker offers (SaslHandshake v1); raises `OSError` and `ValueError`."""
    connection = _connection(server)
    try:
        channel = _unverified().wrap_socket(connection) if tls else connection
        with channel, channel.makefile("rwb") as stream:
            request = struct.pack(">hhih5sh", 17, 1, 1, 5, b"knock", 0)
            stream.write(struct.pack(">i", len(request)) + request)
            stream.flush()
            (size,) = struct.unpack(">i", _exactly(stream.read(4), 4))
            answer = _exactly(stream.read(min(size, LARGEST_ANSWER)), size)
    finally:
        connection.close()
    found, at = [], 10  # after correlation id, error code, and count
    try:
        for _ in range(struct.unpack_from(">i", answer, 6)[0]):
            (length,) = struct.unpack_from(">h", answer, at)
            found.append(answer[at + 2 : at + 2 + length].decode())
            at += 2 + length
    except struct.error:
        raise ValueError("that is no answer to SaslHandshake") from None
    return found


def _connection(server: str) -> socket.socket:
    address = urlsplit(f"//{server}")
    return socket.create_connection((address.hostname or "", address.port or DEFAULT_PORT), PATIENCE_S)


def _unverified() -> ssl.SSLContext:
    """For questions that hold no secret, and whose answers only name what is wrong."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise OSError("the connection ended within an answer")
    return data
