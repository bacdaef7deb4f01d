"""Second action of the sequence: the tokens of every work item, sealed."""

import time
from functools import cache
from typing import Any

from eventflow import batch, minting
from eventflow.batch import Batch
from eventflow.parents import Parents
from eventflow.policy import by_namespace
from eventflow.seal import keys_from_text
from eventflow.settings import adopt, setting
from eventflow.storages import Storage


@cache
def parents() -> Parents:
    """The parent tokens, kept while the container is warm."""
    return Parents(setting("FAAS_STORAGES", list[Storage]), now=time.time)


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Called by OpenWhisk with the batch of `filter_event`."""
    args = adopt(args)
    minted = minting.run(
        batch.read(args, Batch),
        policies=by_namespace(setting("FAAS_POLICIES", list[dict[str, Any]])),
        parents=parents(),
        seal_key=keys_from_text(setting("FAAS_SEAL_KEY", str))[0],
        submit_key=keys_from_text(setting("FAAS_SUBMIT_KEY", str))[0],
        now=time.time,
    )
    return batch.result(minted, "mint")
