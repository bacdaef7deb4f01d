"""`faasctl demo`: the whole idea in one command."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click
import msgspec
import requests
from rich.console import Console
from rich.table import Table

from eventflow.clients.openwhisk import OpenWhisk
from eventflow.errors import FaasError, UsageError
from faasctl import bundle, environment
from faasctl.commands.making import choice_options
from faasctl.functions.file import load
from faasctl.journey import Journey, clock, example_path, follow, pipeline
from faasctl.local.parts import Choice
from faasctl.local.stack import Stack
from faasctl.main import cli
from faasctl.options import output
from faasctl.watching import watched

SEQUENCE = "faas/process"
PATIENCE_S = 120.0
SAMPLE = "channel,counts\n" + "".join(f"{channel},{100 + 7 * channel % 50}\n" for channel in range(64))

T = TypeVar("T")


@click.command(
    name="demo",
    epilog="\b\nExamples:\n  faasctl demo\n  faasctl demo --file run7.csv\n"
    "  faasctl demo --file data.csv.xz --function manifests/functions/uncompress -o json\n"
    "  faasctl demo --kafka apache --storage xrootd --pool htcondor",
)
@click.option("--file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Write this file.")
@click.option(
    "--function",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Register this function instead of `calibrate`.",
)
@choice_options
@output
def command(file: Path | None, folder: Path | None, choice: Choice, output: str) -> None:
    """Start everything on this machine, write one file, and follow it until its output is in the storage.

    A broker, an OpenWhisk host, a storage, a pool and the feed start in a temporary folder; the platform is deployed,
    a function registered, a file written over HTTPS. Nothing stays behind.
    """
    if folder is not None and file is None:
        raise UsageError("--function needs a file that fires it", hint="add --file PATH")
    source = folder or bundle.manifests() / "functions" / "calibrate"
    with (
        tempfile.TemporaryDirectory(prefix="faasctl-demo-") as temporary,
        Stack(Path(temporary), choice, tell=_tell) as stack,
    ):
        journey = _run(stack, source, file)
    if output == "json":
        click.echo(msgspec.json.encode(journey).decode())
    else:
        _print(journey)
    if journey.job["exit"] != 0:
        raise FaasError(f"the job ended with exit code {journey.job['exit']}: {journey.job['reason']}")


def _run(stack: Stack, source: Path, file: Path | None) -> Journey:
    function = load(source)
    env = environment.load(stack.environment_file)
    content = file.read_bytes() if file is not None else SAMPLE.encode()
    path = example_path(function, file.name if file is not None else "detector.csv")
    _faasctl("deploy", "--yes", env=stack)
    _faasctl("fn", "push", str(source), env=stack)
    _tell(f"PUT {path} ({len(content)} bytes)")
    begin = time.time() * 1000
    _put(stack.status["storage"], path, content)
    written = time.time() * 1000
    platform = env.openwhisk.platform
    client = OpenWhisk(env.openwhisk.apihost, platform.auth.reveal(), namespace=platform.namespace)
    _tell("waiting for its job")
    sequence = _wait(lambda: pipeline(client, SEQUENCE, path, int(begin)), f"the event of {path}")
    storage = stack.status["storage"]
    return follow(
        client,
        watched(env, stack.status["pool"].get("event_log")),
        sequence,
        written_ms=written,
        read=lambda path: _get(storage, path),
        wait=_wait,
    )


def _put(storage: dict[str, Any], path: str, content: bytes) -> None:
    """What any user would do with curl."""
    answer = requests.put(
        storage["endpoint"] + quote(path),
        data=content,
        headers={"Authorization": f"Bearer {storage['token']}"},
        verify=storage["ca"],
        timeout=60,
    )
    if answer.status_code not in (200, 201):  # XRootD answers 200
        raise FaasError(f"the storage did not take the file: HTTP {answer.status_code} {answer.reason}", where=path)


def _get(storage: dict[str, Any], path: str) -> bytes | None:
    """A file of the storage; None when it is not there."""
    headers = {"Authorization": f"Bearer {storage['token']}"}
    answer = requests.get(storage["endpoint"] + quote(path), headers=headers, verify=storage["ca"], timeout=60)
    return answer.content if answer.status_code == 200 else None


def _faasctl(*words: str, env: Stack) -> None:
    """Run a command as a user would, saying which; what it prints is shown only when it fails."""
    _tell(f"faasctl {' '.join(words)}")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        cli.main([*words, "--env-file", str(env.environment_file)], prog_name="faasctl", standalone_mode=False)


def _wait(look: Callable[[], T | None], what: str) -> T:
    end = time.monotonic() + PATIENCE_S
    while (found := look()) is None:
        if time.monotonic() > end:
            raise FaasError(f"{what} did not come within {PATIENCE_S:.0f} s")
        time.sleep(0.02)
    return found


def _tell(line: str) -> None:
    click.echo(click.style("> ", fg="cyan") + line, err=True)


def _print(journey: Journey) -> None:
    console = Console()
    steps = Table("time (UTC)", "step", "took", "", box=None, header_style="bold")
    for step in journey.steps:
        steps.add_row(clock(step.at), step.name, "" if step.took is None else f"{step.took:.0f} ms", step.note)
    console.print(steps)
    job = journey.job
    console.print(f"\njob     {job['id']} of {job['function']} {job['version']}: {job['state']}, exit {job['exit']}")
    console.print(f"event   {journey.event['id']}")
    for one in journey.output:
        console.print(f"output  {one.path}  {one.size} bytes  adler32 {one.adler32}", soft_wrap=True)
    times = journey.timings_ms
    console.print(f"\nevent to queue {times['event_to_queue']} ms, queue to output {times['queue_to_output']} ms")
