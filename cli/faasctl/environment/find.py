"""Where an environment's file is: named, in the project, the user's, the machine's, running here, or bundled."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from eventflow.errors import FaasError
from faasctl import bundle

LOCAL = "local"


class NoEnvironment(FaasError):
    """There is no environment of that name."""

    exit_code = 64


def xdg(variable: str, fallback: str) -> Path:
    """faasctl's folder below one of the XDG base directories, e.g. ``xdg("XDG_CACHE_HOME", ".cache")``."""
    base = os.environ.get(variable, "")
    return (Path(base) if base.startswith("/") else Path.home() / fallback) / "faasctl"


def local_stack_file() -> Path:
    """Where ``faasctl local up`` writes the environment file of the stack that runs here, while it runs."""
    return xdg("XDG_STATE_HOME", ".local/state") / "local.yaml"


def bundled(name: str) -> Path:
    """Where an environment is that comes with faasctl."""
    return bundle.manifests() / "environments" / f"{name}.yaml"


def folders() -> Iterator[Path]:
    """The folders with environment files, the nearest first."""
    yield Path("environments")
    yield xdg("XDG_CONFIG_HOME", ".config") / "environments"
    yield Path("/etc/faasctl/environments")


def find(name: str) -> Path:
    """The file of the environment ``name``; raises `NoEnvironment` with the names there are.

    The running local stack comes after the folders, so that a file of one's own wins, and before the bundled
    ``local``, which describes a stack on fixed ports.
    """
    if "/" in name or name.endswith((".yaml", ".yml")):
        raise NoEnvironment(f"{name!r} is a file, not a name", hint=f"use --env-file {name}")
    candidates = [folder / f"{name}.yaml" for folder in folders()]
    if name == LOCAL:
        candidates.append(local_stack_file())
    candidates.append(bundled(name))
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    known = ", ".join(sorted(names())) or "none"
    raise NoEnvironment(
        f"no environment {name!r}; there is: {known}",
        hint=f"faasctl init {name} writes one to start from; looked for " + ", ".join(map(str, candidates)),
    )


def names() -> set[str]:
    """The names of all environments that can be found."""
    files = [file for folder in folders() for file in folder.glob("*.yaml")]
    files += (bundle.manifests() / "environments").glob("*.yaml")
    running = {LOCAL} if local_stack_file().is_file() else set()
    return {file.stem for file in files} | running
