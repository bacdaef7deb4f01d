"""The pipeline answers, and its activations are stored: the feed commits nothing that it cannot read there.

An empty batch goes through the whole sequence: it starts every step, with its settings, and changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from eventflow.batch import SCHEMA
from eventflow.clients.openwhisk import NotFound
from faasctl.doctor.finding import Finding, ok, problem
from faasctl.doctor.openwhisk import client
from faasctl.environment import Environment

SEQUENCE = "faas/process"

PATIENCE_S = 90.0
"""Four cold containers, and a store that lags."""


def check(env: Environment) -> Iterator[Finding]:
    """One finding for the sequence, one for the store."""
    openwhisk = client(env)
    deadline = int((time.time() + PATIENCE_S) * 1000)
    try:
        started = openwhisk.post("actions", SEQUENCE, {"schema": SCHEMA, "deadline": deadline, "messages": []})
    except NotFound:
        yield problem(f"sequence {SEQUENCE}", "is not deployed", "faasctl deploy")
        return
    begun = time.monotonic()
    id = str(started["activationId"])
    while (record := openwhisk.activation(id)) is None:
        if time.monotonic() - begun > PATIENCE_S:
            why = f"activation {id} is not stored after {PATIENCE_S:.0f} s"
            yield problem("activation store", why, "look at the invokers' log and the store behind it (CouchDB)")
            return
        time.sleep(0.2)
    yield ok("activation store", f"an activation is there {time.monotonic() - begun:.1f} s after its start")
    answer = record["response"]
    if answer.get("success"):
        yield ok(f"sequence {SEQUENCE}", f"answers an empty batch in {record.get('duration', 0)} ms")
    else:
        said = msgspec.json.encode(answer.get("result")).decode()[:300]
        remedy = f"wsk activation get {id}; its logs name the step; faasctl deploy sets the steps' inputs anew"
        yield problem(f"sequence {SEQUENCE}", f"fails on an empty batch: {said}", remedy)
