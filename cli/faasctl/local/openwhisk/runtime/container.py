"""One action container: initialised once, then run again and again, one request at a time.

Plays openwhisk-runtime-go's proxy (openwhisk/{actionProxy,initHandler,runHandler}.go, release 1.23@1.25.0) and
the Python runtime's compile script; the texts and codes are theirs.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from faasctl.local.openwhisk.runtime.process import ActionExited, ActionProcess
from faasctl.local.openwhisk.runtime.unpack import BadCode, arrange, is_compiled, unpack

CHECKED = b"checked\n"
"""What the launcher says when the code could be compiled; anything else is why not."""
PROXY_VERSION = "1.17.1"
STARTER = Path(__file__).with_name("starter.py")
LAUNCHER = Path(__file__).with_name("launcher.py.txt").read_text()
"""Apache's own, openwhisk-runtime-python 9a873ec."""
INTERPRETER = getattr(sys, "_base_executable", "") or sys.executable
"""Outside of any virtual environment: an action must bring its packages along, as it must in production."""
COMPILERS_FOLDER = "/usr/local/bin"
OFF_LOOP = 128 * 1024
"""Bytes of code from which unpacking goes to a thread."""

NOT_BUILT = "The action failed to generate or locate a binary. See logs for details."
NOT_STARTED = "Cannot start action. Check logs for details."
TWICE = "Cannot initialize the action more than once."
OBJECT_OR_ARRAY = msgspec.json.Decoder(list[msgspec.Raw] | dict[str, msgspec.Raw])
NOT_JSON = "The action did not return a dictionary or array."


class Answer(NamedTuple):
    """What the proxy answers: an HTTP status and a JSON line."""

    status: int
    body: bytes


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """What an action container is initialised with; ``env`` as the proxy marshals it, all text."""

    content: bytes
    main: str = "main"
    env: Mapping[str, str] = {}


