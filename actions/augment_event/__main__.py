"""Third action of the sequence: work items become self-sufficient events, their tokens still sealed."""

from typing import Any

from eventflow import batch, envelope
from eventflow.batch import Batch
from eventflow.policy import by_namespace
from eventflow.settings import adopt, setting
from eventflow.storages import Storage


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Called by OpenWhisk with the batch of `mint_tokens`."""
    args = adopt(args)
    storages = setting("FAAS_STORAGES", list[Storage])
    policies = by_namespace(setting("FAAS_POLICIES", list[dict[str, Any]]))
    return batch.result(envelope.run(batch.read(args, Batch), storages, policies), "augment")
