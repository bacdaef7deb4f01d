"""`faasctl local`: the whole platform on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import click
import msgspec

from faasctl.commands.local_files import get, put
from faasctl.commands.local_openwhisk import openwhisk
from faasctl.commands.making import choice_options
from faasctl.environment import local_stack_file
from faasctl.local.folder import StackError, named_or_running, running, wait_down
from faasctl.local.parts import Choice
from faasctl.local.stack import Stack
from faasctl.options import output

folder_option = click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="The stack's folder.  [default: a temporary one for `up`, the running one for the others]",
)


@click.group(
    name="local",
    epilog="\b\nExamples:\n  faasctl local up --detach\n  faasctl local put a.csv /demo/in/run1/a.csv\n"
    "  faasctl local down",
)
def command() -> None:
    """Run a broker, an OpenWhisk host, a storage, a pool and the feed on loopback."""


command.add_command(openwhisk)
command.add_command(put)
command.add_command(get)


@command.command(
    epilog="\b\nExamples:\n  faasctl local up\n  faasctl local up --detach --dir ~/faas\n"
    "  faasctl local up --kafka apache --storage xrootd --pool htcondor"
)
@click.option("--detach", is_flag=True, help="Leave it running and return.")
@folder_option
@choice_options
@output
def up(folder: Path | None, choice: Choice, detach: bool, output: str) -> None:
    """Start the stack; Ctrl-C ends it.

    With --dir its files stay for the next start; without, they are gone when it ends. The environment `local` is this
    stack for as long as it runs. Started by root, HTCondor and XRootD run as `nobody`, and keep nothing; so do the
    jobs, which can then read the keys of both.
    """
    if detach:
        _detach(folder, choice, output)
        return
    temporary = None if folder is not None else Path(tempfile.mkdtemp(prefix="faasctl-"))
    place = (folder or temporary or Path()).resolve()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with Stack(place, choice, tell=lambda line: click.echo(line, err=True)) as stack:
            _link(stack.environment_file)
            _show(stack.status, output)
            while not stop.wait(0.2):
                if ended := stack.ended():
                    raise StackError(f"{ended} ended by itself", hint=f"see {place / 'logs' / ended}.log")
    finally:
        _unlink(place / "environment.yaml")
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


@command.command(epilog="\b\nExample:\n  faasctl local down")
@folder_option
def down(folder: Path | None) -> None:
    """End the stack."""
    place = named_or_running(folder)
    os.kill(running(place)["pid"], signal.SIGTERM)
    click.echo("stopping", err=True)
    if place.exists():
        wait_down(place)


@command.command(epilog="\b\nExample:\n  faasctl local status -o json")
@folder_option
@output
def status(folder: Path | None, output: str) -> None:
    """Say where the running stack's parts are."""
    _show(running(named_or_running(folder))["status"], output)


def _detach(folder: Path | None, choice: Choice, output: str) -> None:
    """Run `local up` in a session of its own, and return when it says that it is up."""
    command = [sys.executable, "-m", "faasctl", "local", "up", "--output", "json"]
    for name in choice.__struct_fields__:
        command += [f"--{name}", getattr(choice, name)]
    if folder is not None:
        command += ["--dir", str(folder.resolve())]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
        assert process.stdout is not None
        click.echo("starting the local stack", err=True)
        line = process.stdout.readline()
        if not line:
            process.wait()
            errors.seek(0)
            raise StackError(errors.read().decode(errors="replace").strip().removeprefix("error: "))
    _show(msgspec.json.decode(line), output)


def _show(status: dict[str, dict[str, object]], output: str) -> None:
    if output == "json":
        click.echo(msgspec.json.encode(status).decode())
        return
    storage, kafka = status["storage"], status["kafka"]
    click.echo(f"environment  {status['environment']}")
    click.echo(f"openwhisk    {status['openwhisk']['apihost']}")
    click.echo(f"kafka        {', '.join(map(str, kafka['bootstrap_servers']))}, topic {kafka['topic']}")  # type: ignore[call-overload]
    click.echo(f"storage      {storage['endpoint']} (CA: {storage['ca']})")
    click.echo(f"pool         {status['pool']['kind']}")
    click.echo("\nnext: faasctl deploy --yes && faasctl fn push DIR", err=True)


def _link(environment: Path) -> None:
    """Make this stack the environment `local`."""
    link = local_stack_file()
    link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.symlink_to(environment)
    fresh.replace(link)


def _unlink(environment: Path) -> None:
    link = local_stack_file()
    if link.is_symlink() and link.readlink() == environment:
        link.unlink(missing_ok=True)
