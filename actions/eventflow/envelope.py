"""The self-sufficient event: everything a job needs to know, and everything it may touch.

`build` makes it without tokens, so that it may stand in an activation record; `complete` puts the tokens in, at the
last moment before it goes into a job's sandbox.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from eventflow import function
from eventflow.batch import SCHEMA, Batch, Item, Registered, each
from eventflow.errors import FaasError, ItemError
from eventflow.function import Function
from eventflow.pattern import expand
from eventflow.policy import Policy
from eventflow.storages import Storage, holding

_CAPTURE = re.compile(r"\{(\w+)\}")

RUNTIME_KEYS = ("main", "python", "image", "setup", "env")


def run(batch: Batch, storages: Iterable[Storage], policies: Mapping[str, Policy]) -> Batch:
    """Build every item's envelope."""
    known = tuple(storages)

    def step(item: Item) -> Item:
        try:
            envelope = build(item, batch.functions[item.function], known, policies)
        except ItemError:
            raise
        except FaasError as error:
            raise ItemError(str(error), code="function") from None
        return msgspec.structs.replace(item, envelope=envelope)

    return each(batch, "augment", step)


def build(
    item: Item, registered: Registered, storages: Iterable[Storage], policies: Mapping[str, Policy]
) -> dict[str, Any]:
    """The event of one item without its tokens; raises `ItemError` (``no_storage``)."""
    spec = function.decode(registered.spec)
    known = tuple(storages)
    event = item.event
    expose = policies[spec.namespace].expose if spec.namespace in policies else ()
    visible = event if "principal" in expose else _without_principal(item)
    output = function.output_directory(spec, item.captures, event.subject)
    return {
        "schema": SCHEMA,
        "key": item.key,
        "type": event.type,
        "time": event.time,
        "subject": event.subject,
        "read": {
            **_place(holding(known, event.subject), "read", event.subject),
            "size": event.data.size,
            "pnfsid": event.data.pnfsid,
        },
        "inputs": {
            name: _place(holding(known, path), "read", path)
            for name, path in ((name, expand(template, item.captures)) for name, template in spec.inputs.items())
        },
        "write": None if output is None else _place(holding(known, output), "write", output),
        "exec": execution(spec, registered, item.captures),
        "params": spec.params,
        "event": msgspec.to_builtins(visible),
        "lineage": [],
    }


def execution(spec: Function, registered: Registered, captures: Mapping[str, str]) -> dict[str, Any]:
    """What the job runs: `exec` of the event."""
    return {
        "function": spec.full_name,
        "version": registered.version,
        "code": registered.code,
        "command": [expand_argument(word, captures) for word in spec.run.command] or None,
        "runtime": spec.resources.runtime,
        **{name: getattr(spec.run, name) for name in RUNTIME_KEYS},
    }


def complete(envelope: Mapping[str, Any], tokens: Mapping[str, Any]) -> dict[str, Any]:
    """The event as the job gets it: with the tokens for its inputs and its output, and without the submit token."""
    write = envelope["write"]
    return {
        **envelope,
        "read": {**envelope["read"], "macaroon": tokens["read"]},
        "inputs": {name: {**place, "macaroon": tokens["inputs"][name]} for name, place in envelope["inputs"].items()},
        "write": None if write is None else {**write, "macaroon": tokens["write"]},
    }


def expand_argument(word: str, captures: Mapping[str, str]) -> str:
    """Fill captures into one word of a command; ``{input}`` and ``{output}`` are left to the job's runner.

    In one pass, so that a brace in a file's name is never taken for a capture.
    """
    return _CAPTURE.sub(lambda found: captures.get(found[1], found[0]), word)


def _place(storage: Storage, door: str, path: str) -> dict[str, Any]:
    return {"path": path, "endpoint": getattr(storage, door), "ca": storage.ca}


def _without_principal(item: Item) -> Any:
    return msgspec.structs.replace(item.event, data=msgspec.structs.replace(item.event.data, principal=None))
