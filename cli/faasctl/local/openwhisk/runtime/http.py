"""One container behind HTTP, as an action image is: POST /init and /run on a port.

``python -m faasctl.local.openwhisk.runtime --port 8080`` stands in for ``docker run -p 8080:8080
openwhisk/action-python-v3.11``: its stdout and stderr are the action's, sentinels included.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, BinaryIO

from faasctl.local.openwhisk.runtime.container import Answer, Code, Container, refusal
from faasctl.local.openwhisk.runtime.go_json import marshal

SENTINEL = b"XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n"
"""Ends each activation's output on both streams (openwhisk-runtime-go, executor.go)."""
Scope = MutableMapping[str, Any]


class BadInit(Exception):
    """The body of /init is refused; carries the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body.decode())
        self.answer = answer


def code_of(body: bytes) -> Code:
    """Decode the body of /init as Go's encoding/json would; raises BadInit (initHandler.go)."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadInit(refusal(400, f"Error unmarshaling request: {error}")) from None
    value = _field(request, "value", dict, {}, "initRequest")
    where = "initBodyRequest.value"
    code = _field(value, "code", str, "", where)
    binary = _field(value, "binary", bool, False, where)
    main = _field(value, "main", str, "", where)
    env = _field(value, "env", dict, {}, where)
    if not code:
        raise BadInit(refusal(403, "Missing main/no code to execute."))
    content = _decoded(code) if binary else code.encode("utf-8", "surrogatepass")
    try:
        texts = {name: value if isinstance(value, str) else marshal(value) for name, value in env.items()}
    except OverflowError:
        raise BadInit(refusal(400, "Error unmarshaling request: a number is no float64")) from None
    return Code(content=content, main=main or "main", env=texts)


def _decoded(text: str) -> bytes:
    stripped = text.replace("\n", "").replace("\r", "")
    try:
        return base64.b64decode(stripped, validate=True)
    except (binascii.Error, ValueError):
        allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        at = next((i for i, c in enumerate(text) if c not in allowed + "\r\n"), len(text))
        raise BadInit(refusal(400, f"cannot decode the request: illegal base64 data at input byte {at}")) from None


def _field(holder: Any, name: str, wanted: type, default: Any, where: str) -> Any:
    """A field by its name in any case, the last one winning; null counts as absent."""
    if holder is None:
        return default
    if not isinstance(holder, dict):
        raise BadInit(refusal(400, f"Error unmarshaling request: {_mismatch(holder, where)}"))
    found = default
    for key, value in holder.items():
        if key.lower() == name and value is not None:
            if not isinstance(value, wanted):
                raise BadInit(
                    refusal(400, f"Error unmarshaling request: {_mismatch(value, f'{where}.{name}', wanted)}")
                )
            found = value
    return found


def _mismatch(value: Any, field: str, wanted: type = dict) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number"}
    go = {str: "string", bool: "bool", dict: "map[string]interface {}"}
    place = f"struct field {field} of type" if "." in field else "value of type"
    return f"json: cannot unmarshal {names.get(type(value), 'null')} into Go {place} {go[wanted]}"


class RuntimeApp:
    """An ASGI application around one container: any method, any header; an unknown path is an empty 200."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._turn = asyncio.Lock()

    async def __call__(
        self,
        scope: Scope,
        receive: Callable[[], Awaitable[Scope]],
        send: Callable[[Scope], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        answer = await asyncio.shield(asyncio.ensure_future(self._answer(scope["path"], bytes(body))))
        headers = [(b"content-length", str(len(answer.body)).encode())]
        if answer.body:
            headers.append((b"content-type", b"application/json"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, path: str, body: bytes) -> Answer:
        async with self._turn:
            if path == "/run":
                return await self._container.run(body)
            if path == "/init":
                try:
                    return await self._container.init(code_of(body))
                except BadInit as refused:
                    return refused.answer
            return Answer(200, b"")


class DockerLog:
    """A stream as docker's log of an action container has it: the action's bytes, and a sentinel after each run."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def write(self, chunk: bytes, /) -> None:
        self._write(chunk)

    def end(self) -> None:
        self._write(SENTINEL)


def writer(stream: BinaryIO) -> Callable[[bytes], None]:
    """Writes and flushes."""

    def write(chunk: bytes) -> None:
        stream.write(chunk)
        stream.flush()

    return write
