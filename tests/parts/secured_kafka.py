"""A real Kafka that asks who comes, and allows nothing that no ACL allows.

Its PLAINTEXT listener is the administrators'; users log in at the others, of which one speaks TLS.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tests.parts import kafka
from tests.parts.kafka import Kafka

PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


class SecuredKafka:
    """The broker, the addresses at which users log in without and with TLS, its CA, and the users' passwords."""

    def __init__(self, broker: Kafka, server: str, tls: str, ca: Path, users: dict[str, str]) -> None:
        self.broker = broker
        self.server = server
        self.tls = tls
        self.ca = ca
        self.users = users

    def change_password(self, user: str, password: str) -> None:
        """Give a user another password; the broker must not run."""
        file = self.broker.folder / "server.properties"
        file.write_text(file.read_text().replace(f'user_{user}="{self.users[user]}"', f'user_{user}="{password}"'))
        self.users[user] = password


@contextmanager
def running(folder: Path, *users: str) -> Iterator[SecuredKafka]:
    """Start one that knows these users, each with the password ``pw-NAME``; ``super`` may do everything."""
    passwords = {user: f"pw-{user}" for user in users}
    admin, controller, login, tls = _free_ports(4)
    folder.mkdir(parents=True, exist_ok=True)
    ca = _certify(folder)
    known = " ".join(f'user_{user}="{password}"' for user, password in passwords.items())
    users_at = f"SASL://127.0.0.1:{login},TLS://127.0.0.1:{tls}"
    settings = {
        "listeners": f"PLAINTEXT://127.0.0.1:{admin},CONTROLLER://127.0.0.1:{controller},{users_at}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{admin},{users_at}",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SASL_SSL",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl.plain.sasl.jaas.config": f"{PLAIN} required {known} ;",
        "listener.name.tls.plain.sasl.jaas.config": f"{PLAIN} required {known} ;",
        "listener.name.tls.ssl.keystore.type": "PEM",
        "listener.name.tls.ssl.keystore.location": folder / "server.pem",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:super",
    }
    with kafka.running(folder, settings) as broker:
        yield SecuredKafka(broker, f"127.0.0.1:{login}", f"127.0.0.1:{tls}", ca, passwords)


def _certify(folder: Path) -> Path:
    """Write a key and certificate for the broker as it reads them, and return its CA."""
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1")
    key = load_pem_private_key(server.private_key_pem.bytes(), None)
    chain = b"".join(part.bytes() for part in server.cert_chain_pems)
    (folder / "server.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + chain)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return folder / "ca.pem"


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports
