"""Entities by their full name, in memory and, when a directory is given, in a file that survives the host."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from faasctl.local.openwhisk.entities import Action, Entity, Package, Rule, Trigger
from faasctl.local.openwhisk.errors import conflict, not_found
from faasctl.local.openwhisk.names import FullName

E = TypeVar("E", Action, Package, Trigger, Rule)
FILE = "entities.sqlite"
"""Holds parameters in the clear, which may be secrets: readable by its owner only."""


class Store:
    """All four collections share one space of names, as OpenWhisk's document store does.

    Every method is one step of the event loop, so writers never see each other's halves.
    """

    def __init__(self, directory: Path | None = None) -> None:
        """Reads what an earlier host left in ``directory``, which is made when it does not exist."""
        self._entities: dict[str, Entity] = {}
        self._database: sqlite3.Connection | None = None
        self._encoder = msgspec.msgpack.Encoder()
        if directory is not None:
            self._open(directory)

    def find(self, kind: type[E], name: FullName) -> E | None:
        """None when there is none of that name; raises ApiError 409 when it is of another collection."""
        entity = self._entities.get(str(name))
        if entity is None:
            return None
        if not isinstance(entity, kind):
            raise conflict()
        return entity

    def get(self, kind: type[E], name: FullName) -> E:
        """Raises ApiError 404 or 409."""
        entity = self.find(kind, name)
        if entity is None:
            raise not_found()
        return entity

    def put(self, entity: E) -> E:
        """Keep it, with the time of this update."""
        entity = msgspec.structs.replace(entity, updated=int(time.time() * 1000))
        self._entities.pop(str(entity.full_name), None)  # the newest of its millisecond, too
        self._keep(entity)
        return entity

    def link(self, trigger: Trigger) -> None:
        """Keep what a rule changed in its trigger; that is no update of the trigger."""
        self._keep(trigger)

    def delete(self, entity: Entity) -> None:
        del self._entities[str(entity.full_name)]
        if self._database is not None:
            self._database.execute("DELETE FROM entities WHERE name = ?", (str(entity.full_name),))

    def list(self, kind: type[E], path: str, *, within: bool) -> list[E]:
        """Those directly in ``path``, or (``within``) in its packages as well; the newest first."""

        def belongs(entity: Entity) -> bool:
            return entity.path == path or (within and entity.path.startswith(f"{path}/"))

        found = [e for e in self._newest_first() if isinstance(e, kind) and belongs(e)]
        return sorted(found, key=_updated, reverse=True)

    def close(self) -> None:
        if self._database is not None:
            self._database.close()

    def _keep(self, entity: Entity) -> None:
        name = str(entity.full_name)
        self._entities[name] = entity
        if self._database is not None:
            content = self._encoder.encode(entity)
            self._database.execute("INSERT OR REPLACE INTO entities VALUES (?, ?)", (name, content))

    def _newest_first(self) -> Iterator[Entity]:
        return reversed(self._entities.values())

    def _open(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = directory / FILE
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        path.chmod(0o600)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute("CREATE TABLE IF NOT EXISTS entities (name TEXT PRIMARY KEY, content BLOB)")
        decode = msgspec.msgpack.Decoder(Entity).decode
        rows = self._database.execute("SELECT content FROM entities").fetchall()
        entities: list[Entity] = sorted((decode(content) for (content,) in rows), key=_updated)
        self._entities = {str(entity.full_name): entity for entity in entities}


def _updated(entity: Entity) -> int:
    return entity.updated
