"""Who pushes a function, and from which commit: shown with it, and never used to decide anything."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


def pusher(process: Mapping[str, str] = os.environ) -> str:
    """The GitLab user of a CI job, else the user of this machine."""
    if login := process.get("GITLAB_USER_LOGIN"):
        return login
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its uid
        return f"uid {os.getuid()}"


def commit(folder: Path, process: Mapping[str, str] = os.environ) -> str | None:
    """The commit that the folder is at, with ``-dirty`` when it has changes; ``None`` outside of git."""
    if sha := process.get("CI_COMMIT_SHA"):
        return sha
    head = _git(folder, "rev-parse", "HEAD")
    if not head:
        return None
    return f"{head}-dirty" if _git(folder, "status", "--porcelain", "--", ".") else head


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
