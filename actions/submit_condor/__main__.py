"""Last action of the sequence: each self-sufficient event becomes exactly one anonymous job, or is done in place."""

import time
from functools import cache
from typing import Any

from eventflow import batch, submitting
from eventflow.batch import Batch
from eventflow.clients import openwhisk
from eventflow.clients.code import CodeStore
from eventflow.clients.openwhisk import OpenWhisk
from eventflow.clients.pools import PoolAccess, connect
from eventflow.exactly_once import Pool
from eventflow.policy import by_namespace
from eventflow.seal import keys_from_text
from eventflow.settings import adopt, setting


@cache
def pools() -> dict[str, Pool]:
    """The connections to the batch system's schedds, kept while the container is warm."""
    return connect(setting("FAAS_POOL", PoolAccess))


@cache
def functions() -> OpenWhisk:
    """The functions' namespace."""
    return openwhisk.connect(setting("FAAS_REGISTRY", openwhisk.Access))


@cache
def code() -> CodeStore:
    """The functions' code, kept while the container is warm."""
    return CodeStore(functions())


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Called by OpenWhisk with the batch of `augment_event`; the result is the batch's report."""
    args = adopt(args)
    submitted = submitting.run(
        batch.read(args, Batch),
        pools=pools(),
        code=code(),
        actions=functions(),
        policies=by_namespace(setting("FAAS_POLICIES", list[dict[str, Any]])),
        seal_keys=keys_from_text(setting("FAAS_SEAL_KEY", str)),
        submit_keys=keys_from_text(setting("FAAS_SUBMIT_KEY", str)),
        now=time.time,
    )
    return batch.result(submitted, "submit")
