"""`python -m faasctl.local.pool`: the process pool as one process on the loopback address."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import click
import uvicorn

from eventflow.exactly_once import STAGING_TIME
from faasctl.local import lifeline
from faasctl.local.pool.queue import Queue
from faasctl.local.pool.server import application
from faasctl.local.pool.slots import Slots


class Server(uvicorn.Server):
    """Says on stdout that it listens, in one line of JSON."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        click.echo(json.dumps({"ready": True, "port": port, "url": f"http://127.0.0.1:{port}"}))


@click.command()
@click.option("--dir", "directory", type=click.Path(path_type=Path), required=True, help="Where the queue is kept.")
@click.option("--port", default=0, show_default=True, help="Port on 127.0.0.1; 0 takes a free one.")
@click.option("--slots", default=os.cpu_count() or 1, show_default="cores", help="Cores to hand out.")
@click.option("--token-file", type=click.Path(path_type=Path, exists=True), required=True, help="The bearer token.")
@click.option("--name", default="local", show_default=True, help="The pool's name, as a schedd has one.")
@click.option("--staging-time", default=STAGING_TIME, show_default=True, help="Seconds added to each runtime limit.")
def command(directory: Path, port: int, slots: int, token_file: Path, name: str, staging_time: float) -> None:
    """Run jobs as processes on this machine, for tests and laptops.

    This is no isolation: every job runs under your account and can read the others' files.
    """
    lifeline.watch()
    os.umask(0o077)
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    queue = Queue(directory, name)
    app = application(queue, Slots(queue, directory, slots, staging_time), token_file.read_text().strip())
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
    Server(config).run()


if __name__ == "__main__":
    command()
