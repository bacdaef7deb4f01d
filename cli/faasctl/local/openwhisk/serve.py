"""The host as a process: a socket, a ready line, and a clean end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop

from eventflow.errors import FaasError
from faasctl.local.openwhisk.app import App
from faasctl.local.openwhisk.auth import Identity
from faasctl.local.openwhisk.host import Host
from faasctl.local.openwhisk.server import Server
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
    try:
        ready(port)
        await Server(App(host)).run_on(listener)
    finally:
        await host.close()
