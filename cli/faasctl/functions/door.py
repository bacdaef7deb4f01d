"""A storage's door made of files of this machine, for trying a function out.

Run as a program it is the job's own runner, in the sandbox that is its working directory, with one thing replaced:
where the runner would ask a storage over HTTPS, it gets the same answers from ``places.json``, which says which
local file each path is and which folder takes the output. What the function prints is in ``stdout`` and ``stderr``.
"""

from __future__ import annotations

import io
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any

from eventflow.job import runner

PLACES = "places.json"
ENDPOINT = "https://this-machine.invalid"


class _Connection:
    """What an answer closes when it has been read."""

    def close(self) -> None:
        return None


class LocalGrant(runner.Grant):
    """Answers as a dCache door does: 404, 200 with length and adler32, 201."""

    files: dict[str, Path]
    output: tuple[str, Path] | None

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> runner.Answer:
        if method == "PROPFIND":  # not every storage can be asked about tape
            return _answer(405, "Method Not Allowed")
        file = self._local(path)
        if file is None or not file.is_file():
            return _answer(404, "Not Found")
        if method == "DELETE":
            file.unlink()
            return _answer(204, "No Content")
        return _answer(200, "OK", file, with_body=method == "GET")

    def put(self, path: str, source: Callable[[], Iterator[bytes]], size: int) -> runner.Answer:
        file = self._local(path)
        if file is None:
            return _answer(403, "Forbidden")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as target:
            for chunk in source():
                target.write(chunk)
        return _answer(201, "Created", file)

    def _local(self, path: str) -> Path | None:
        if self.output is not None and path.startswith(self.output[0]):
            return self.output[1] / path.removeprefix(self.output[0])
        return self.files.get(path)


class LoggedWork(runner.Work):
    """Leaves what the function printed in the sandbox, also where there is no output directory to put it beside."""

    def run(self) -> dict[str, Any]:
        record = super().run()
        for name, content in self.logs.items():
            Path(name).write_bytes(content)
        return record


def _answer(status: int, reason: str, file: Path | None = None, *, with_body: bool = False) -> runner.Answer:
    headers = Message()
    body: Any = io.BytesIO()
    if file is not None:
        headers["Content-Length"] = str(file.stat().st_size)
        headers["Digest"] = f"adler32={_adler32(file):08x}"
        body = file.open("rb") if with_body else body
    return runner.Answer(_Connection(), status, reason, headers, body, 0)


def _adler32(file: Path) -> int:
    value = 1
    with file.open("rb") as source:
        while chunk := source.read(1 << 20):
            value = zlib.adler32(chunk, value)
    return value


def main() -> int:
    """Run the job in the working directory; its exit code."""
    places = json.loads(Path(PLACES).read_text(encoding="utf-8"))
    Path(PLACES).unlink()
    LocalGrant.files = {path: Path(file) for path, file in places["files"].items()}
    output = places["output"]
    LocalGrant.output = (output["path"], Path(output["folder"])) if output else None
    runner.Grant = LocalGrant  # type: ignore[misc]
    runner.Work = LoggedWork  # type: ignore[misc]
    return runner.main()


if __name__ == "__main__":
    sys.exit(main())
