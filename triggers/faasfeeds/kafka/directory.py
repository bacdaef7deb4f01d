"""Registrations as files, for the local stack, whose broker keeps nothing."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import msgspec

from faasfeeds.kafka.registration import Registration


class DirectoryRegistrations:
    """One file of mode 0600 per trigger, replaced atomically."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def get(self, trigger: str) -> Registration | None:
        """One registration."""
        try:
            return msgspec.json.decode(self._file(trigger).read_bytes(), type=Registration)
        except FileNotFoundError:
            return None

    def put(self, registration: Registration) -> None:
        """Add or replace one."""
        descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=".")
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(registration))
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(self._file(registration.trigger))

    def delete(self, trigger: str) -> None:
        """Remove one; a missing one is fine."""
        self._file(trigger).unlink(missing_ok=True)

    def all(self) -> list[Registration]:
        """Every registration, by trigger."""
        found = []
        for file in sorted(self._folder.glob("*.json")):
            try:
                found.append(msgspec.json.decode(file.read_bytes(), type=Registration))
            except FileNotFoundError:  # deleted between the listing and the reading
                continue
        return found

    def close(self) -> None:
        """There is nothing to let go of."""

    def _file(self, trigger: str) -> Path:
        return self._folder / f"{hashlib.sha256(trigger.encode()).hexdigest()[:32]}.json"
