"""A real Kafka that asks who comes, and allows nothing that no ACL allows.

Its PLAINTEXT listener is the administrators'; users log in at the other one.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.parts import kafka
from tests.parts.kafka import Kafka

PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


class SecuredKafka:
    """The broker, the address at which users log in, and their passwords."""

    def __init__(self, broker: Kafka, server: str, users: dict[str, str]) -> None:
        self.broker = broker
        self.server = server
        self.users = users


@contextmanager
def running(folder: Path, *users: str) -> Iterator[SecuredKafka]:
    """Start one that knows these users, each with the password ``pw-NAME``."""
    passwords = {user: f"pw-{user}" for user in users}
    admin, controller, login = _free_ports(3)
    known = " ".join(f'user_{user}="{password}"' for user, password in passwords.items())
    settings = {
        "listeners": f"PLAINTEXT://127.0.0.1:{admin},CONTROLLER://127.0.0.1:{controller},SASL://127.0.0.1:{login}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{admin},SASL://127.0.0.1:{login}",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl.plain.sasl.jaas.config": f"{PLAIN} required {known} ;",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    with kafka.running(folder, settings) as broker:
        yield SecuredKafka(broker, f"127.0.0.1:{login}", passwords)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports
