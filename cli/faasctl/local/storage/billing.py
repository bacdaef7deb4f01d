"""Billing records as a running dCache 12.0 puts them on Kafka; pure.

Field sets are those of dCache's serializers (``MoverInfoMessageSerializer``, ``DoorRequestMessageSerializer``,
``RemoveFileInfoMessageSerializer`` in ``org.dcache.notification``) as recorded from a running one. An upload or
download is announced twice: by the pool (``transfer``) and by the door (``request``, with the pool's record
inside as ``moverInfo``).
"""

from __future__ import annotations

import base64
import datetime
from typing import Any

import msgspec

from faasctl.local.storage.authn import Login
from faasctl.local.storage.instant import format_duration
from faasctl.local.storage.paths import FsPath

Record = dict[str, Any]

DOMAIN = "storage"
DOOR = "WebDAV"
POOL = "pool"

OK = 0
DEFAULT_ERROR = 666
FILE_NOT_FOUND = 10001
FILE_CORRUPTED = 10004
TIMEOUT = 10006
UNEXPECTED = 10011
RESOURCE = 10017
PERMISSION_DENIED = 10018
FILE_IS_NEW = 10022


class Status(msgspec.Struct, frozen=True):
    """A code of ``diskCacheV111.util.CacheException`` and its text; ``message`` None is left out."""

    code: int = OK
    message: str | None = ""

    def json(self) -> Record:
        return {"code": self.code} | ({} if self.message is None else {"msg": self.message})


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A read or write that came to the door at ``began`` (ns since the epoch). ``path`` is in the namespace.

    ``client_port`` is that of the connection to the door, also when the client is sent to the pool.
    """

    login: Login
    path: FsPath
    pnfsid: str
    storage_class: str
    write: bool
    began: int
    client_port: int

    @property
    def session(self) -> str:
        """The door's name for it, which the pool's record has as ``initiator``."""
        stamp = base64.b64encode(self.began.to_bytes(8)).decode().rstrip("=")
        return f"door:{DOOR}@{DOMAIN}:{stamp}:{self.began // 1_000_000 * 1000}"


class Mover(msgspec.Struct, frozen=True, kw_only=True):
    """What a pool did for a request. Times in ns; ``active`` was spent on reading or writing the disk.

    ``endpoint`` is the server's own address; ``proxied`` is a transfer through the door.
    """

    began: int
    ended: int
    active: int
    transferred: int
    file_size: int
    endpoint: str
    proxied: bool
    status: Status


def transfer(request: Request, mover: Mover) -> Record:
    """The pool's record of an upload or download."""
    return _mover_info(request, mover) | {
        "subject": request.login.principals(),
        "pnfsid": request.pnfsid,
        "billingPath": request.path,
        "fileSize": mover.file_size,
        "storageInfo": f"{request.storage_class}@osm",
        "initiator": request.session,
    }


def finished(request: Request, mover: Mover, *, status: Status | None = None) -> Record:
    """The door's record of an upload or download; ``status`` when the door saw another end than the pool."""
    return _door(
        request.login,
        path=request.path,
        pnfsid=request.pnfsid,
        size=mover.file_size,
        session=request.session,
        now=mover.ended,
        duration=mover.ended - request.began,
        status=status or mover.status,
    ) | {
        "msgType": "request",
        "clientChain": request.login.origin,
        "storageInfo": f"{request.storage_class}@osm",
        "moverInfo": _mover_info(request, mover),
    }


def refused(request: Request, *, size: int, now: int, status: Status, known: bool) -> Record:
    """The door's record of a read that no pool was asked for; ``known`` is whether the door had looked at the
    file's data.
    """
    record = _door(
        request.login,
        path=request.path,
        pnfsid=request.pnfsid,
        size=size,
        session=request.session,
        now=now,
        duration=now - request.began,
        status=status,
    ) | {"msgType": "request", "clientChain": request.login.origin}
    return record | ({"storageInfo": f"{request.storage_class}@osm"} if known else {})


def removed_by_door(login: Login, *, path: FsPath, pnfsid: str, size: int, now: int, serial: int) -> Record:
    """The door's record of a deleted file."""
    session = f"door:{DOOR}@{DOMAIN}:{now // 1_000_000}-{serial}"
    return _door(login, path=path, pnfsid=pnfsid, size=size, session=session, now=now, duration=0, status=Status()) | {
        "msgType": "remove",
        "clientChain": "unknown",
    }


def removed_by_pool(*, pnfsid: str, size: int, storage_class: str, now: int, serial: int, why: str) -> Record:
    """The pool's record of deleted data; its status is 0, and its message says why."""
    session = _pool_session(now, serial)
    return {
        "version": "1.0",
        "msgType": "remove",
        "date": date(now),
        "queuingTime": 0,
        "cellName": POOL,
        "cellType": "pool",
        "cellDomain": DOMAIN,
        "status": Status(OK, why).json(),
        "session": session,
        "transaction": session,
        "subject": ["UidPrincipal[0]", "GidPrincipal[0,primary]"],
        "pnfsid": pnfsid,
        "billingPath": "Unknown",
        "fileSize": size,
        "storageInfo": f"{storage_class}@osm",
    }


def date(nanoseconds: int) -> str:
    """A moment to the ms as Java's ISO_OFFSET_DATE_TIME in UTC: without the zeros at its end."""
    moment = datetime.datetime.fromtimestamp(nanoseconds // 1_000_000_000, datetime.UTC)
    fraction = f".{nanoseconds // 1_000_000 % 1000:03d}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _mover_info(request: Request, mover: Mover) -> Record:
    record = {
        "version": "1.0",
        "msgType": "transfer",
        "date": date(mover.ended),
        "queuingTime": 0,
        "cellName": POOL,
        "cellType": "pool",
        "cellDomain": DOMAIN,
        "status": mover.status.json(),
        "session": _pool_session(mover.ended, mover.began % 1_000_000),
        "transferSize": mover.transferred,
        "transferTime": (mover.ended - mover.began) // 1_000_000,
        "isWrite": "write" if request.write else "read",
        "isP2p": False,
        "transferPath": request.path,
        "localEndpoint": mover.endpoint,
        "protocolInfo": {
            "protocol": "Http" if mover.proxied else "Https",
            "versionMajor": 1,
            "versionMinor": 1,
            "host": request.login.origin,
            "port": 0 if mover.proxied else request.client_port,
            "transferTag": "",
        },
    }
    if mover.transferred:
        kind = "write" if request.write else "read"
        record[f"mean{kind.capitalize()}Bandwidth"] = mover.transferred / max(mover.active, 1) * 1e9
        record[f"{kind}Active"] = format_duration(mover.active)
        record[f"{kind}Idle"] = format_duration(mover.ended - mover.began - mover.active)
    return record


def _door(
    login: Login, *, path: FsPath, pnfsid: str, size: int, session: str, now: int, duration: int, status: Status
) -> Record:
    return {
        "VERSION": "1.0",
        "date": date(now),
        "queuingTime": 0,
        "cellName": DOOR,
        "cellType": "door",
        "cellDomain": DOMAIN,
        "status": status.json(),
        "session": session,
        "sessionDuration": duration // 1_000_000,
        "transferPath": path,
        "subject": login.principals(),
        "client": login.origin,
        "mappedUID": login.uid,
        "mappedGID": login.gids[0],
        "owner": login.username,
        "pnfsid": pnfsid,
        "billingPath": path,
        "fileSize": size,
    }


def _pool_session(now: int, serial: int) -> str:
    return f"pool:{POOL}@{DOMAIN}:{now // 1_000_000}-{serial}"
