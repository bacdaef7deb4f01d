"""Who may use the storage and what directories it begins with: a JSON file that only its owner can read.

The file holds passwords, which is why there is no option for them: a command line stands in the process list.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from eventflow.errors import FaasError
from faasctl.local.storage.paths import normal

DEFAULT_STORAGE_CLASS = "local:default"


class ConfigError(FaasError):
    """The configuration cannot be used."""


class User(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account. ``gids`` begins with the primary group; uid 0 may do anything, as root does."""

    name: str
    password: str
    uid: int
    gids: tuple[int, ...]
    read_only: bool = False

    def __repr__(self) -> str:
        return f"User({self.name})"


class Directory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A directory made at the start unless it is there. ``mode`` is octal; what is made inside inherits it and
    ``storage_class``.
    """

    path: str
    uid: int
    gid: int
    mode: str = "775"
    storage_class: str = DEFAULT_STORAGE_CLASS


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Users and directories, and how patient the storage is.

    ``redirects`` False makes a door that proxies reads and writes instead of sending clients to the pool;
    ``redirect_timeout`` is how long (s) a pool waits for a redirected client; ``cleaner_interval`` (s) is how
    often data of removed files is deleted and announced.
    """

    users: tuple[User, ...]
    directories: tuple[Directory, ...] = ()
    redirects: bool = True
    redirect_timeout: float = 300.0
    cleaner_interval: float = 10.0


def load(path: Path) -> Config:
    """The configuration in ``path``. Raises ConfigError."""
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError("others can read this file of passwords", where=str(path), hint=f"chmod 600 {path}")
        config = msgspec.json.decode(path.read_bytes(), type=Config)
    except OSError as error:
        raise ConfigError(error.strerror or "unreadable", where=str(path)) from None
    except msgspec.DecodeError as error:
        raise ConfigError(str(error), where=str(path)) from None
    for user in config.users:
        if not user.name or ":" in user.name or not user.password or not user.gids:
            raise ConfigError("a user needs a name without ':', a password and a gid", where=str(path))
    for directory in config.directories:
        if normal(directory.path) != directory.path:
            raise ConfigError(f"{directory.path!r} is no path in normal form", where=str(path))
    return config
