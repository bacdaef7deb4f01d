"""A self-sufficient event from outside: whoever brings one with a submit token gets its job, and needs no account.

The event holds everything that the job may touch, in tokens of its bearer's; the platform adds none. What runs is the
registered function and nothing else, on a file that it waits for, with the resources that the submit token names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from eventflow import envelope, submittoken
from eventflow.batch import SCHEMA, Registered
from eventflow.errors import FaasError, ItemError
from eventflow.event import Data, Event, normal_path
from eventflow.exactly_once import Job, Pool, Submitted, submit_at_home
from eventflow.function import Function, globs
from eventflow.macaroon import MacaroonError, grant, instant
from eventflow.pattern import split
from eventflow.policy import Policy, check_function
from eventflow.submitting import Code, job_for, rules_of
from eventflow.wlcg import claims

KEYS = "outside-"
"""How the keys of jobs from outside begin: a submit token of the pipeline's, should one ever leak, is no good here,
and none from here can take the place of a job of the pipeline's."""

_ID = re.compile(rf"{KEYS}[A-Za-z0-9._-]{{1,128}}", re.ASCII)

Token = Annotated[str, Meta(min_length=1, max_length=16_384)]
Path = Annotated[str, Meta(min_length=2, max_length=4096)]
Pem = Annotated[str, Meta(max_length=65_536)]


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file or directory with the token that opens it, as in the self-sufficient event."""

    path: Path
    endpoint: Annotated[str, Meta(max_length=1024)]
    macaroon: Token
    ca: Pem | None = None
    size: Annotated[int, Meta(ge=0)] | None = None
    pnfsid: Annotated[str, Meta(max_length=100)] | None = None


class Wanted(msgspec.Struct, frozen=True):
    """The function to run; what else ``exec`` says is the registry's to say."""

    function: Annotated[str, Meta(max_length=256)]


class Permission(msgspec.Struct, frozen=True):
    """The submit token."""

    macaroon: Token


