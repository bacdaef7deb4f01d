"""Packages from npm, unmodified, in a folder that no commit sees."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path

from tests.parts.debian import CACHE, missing

FOLDER = CACHE / "npm"


OPENWHISK = {"openwhisk": "3.21.9"}
AIO = {"@adobe/aio-cli-plugin-runtime": "7.1.0"}


def clients() -> Path:
    """The folder with every client that the tests use."""
    return packages(**OPENWHISK, **AIO)


def packages(**versions: str) -> Path:
    """The folder in which node finds the packages; skips, or fails, when they cannot be had."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            missing(f"{program} is not installed")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (CACHE / "npm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes want it at once
        absent = [f"{name}@{version}" for name, version in versions.items() if _version(name) != version]
        if absent:
            options = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(FOLDER)]
            done = subprocess.run(["npm", "install", *options, *absent], capture_output=True, text=True, timeout=300)
            if done.returncode:
                missing(f"npm install {' '.join(absent)}: {done.stderr.strip()[-300:]}")
    return FOLDER


def _version(name: str) -> str | None:
    try:
        manifest = json.loads((FOLDER / "node_modules" / name / "package.json").read_text())
    except OSError:
        return None
    return str(manifest["version"])
