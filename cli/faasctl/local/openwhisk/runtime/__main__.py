"""``python -m faasctl.local.openwhisk.runtime``: one action container on a port, as a runtime image is."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
import tempfile
from pathlib import Path

from faasctl.local import lifeline
from faasctl.local.openwhisk.runtime.container import Container
from faasctl.local.openwhisk.runtime.http import DockerLog, RuntimeApp, writer
from faasctl.local.openwhisk.server import Server

ADDRESS = "127.0.0.1"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m faasctl.local.openwhisk.runtime", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one")
    parser.add_argument("--kind", default="python:3.11")
    options = parser.parse_args()
    lifeline.watch()
    with tempfile.TemporaryDirectory(prefix="openwhisk-") as folder:
        asyncio.run(_serve(folder, options))


async def _serve(folder: str, options: argparse.Namespace) -> None:
    container = Container(
        Path(folder) / "container",
        kind=options.kind,
        environment=os.environ,
        stdout=DockerLog(writer(sys.stdout.buffer)),
        stderr=DockerLog(writer(sys.stderr.buffer)),
    )
    with socket.create_server((ADDRESS, options.port)) as listener:
        server = Server(RuntimeApp(container))
        # stdout is the action's, so that readiness goes to stderr
        print(json.dumps({"ready": True, "port": listener.getsockname()[1]}), file=sys.stderr, flush=True)
        try:
            await server.run_on(listener)
        finally:
            await container.destroy()


if __name__ == "__main__":
    main()
