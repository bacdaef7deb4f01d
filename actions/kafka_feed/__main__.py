"""The feed action: OpenWhisk's lifecycle of a trigger that Kafka feeds. It only writes the registration down."""

import contextlib
import os
from functools import cache
from typing import Any

import msgspec

from eventflow.clients.openwhisk import NotFound, OpenWhisk, Unauthorized
from eventflow.clients.pem import pem_file
from eventflow.errors import FaasError
from eventflow.seal import keys_from_text
from eventflow.settings import adopt, setting
from faasfeeds.kafka import lifecycle
from faasfeeds.kafka.cluster import Cluster, Security
from faasfeeds.kafka.directory import DirectoryRegistrations
from faasfeeds.kafka.lifecycle import Site
from faasfeeds.kafka.registration import Registrations
from faasfeeds.kafka.topic import TopicRegistrations


class Place(msgspec.Struct, frozen=True):
    """Where registrations are: a topic or a directory."""

    topic: str | None = None
    directory: str | None = None


class FeedSettings(msgspec.Struct, frozen=True):
    """What comes from the environment only, and no caller can choose. CAs are PEM text."""

    registrations: Place
    bootstrap_servers: tuple[str, ...]
    topics: tuple[str, ...]
    apihost: str
    seal_key: str
    ca: str | None = None
    api_version: tuple[int, ...] | None = None
    security: Security = Security()


@cache
def settings() -> FeedSettings:
    """The init parameter, decoded once."""
    return setting("FAAS_FEED", FeedSettings)


def may_read(trigger: str, auth: str) -> bool:
    """Whether a key can read a trigger: OpenWhisk itself is asked."""
    namespace, name = trigger.strip("/").split("/")
    ca = settings().ca
    client = OpenWhisk(settings().apihost, auth, namespace=namespace, ca=pem_file(ca) if ca else None, timeout=8)
    try:
        client.get("triggers", name)
    except (NotFound, Unauthorized):
        return False
    return True


def registrations() -> Registrations:
    """The store; a topic's connection does not outlive the call, since a warm container may be frozen for hours."""
    given = settings()
    if given.registrations.directory is not None:
        return DirectoryRegistrations(given.registrations.directory)
    security = given.security
    if security.ca is not None:
        security = msgspec.structs.replace(security, ca=pem_file(security.ca))
    cluster = Cluster(bootstrap_servers=given.bootstrap_servers, api_version=given.api_version, security=security)
    return TopicRegistrations(cluster, given.registrations.topic or "")


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Called by OpenWhisk with a lifecycle event; errors are returned as text, as feeds do."""
    args = adopt(args)
    try:
        site = Site(
            topics=settings().topics,
            brokers=settings().bootstrap_servers,
            namespace=os.environ["__OW_NAMESPACE"],
            seal_keys=keys_from_text(settings().seal_key),
        )
        with contextlib.closing(registrations()) as store:
            return lifecycle.handle(args, store=store, site=site, may_read=may_read)
    except FaasError as error:
        return {"error": f"{error} ({error.hint})" if error.hint else str(error)}
