"""The Kafka brokers are reached, let the platform in, and are new enough."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka.errors import KafkaError

from eventflow.errors import FaasError
from faasctl.doctor.finding import Finding, ok, problem, skipped
from faasctl.environment import Environment
from faasctl.kafka import cluster
from faasfeeds.kafka.knocking import knock

OLDEST = (2, 4)
"""The first version with incremental changes of settings, and with a topic's defaults for partitions."""


def is_pinned(env: Environment) -> bool:
    """Whether the environment says that its brokers cannot be asked what they can (the local stack's)."""
    return env.kafka.api_version is not None and env.kafka.api_version < OLDEST


def _reached(env: Environment) -> None:
    """Raises what is wrong with the way in; a client with a pinned version connects only when it is used."""
    if not is_pinned(env):
        cluster(env).reader().close()
        return
    with cluster(env).explained():
        knock(env.kafka.bootstrap_servers)


@contextmanager
def administering(env: Environment) -> Iterator[Any]:
    """An administrator's client for a few questions; the brokers' refusals come as `FaasError`."""
    admin = cluster(env).admin()
    try:
        yield admin
    except KafkaError as error:
        where = f"kafka {', '.join(env.kafka.bootstrap_servers)}"
        raise FaasError(f"{type(error).__name__}: {error}"[:500], where=where, hint="see the brokers' log") from None
    finally:
        admin.close()


def check(env: Environment) -> Iterator[Finding]:
    """One finding for the way in, one for the version, one for the number of brokers."""
    servers = ", ".join(env.kafka.bootstrap_servers)
    _reached(env)
    yield ok(f"kafka {servers}", "is reached, and lets the platform in")
    if is_pinned(env):
        yield skipped("version", "kafka.api_version is pinned in the environment")
        return
    with administering(env) as admin:
        nodes = [row.get("broker_id", row.get("node_id")) for row in admin.describe_cluster()["brokers"]]
        version = tuple(admin.get_broker_version_data(nodes[0]).broker_version)
    text = ".".join(map(str, version))
    if version < OLDEST:
        yield problem("version", f"is {text}, older than {'.'.join(map(str, OLDEST))}", "upgrade the brokers")
    else:
        yield ok("version", f"speaks the protocol of {text}; {len(nodes)} brokers")
