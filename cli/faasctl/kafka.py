"""The Kafka cluster of an environment."""

from __future__ import annotations

from faasctl.environment import Environment
from faasfeeds.kafka.cluster import Cluster, Security


def cluster(env: Environment) -> Cluster:
    """How to connect to the environment's brokers."""
    security = env.kafka.security
    return Cluster(
        bootstrap_servers=env.kafka.bootstrap_servers,
        api_version=env.kafka.api_version,
        security=Security(
            protocol=security.protocol,
            mechanism=security.mechanism,
            username=security.username,
            password=security.password.reveal() if security.password is not None else None,
            ca=security.ca,
        ),
    )
