"""Jobs for whoever brings a self-sufficient event with a submit token, as a web action: no account, no key, no policy
but the token's."""

import time
from functools import cache
from typing import Any

from eventflow import outside
from eventflow.batch import Registered
from eventflow.clients import openwhisk
from eventflow.clients.code import CodeStore
from eventflow.clients.openwhisk import NotFound, OpenWhisk, OpenWhiskError
from eventflow.clients.pools import PoolAccess, connect
from eventflow.errors import FaasError, ItemError
from eventflow.exactly_once import Pool, PoolUnavailable
from eventflow.function import Function
from eventflow.policy import by_namespace
from eventflow.registry import registered
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


def find(full_name: str) -> tuple[Function, Registered] | None:
    """A function as the registry has it now; raises `ItemError` when that cannot be read."""
    namespace, _, name = full_name.partition(".")
    if not namespace or not name or "/" in full_name:
        return None
    try:
        return registered(functions().get("actions", f"{namespace}/{name}", code="false"))
    except NotFound:
        return None
    except OpenWhiskError:
        raise ItemError("the registry cannot be read", code="unavailable", retryable=True) from None


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Called by OpenWhisk with an HTTP request; answers with one."""
    args = adopt(args)
    if args.get("__ow_method") != "post":
        return _reply(405, _error("POST a self-sufficient event as JSON"))
    try:
        event = outside.decode({name: value for name, value in args.items() if not name.startswith("__ow_")})
        done, found = outside.submit(
            event,
            find=find,
            code=code(),
            policies=by_namespace(setting("FAAS_POLICIES", list[dict[str, Any]])),
            pools=pools(),
            submit_keys=keys_from_text(setting("FAAS_SUBMIT_KEY", str)),
            now=time.time(),
        )
    except PoolUnavailable as error:
        print(f"503 {error}")
        return _reply(503, _error("the pool is away, try again"))
    except FaasError as error:
        status = outside.status(error)
        print(f"{status} {error}")
        return _reply(status, _error(error.why if status != 500 else "the platform is not in order"))
    print(f"200 {done.key} is job {done.id} of {done.schedd}")
    job = {"schedd": done.schedd, "job": done.id, "function": event.exec.function, "version": found.version}
    return _reply(200, {"key": done.key, **job})


def _error(why: str) -> dict[str, Any]:
    return {"error": {"why": why}}


def _reply(status: int, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return {"statusCode": status, "headers": headers, "body": body}
