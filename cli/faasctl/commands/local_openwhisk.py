"""``faasctl local openwhisk``: an OpenWhisk host in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from faasctl.local.openwhisk.auth import new_identity, parse_identity
from faasctl.local.openwhisk.serve import serve
from faasctl.local.openwhisk.settings import Settings, kinds_here

USUAL = ("guest", "functions")


@click.command(
    epilog="""\b
Examples:
  faasctl local openwhisk
  faasctl local openwhisk --port 3233 --dir ~/.local/share/faasctl/openwhisk
  faasctl local openwhisk --auth guest=$UUID:$KEY --no-throttle
"""
)
@click.option("--port", type=click.IntRange(0, 65535), default=3233, show_default=True, help="0 takes a free one.")
@click.option(
    "--auth",
    "auths",
    multiple=True,
    metavar="NS=UUID:KEY",
    help="A namespace and its key; may be given several times. Default: guest and functions with random keys.",
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where entities survive a restart. Default: nowhere.",
)
@click.option("--no-throttle", is_flag=True, help="No limits per minute and none for activations in flight.")
def openwhisk(port: int, auths: tuple[str, ...], directory: Path | None, no_throttle: bool) -> None:
    """Run a host that behaves like Apache OpenWhisk, until Ctrl-C.

    It listens on loopback only and isolates nothing: whoever holds a key runs code as you.
    """
    kinds = kinds_here()
    identities = [parse_identity(text) for text in auths] or [new_identity(name) for name in USUAL]

    def ready(actual: int) -> None:
        click.echo(f"OpenWhisk at http://127.0.0.1:{actual}")
        if not auths:
            for identity in identities:
                click.echo(f"  {identity.namespace}: {identity.auth}")

    serve(
        port=port,
        identities=identities,
        directory=directory,
        settings=Settings(kinds=kinds, default_kind=kinds[0], throttled=not no_throttle),
        ready=ready,
    )
