"""The host as a process: a socket, a ready line, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import uvicorn
import uvloop

from eventflow.errors import FaasError
from faasctl.local.openwhisk.app import App
from faasctl.local.openwhisk.auth import Identity
from faasctl.local.openwhisk.host import Host
from faasctl.local.openwhisk.settings import Settings

ADDRESS = "127.0.0.1"


def serve(
    *,
    port: int,
    identities: Sequence[Identity],
    directory: Path | None,
    settings: Settings,
    ready: Callable[[int], None],
) -> None:
    """Serve on loopback until SIGTERM or SIGINT. ``port`` 0 takes a free one; ``ready`` is called with it.

    Raises FaasError when the port is taken.
    """
    try:
        listener = socket.create_server((ADDRESS, port), backlog=1024)
    except OSError as error:
        raise FaasError(
            f"cannot listen: {error.strerror}", where=f"{ADDRESS}:{port}", hint="choose another --port, or 0"
        ) from None
    with listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(listener, identities, directory, settings, ready))


async def _serve(
    listener: socket.socket,
    identities: Sequence[Identity],
    directory: Path | None,
    settings: Settings,
    ready: Callable[[int], None],
) -> None:
    host = Host(settings, identities, directory)
    port = listener.getsockname()[1]
    host.invoker.api_host = f"http://{ADDRESS}:{port}"
    config = uvicorn.Config(
        App(host),
        http="httptools",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
    try:
        ready(port)
        await server.serve(sockets=[listener])
    finally:
        await host.close()


class _Server(uvicorn.Server):
    """uvicorn's own handlers raise the signal once more when all is done, before the containers are gone."""

    def stop(self) -> None:
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
