"""The feed action: OpenWhisk's lifecycle of a trigger that Kafka feeds. It only writes the registration down."""

import os
from functools import cache
from typing import Any

import msgspec

from eventflow.clients.openwhisk import NotFound, OpenWhisk, Unauthorized
from eventflow.clients.pem import pem_file
from eventflow.errors import FaasError
from eventflow.seal import key_from_text
from eventflow.settings import adopt, setting
from faasfeeds.kafka import registration
from faasfeeds.kafka.directory import DirectoryRegistrations


class Place(msgspec.Struct, frozen=True):
    """Where registrations are."""

    directory: str | None = None


class FeedSettings(msgspec.Struct, frozen=True):
    """What comes from the environment only, and no caller can choose."""

    registrations: Place
    topics: tuple[str, ...]
    apihost: str
    seal_key: str
    ca: str | None = None


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


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Called by OpenWhisk with a lifecycle event; errors are returned as text, as feeds do."""
    args = adopt(args)
    try:
        return registration.handle(
            args,
            store=DirectoryRegistrations(settings().registrations.directory or "registrations"),
            allowed_topics=settings().topics,
            namespace=os.environ["__OW_NAMESPACE"],
            may_read=may_read,
            seal_key=key_from_text(settings().seal_key),
        )
    except FaasError as error:
        return {"error": f"{error} ({error.hint})" if error.hint else str(error)}
