"""`faasctl local put` and `get`: files in and out of the local storage, with the token that `local status` shows."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import requests

from eventflow.errors import FaasError
from eventflow.event import normal_path
from faasctl.local.folder import named_or_running, running

TIMEOUT = (5.0, 300.0)


@click.command(epilog="\b\nExample:\n  faasctl local put run7.csv /demo/in/run7/run7.csv")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("path")
def put(file: Path, path: str) -> None:
    """Write FILE to PATH in the running stack's storage, as its user `demo`: an event like any other."""
    with file.open("rb") as content:
        answer = _ask("PUT", path, content)
    if answer.status_code not in (200, 201):  # XRootD answers 200
        raise FaasError(f"the storage did not take it: HTTP {answer.status_code} {answer.reason}", where=path)
    click.echo(f"wrote {path} ({file.stat().st_size} bytes)", err=True)


@click.command(
    epilog="\b\nExamples:\n  faasctl local get /demo/out/run7/run7.csv.d/summary.json\n"
    "  faasctl local get /demo/out/run7/run7.csv.d/calibrated.csv here.csv"
)
@click.argument("path")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
def get(path: str, file: Path | None) -> None:
    """Read PATH from the running stack's storage into FILE, or to standard output."""
    answer = _ask("GET", path)
    if answer.status_code != 200:
        raise FaasError(f"the storage did not give it: HTTP {answer.status_code} {answer.reason}", where=path)
    answer.raw.decode_content = True
    if file is None:
        shutil.copyfileobj(answer.raw, sys.stdout.buffer)
        return
    with file.open("wb") as target:
        shutil.copyfileobj(answer.raw, target)


def _ask(method: str, path: str, body: Any = None) -> requests.Response:
    storage = running(named_or_running(None))["status"]["storage"]
    session = requests.Session()
    session.trust_env = False
    session.verify = storage["ca"]
    session.headers["Authorization"] = f"Bearer {storage['token']}"
    url = storage["endpoint"] + quote(normal_path(path))
    try:
        return session.request(method, url, data=body, timeout=TIMEOUT, stream=True)
    except requests.exceptions.RequestException as error:
        raise FaasError(f"no answer ({type(error).__name__})", where=storage["endpoint"]) from None
