"""``python -m faasctl.local.storage``: run the storage until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

import click
import uvicorn

from eventflow.errors import FaasError
from faasctl.local import lifeline
from faasctl.local.storage import app, certificates, config
from faasctl.local.storage.namespace import Namespace
from faasctl.local.storage.protocol import ReasonPhrases
from faasctl.local.storage.records import KafkaTopic, RecordFile, RecordSink
from faasctl.local.storage.replies import SERVER
from faasctl.local.storage.service import Service


class Announcing(uvicorn.Server):
    """A server that does the service's chores and says on stdout, in one line of JSON, that it listens."""

    def __init__(self, settings: uvicorn.Config, service: Service, greeting: dict[str, object]) -> None:
        super().__init__(settings)
        self._service = service
        self._greeting = greeting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._chores = asyncio.create_task(app.chores(self._service))
        await super().startup(sockets)
        print(json.dumps(self._greeting), flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._chores.cancel()
        await super().shutdown(sockets)


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where everything is kept.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="JSON with users and directories; mode 0600.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="The door's port; 0 takes a free one."
)
@click.option(
    "--pool-port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="The pool's port; 0 takes a free one.",
)
@click.option(
    "--bootstrap-servers",
    default="none",
    show_default=True,
    help="Kafka for the billing records; 'none' writes them to records.jsonl.",
)
@click.option("--topic", default="billing", show_default=True, help="The topic of the billing records.")
def main(directory: Path, config_file: Path, port: int, pool_port: int, bootstrap_servers: str, topic: str) -> None:
    """A dCache-like WebDAV storage on this machine.

    Example: python -m faasctl.local.storage --dir /tmp/storage --config storage.json --port 2880
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s storage: %(message)s")
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    lifeline.watch()
    try:
        settings = config.load(config_file)
    except FaasError as error:
        raise click.ClickException(f"{error}{f' ({error.hint})' if error.hint else ''}") from None
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca, certificate = certificates.ensure(directory)
    door, pool = _listen(port), _listen(pool_port)
    sink: RecordSink = (
        RecordFile(directory / "records.jsonl") if bootstrap_servers == "none" else KafkaTopic(bootstrap_servers, topic)
    )
    namespace = Namespace(directory)
    namespace.prepare(settings.directories)
    service = Service(
        config=settings,
        secret=certificates.macaroon_secret(directory),
        namespace=namespace,
        sink=sink,
        door_port=door.getsockname()[1],
        pool_port=pool.getsockname()[1],
    )
    # uvicorn stops at the first signal and raises it again when it has stopped: then this ends the process cleanly
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    greeting = {
        "ready": True,
        "port": service.door_port,
        "pool_port": service.pool_port,
        "endpoint": service.endpoint,
        "ca": str(ca.resolve()),
    }
    server = Announcing(
        uvicorn.Config(
            app.application(service),
            http=ReasonPhrases,
            ws="none",
            lifespan="off",
            ssl_certfile=certificate,
            log_config=None,
            access_log=False,
            server_header=False,
            headers=[("Server", SERVER)],
            timeout_keep_alive=30,
            timeout_graceful_shutdown=1,
        ),
        service,
        greeting,
    )
    try:
        server.run([door, pool])
    finally:
        service.close()


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port), backlog=512)
    except OSError as error:
        raise click.ClickException(f"port {port}: {error.strerror}") from None


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