class SelfSufficient(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of the event. Unknown keys are ignored, as by every reader of it."""

    schema: Literal[1]
    key: Annotated[str, Meta(max_length=512)]
    read: Place
    exec: Wanted
    submit: Permission
    inputs: dict[str, Place] = {}
    write: Place | None = None

    def places(self) -> dict[str, Place]:
        """Every file and directory, by the name that an error calls it."""
        write = {} if self.write is None else {"write": self.write}
        return {"read": self.read, **{f"inputs.{name}": place for name, place in self.inputs.items()}, **write}


Find = Callable[[str], tuple[Function, Registered] | None]
"""Looks a function up in the registry by its full name."""


def decode(arguments: Mapping[str, Any]) -> SelfSufficient:
    """The event of a request; raises `ItemError` (``bad_event``), which says where and quotes nothing."""
    try:
        event = msgspec.convert(dict(arguments), SelfSufficient)
    except msgspec.ValidationError as error:
        raise _bad(f"the event is not understood: {error}") from None
    id, _, name = event.key.partition("/")
    if not _ID.fullmatch(id) or name != event.exec.function:
        raise _bad(f"the key of an event from outside is {KEYS}SOMETHING/FUNCTION")
    for name, place in event.places().items():
        normal_path(place.path, where=f"{name}.path")
        door = urlsplit(place.endpoint)
        if door.scheme != "https" or not door.hostname or door.username or place.endpoint != _origin(place.endpoint):
            raise _bad(f"{name}.endpoint is no https://HOST:PORT")
    if event.write is not None and not event.write.path.endswith("/"):
        raise _bad("write.path is a directory and ends with /")
    return event


def submit(
    event: SelfSufficient,
    *,
    find: Find,
    code: Code,
    policies: Mapping[str, Policy],
    pools: Mapping[str, Pool],
    submit_keys: Sequence[bytes],
    now: float,
) -> tuple[Submitted, Registered]:
    """Submit the one job of an event. Raises `ItemError` with the reason why not.

    The token is looked at before anything is asked of anybody, so that nobody without one costs the platform more
    than its signature.
    """
    submittoken.opened(event.submit.macaroon, now=now, secrets=submit_keys)
    found = find(event.exec.function)
    if found is None:
        raise ItemError(f"there is no function {event.exec.function}", code="gone")
    spec, registered = found
    submittoken.verify(event.submit.macaroon, event.key, spec, now=now, secrets=submit_keys)
    job = _job(event, spec, registered, code, rules_of(policies, spec), now)
    (done,) = submit_at_home(pools, [job], now=now)
    if done.outcome == "duplicate":
        raise ItemError("the submit token is refused: it is spent, its job is in the queue", code="spent")
    if done.outcome != "submitted":
        why = done.reason or f"the job cannot be queued now ({done.outcome})"
        raise ItemError(why, code=done.outcome, retryable=done.outcome != "refused")
    return done, registered


def captures(spec: Function, path: str) -> dict[str, str] | None:
    """What the function's patterns capture of a path, ``None`` when it waits for no such file.

    Its conditions are left out: what somebody outside says of a file is worth nothing.
    """
    segments = split(path)
    return next((found for glob in globs(spec) if (found := glob.match(segments)) is not None), None)


def _job(event: SelfSufficient, spec: Function, registered: Registered, code: Code, rules: Policy, now: float) -> Job:
    check_function(rules, spec)
    if spec.run.backend != "htcondor":
        raise ItemError(f"{spec.full_name} is a light function and becomes no job", code="function")
    if registered.paused is not None:
        raise ItemError(f"{spec.full_name} is paused", code="paused", retryable=True)
    if set(event.inputs) != set(spec.inputs) or (event.write is None) != (spec.write is None):
        needs = [*sorted(f"inputs.{name}" for name in spec.inputs), *(["write"] if spec.write else [])]
        raise _bad(f"{spec.full_name} takes read{''.join(f', {need}' for need in needs)}")
    size = event.read.size
    written = Event(
        id=event.key.rpartition("/")[0],
        source="urn:faasctl:outside",
        type=spec.when.type,
        subject=event.read.path,
        time=instant(now),
        data=Data(path=event.read.path, size=size, pnfsid=event.read.pnfsid),
    )
    found = captures(spec, event.read.path)
    if found is None:
        raise ItemError(f"{spec.full_name} does not wait for {event.read.path[:200]}", code="function")
    expires = min(_end(name, place) for name, place in event.places().items()) - spec.resources.runtime
    if expires <= now:
        raise ItemError("the event's tokens end before the function's runtime is over", code="token_too_short")
    whole = {
        "schema": SCHEMA,
        "key": event.key,
        "type": written.type,
        "time": written.time,
        "subject": written.subject,
        "read": msgspec.to_builtins(event.read),
        "inputs": msgspec.to_builtins(event.inputs),
        "write": msgspec.to_builtins(event.write),
        "exec": envelope.execution(spec, registered, found),
        "params": spec.params,
        "event": msgspec.to_builtins(written),
        "lineage": [],
    }
    return job_for(whole, spec, registered, code, rules, origin="outside", expires=expires)


def _end(name: str, place: Place) -> float:
    """When a place's token ends, by its own word; the storage has the last one."""
    end = claims(place.macaroon).get("exp")
    if isinstance(end, int | float):
        return float(end)
    try:
        found = grant(place.macaroon).expires
    except MacaroonError:
        raise _bad(f"{name}.macaroon is neither a macaroon nor a JWT") from None
    if found is None:
        raise _bad(f"{name}.macaroon has no end")
    return found


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _bad(why: str) -> ItemError:
    return ItemError(why, code="bad_event")


STATUS = {
    "bad_event": 400,
    "bad_path": 400,
    "submit_token": 401,
    "policy": 403,
    "function": 403,
    "gone": 404,
    "spent": 409,
    "token_too_short": 409,
    "over_limit": 429,
}
"""The HTTP status of a refusal; what is retryable is 503."""


def status(error: FaasError) -> int:
    """The HTTP status that an error is answered with."""
    if not isinstance(error, ItemError):
        return 500
    return STATUS.get(error.code, 503 if error.retryable else 500)
