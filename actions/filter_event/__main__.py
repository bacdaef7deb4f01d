"""First action of the sequence: storage records in, work items for matching functions out."""

import time
from functools import cache
from typing import Any

from eventflow import batch, filtering
from eventflow.batch import Delivery
from eventflow.clients import openwhisk
from eventflow.filtering import Topic
from eventflow.registry import Registry
from eventflow.settings import adopt, setting


@cache
def registry() -> Registry:
    """The registry with its snapshot, kept while the container is warm."""
    access = setting("FAAS_REGISTRY", openwhisk.Access)
    return Registry(openwhisk.connect(access), now_ms=lambda: int(time.time() * 1000))


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Called by OpenWhisk with a delivery of the feed."""
    args = adopt(args)
    topics = setting("FAAS_TOPICS", dict[str, Topic])
    identities = frozenset(setting("FAAS_IDENTITIES", list[str]))
    return batch.result(filtering.run(batch.read(args, Delivery), topics, registry(), identities), "filter")