def refusal(status: int, text: str) -> Answer:
    """The proxy's own errors: compact JSON and a newline (runHandler.go, sendError)."""
    return Answer(status, json.dumps({"error": text}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


class Output(Protocol):
    """Where one stream of a container goes."""

    def write(self, chunk: bytes, /) -> None: ...

    def end(self) -> None:
        """What comes now belongs to the next activation."""


class Container:
    """A folder and, once initialised, a process. Whoever holds it must send one request at a time."""

    def __init__(
        self,
        folder: Path,
        *,
        kind: str,
        environment: Mapping[str, str],
        stdout: Output,
        stderr: Output,
    ) -> None:
        """``folder`` is the container's own; ``stdout`` and ``stderr`` get what its action writes.

        Of the container's ``environment`` the action sees what begins with ``__OW_``, cut at the next ``=``.
        """
        self._folder = folder
        self._image = image_of(kind)
        self._stdout = stdout
        self._stderr = stderr
        self._number = 0
        self._initialised = False
        self._killed = False
        self._process: ActionProcess | None = None
        inherited = {name: v.partition("=")[0] for name, v in environment.items() if name.startswith("__OW_")}
        self._environment = {
            "__OW_EXECUTION_ENV": self._image,
            "__OW_PROXY_VERSION": PROXY_VERSION,
            "__OW_WAIT_FOR_ACK": "1",
            **inherited,
        }

    @property
    def pid(self) -> int | None:
        """The action's process, if there is one and it lives."""
        return self._process.pid if self.alive and self._process else None

    @property
    def alive(self) -> bool:
        return self._process is not None and not self._process.exited.is_set()

    async def init(self, code: Code) -> Answer:
        """Unpack, check and start the action; a failed attempt may be repeated, its environment stays."""
        if self._initialised:
            self._stderr.write(f"{time.strftime('%Y/%m/%d %H:%M:%S')} {TWICE}\n".encode())
            return refusal(403, TWICE)
        self._environment.update((name, value) for name, value in code.env.items() if name)
        self._number += 1
        binaries = self._folder / "action" / str(self._number) / "bin"
        try:
            if len(code.content) < OFF_LOOP:
                compiled = self._build(code, binaries)
            else:
                compiled = await asyncio.to_thread(self._build, code, binaries)
        except BadCode as error:
            return self._fail(NOT_BUILT, str(error))
        return await self._start(binaries, compiled=compiled)

    async def run(self, body: bytes) -> Answer:
        """Send one activation to the action; the body is passed on as it is, without its newlines."""
        process = self._process
        if process is None:
            return refusal(500, "no action defined yet")
        if process.exited.is_set():
            return refusal(500, "command exited")
        try:
            line = await process.ask(body.replace(b"\n", b""))
        except ActionExited:
            self._end_of_output()
            self._process = None
            await process.close()
            return refusal(400, "command exited")
        self._end_of_output()
        return Answer(200, line) if is_object_or_array(line) else refusal(502, NOT_JSON)

    def kill(self) -> None:
        """Kill the action in the middle of what it does; the container is good for nothing afterwards."""
        self._killed = True
        if self._process is not None:
            self._process.kill()

    async def destroy(self) -> None:
        """Kill the action and all that it left, and remove its folder."""
        self.kill()
        process, self._process = self._process, None
        if process is not None:
            await process.close()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def _build(self, code: Code, binaries: Path) -> bool:
        unpack(code.content, binaries)
        if is_compiled(binaries):
            return True
        if any("\0" in name + value for name, value in self._environment.items()):
            raise BadCode("exec: environment variable contains NUL")
        self._check_path()
        arrange(binaries)
        launcher = LAUNCHER.replace("from main__ import main as main", f"from main__ import {code.main} as main")
        (binaries / "exec__.py").write_text(launcher)
        (binaries / "exec").write_text("#!/bin/bash\nexec /usr/local/bin/python exec__.py\n")
        (binaries / "exec").chmod(0o755)
        (binaries / "exec.env").write_text(self._environment["__OW_EXECUTION_ENV"])
        return False

    def _check_path(self) -> None:
        """The compile script is found through PATH, too: a parameter of that name makes it fail, as it would there."""
        folders = self._environment.get("PATH", COMPILERS_FOLDER).split(":")
        if COMPILERS_FOLDER not in folders:
            if {"/usr/bin", "/bin"}.isdisjoint(folders):
                raise BadCode("/usr/bin/env: 'python3': No such file or directory\n")
            raise BadCode("ModuleNotFoundError: No module named 'virtualenv'\n")

    async def _start(self, binaries: Path, *, compiled: bool) -> Answer:
        try:
            expected = (binaries / "exec.env").read_text().strip()
        except OSError:
            number = binaries.parent.name
            return self._fail(NOT_STARTED, f"open ./action/{number}/bin/exec.env: no such file or directory")
        if expected != self._image:
            self._stdout.write(f"Expected exec.env should start with {self._image}\nActual value: {expected}".encode())
            return self._fail(NOT_STARTED, "Execution environment version mismatch. See logs for details.")
        environment = {
            **self._environment,
            "__OW_WAIT_FOR_ACK": "1",
            "OLDPWD": "/",
            "PWD": str(binaries),
            "SHLVL": "0",
            "PYTHONIOENCODING": "UTF-8",
        }
        argv = [INTERPRETER, "-s", str(STARTER), "compiled" if compiled else "source"]
        try:
            process = ActionProcess(
                argv, directory=binaries, environment=environment, stdout=self._stdout.write, stderr=self._stderr.write
            )
        except (OSError, ValueError):
            return self._fail(NOT_STARTED, "command exited")
        self._process = process
        if self._killed:
            process.kill()
        failed = await self._handshake(process, compiled=compiled)
        if failed is not None:
            self._process = None
            await process.close()
            return self._fail(*failed)
        self._initialised = True
        return Answer(200, b'{"ok":true}\n')

    async def _handshake(self, process: ActionProcess, *, compiled: bool) -> tuple[str, str] | None:
        """None when the action is ready, else the error and what the log says of it."""
        try:
            if not compiled:
                verdict = await process.line()
                if verdict != CHECKED:
                    await process.exited.wait()
                    return NOT_BUILT, (verdict + process.rest()).decode(errors="replace")
            why = bad_ack(await process.line())
            return (NOT_STARTED, why) if why else None
        except ActionExited:
            refused = process.rest().decode(errors="replace")
            if refused:
                return NOT_BUILT, refused
            return NOT_STARTED, "Command exited abruptly during initialization."

    def _fail(self, text: str, log: str) -> Answer:
        self._stderr.write(log.encode() + b"\n")
        self._end_of_output()
        return refusal(502, text)

    def _end_of_output(self) -> None:
        self._stdout.end()
        self._stderr.end()


def image_of(kind: str) -> str:
    """``python:3.11`` -> ``openwhisk/action-python-v3.11``, the OW_EXECUTION_ENV of Apache's images."""
    return f"openwhisk/action-{kind.replace(':', '-v')}"


def is_object_or_array(line: bytes) -> bool:
    """What Go's json.Unmarshal takes for a map or a slice: also null, never NaN."""
    text = line.strip(b" \t\r\n")
    if text == b"null":
        return True
    if not text.startswith((b"{", b"[")):
        return False
    try:
        OBJECT_OR_ARRAY.decode(text)
        return True
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # Go is milder: numbers of any size, lone surrogates, bytes that are no UTF-8
    try:
        json.loads(text.decode(errors="replace"), parse_constant=_refuse_constant)
        return True
    except (ValueError, RecursionError):
        return False


def bad_ack(line: bytes) -> str:
    """Why the launcher's first line is no acknowledgement; empty when it is one (executor.go, Start)."""
    try:
        ack: Any = json.loads(line)
    except ValueError:
        return "invalid character looking for beginning of value"
    if not isinstance(ack, dict) or ack.get("ok") is not True:
        return "The action did not initialize properly."
    return ""


def _refuse_constant(name: str) -> None:
    raise ValueError(name)
