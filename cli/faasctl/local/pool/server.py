"""The process pool's HTTP interface: the port `eventflow.exactly_once.Pool`, and a listing for people."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from faasctl.local.pool.queue import INPUT_FILES, Description, Entry, Queue
from faasctl.local.pool.slots import Slots

MAX_BODY = 64 << 20
T = TypeVar("T")


class Lookup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /lookup``."""

    keys: list[str]
    idle_of: list[str]


class Removal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /withdraw`` and ``POST /remove``."""

    ids: list[str]
    reason: str


class Watching(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /watch``: these jobs, or all under way and those that ended at most so many seconds ago."""

    ids: list[str] | None = None
    ended_within: float | None = None


class BearerToken:
    """Lets in only requests that carry the pool's token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = b"Bearer " + token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                await JSONResponse({"error": "the pool's token is wrong or missing"}, 401)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def application(queue: Queue, slots: Slots, token: str) -> Starlette:
    """The pool as an ASGI application; its jobs run as long as it is served."""

    async def lookup(request: Request) -> Response:
        wanted = await _body(request, Lookup)
        return _json({"jobs": queue.lookup(wanted.keys, wanted.idle_of)})

    async def submit(request: Request) -> Response:
        jobs = await _body(request, list[Description])
        for job in jobs:
            _admit(job, slots.slots)
        return _json({"ids": queue.submit(jobs, time.time())}, 201)

    async def spool(request: Request) -> Response:
        files = await _body(request, dict[str, bytes], msgspec.msgpack.decode)
        if not files.keys() <= INPUT_FILES or not {"events.jsonl", "runner.py"} <= files.keys():
            raise HTTPException(422, f"a job's input is {', '.join(sorted(INPUT_FILES))}")
        taken = queue.spool(request.path_params["id"], files, time.time())
        slots.changed.set()
        return _json({"taken": taken})

    async def watch(request: Request) -> Response:
        wanted = await _body(request, Watching)
        if wanted.ids is not None:
            return _json({"jobs": [row for e in map(queue.get, wanted.ids) if e and (row := queue.watched(e))]})
        return _json({"jobs": queue.watch(wanted.ended_within, time.time())})

    async def withdraw(request: Request) -> Response:
        removal = await _body(request, Removal)
        queue.withdraw(removal.ids, removal.reason, time.time())
        return _json({})

    async def remove(request: Request) -> Response:
        removal = await _body(request, Removal)
        for entry in filter(None, map(queue.get, removal.ids)):
            slots.remove(entry, removal.reason)
        return _json({})

    async def listing(request: Request) -> Response:
        return _json({"jobs": [_row(entry) for entry in queue.all()]})

    async def show(request: Request) -> Response:
        entry = queue.get(request.path_params["id"])
        if entry is None:
            raise HTTPException(404, f"there is no job {request.path_params['id']}")
        result = msgspec.json.decode(entry.result) if entry.result else None
        return _json({**_row(entry), "job": entry.job, "result": result, "log": queue.log(entry)})

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        serving = asyncio.create_task(slots.serve())
        yield
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        queue.close()

    return Starlette(
        routes=[
            Route("/lookup", lookup, methods=["POST"]),
            Route("/jobs", submit, methods=["POST"]),
            Route("/jobs", listing, methods=["GET"]),
            Route("/jobs/{id}", show, methods=["GET"]),
            Route("/jobs/{id}/input", spool, methods=["PUT"]),
            Route("/watch", watch, methods=["POST"]),
            Route("/withdraw", withdraw, methods=["POST"]),
            Route("/remove", remove, methods=["POST"]),
        ],
        middleware=[Middleware(BearerToken, token=token)],
        exception_handlers={HTTPException: _refusal},
        lifespan=lifespan,
    )


def _admit(job: Description, slots: int) -> None:
    """Refuse what this pool can never run, as a schedd's requirements would."""
    if job.image is not None:
        raise HTTPException(422, f"{job.function} needs a container image, and the process pool runs none")
    if job.resources.gpus:
        raise HTTPException(422, f"{job.function} needs GPUs, and the process pool has none")
    if job.resources.cpus > slots:
        raise HTTPException(422, f"{job.function} needs {job.resources.cpus} cpus, the pool has {slots} slots")


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "key": entry.job.key,
        "function": entry.job.function,
        "version": entry.job.version,
        "state": entry.state,
        "since": entry.since,
        "starts": entry.starts,
        "exit": entry.exit,
    }


async def _body(request: Request, model: type[T], decode: Any = msgspec.json.decode) -> T:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY:
            raise HTTPException(413, f"the body is larger than {MAX_BODY} bytes")
    try:
        return decode(content, type=model)  # type: ignore[no-any-return]
    except msgspec.DecodeError as error:
        raise HTTPException(400, str(error)) from None


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)
