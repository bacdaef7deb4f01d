"""A server seen from far away: each of its answers comes later by a round trip.

`python -m tests.parts.slow --to PORT --delay 0.02` listens on a free port of loopback and prints it as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def delayed(url: str, seconds: float) -> Iterator[str]:
    """The URL of a way to ``url`` (http, on loopback) on which each answer takes ``seconds`` longer."""
    port = url.rpartition(":")[2].rstrip("/")
    command = [sys.executable, "-m", "tests.parts.slow", "--to", port, "--delay", str(seconds)]
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        finally:
            process.terminate()
            process.wait(timeout=10)


async def _serve(to: int, delay: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to)
        await asyncio.gather(_pass_on(reader, far_writer, 0), _pass_on(far_reader, writer, delay))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            await asyncio.sleep(delay)
            writer.write(data)
            await writer.drain()
        writer.write_eof()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--to", type=int, required=True)
    parser.add_argument("--delay", type=float, required=True)
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(given.to, given.delay))
