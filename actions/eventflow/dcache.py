"""dCache's billing records, as its pools and doors put them on Kafka, brought into normal form.

All quirks of dCache's records live here and nowhere else. They are those of the serializers in
`org.dcache.notification` (MoverInfoMessageSerializer, DoorRequestMessageSerializer,
StorageInfoMessageSerializer, RemoveFileInfoMessageSerializer) of dCache 5.2 to 12.0:

- an absent value has no key at all; `status` may lack `msg`; `VERSION` is upper case in door records;
- `isWrite` is the *string* `read` or `write`;
- `transferPath` is the path that was used, `billingPath` may be a constant from a directory tag, so the
  former is preferred; `/`, `Unknown` and `N/A` mean that nobody knew the path (NFS up to 6.1);
- an SRM upload goes to `/upload/...` first; only the door's `request` at putDone has the final path;
- only `status.code` tells a cut upload: its sizes look whole;
- door requests before 6.2, and those of the billing service, carry no direction and are of no use;
- a pool's `remove` is a replica that went, not a file;
- `store` and `restore` are dated when they were queued.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from eventflow.errors import ItemError
from eventflow.event import Data, Event, event_id, normal_path

SUCCESS = 0
UPLOAD_ROOT = "/upload/"


class Filtered(msgspec.Struct, frozen=True):
    """The record is understood and is no event that a function could wait for; ``reason`` is a stable word."""

    reason: str


UNWANTED = Filtered("no_match")
"""An event that fires nothing."""


class Status(msgspec.Struct, frozen=True):
    """`status` of a record; dCache's codes are those of CacheException, 0 is success."""

    code: int = SUCCESS


class Protocol(msgspec.Struct, frozen=True):
    """`protocolInfo` of a transfer."""

    protocol: str = ""


class Mover(msgspec.Struct, frozen=True, rename="camel"):
    """`moverInfo` of a door's request: the transfer that it led to."""

    is_write: str = ""
    is_p2p: bool = msgspec.field(default=False, name="isP2p")
    status: Status = Status()
    protocol_info: Protocol | None = None


class Record(msgspec.Struct, frozen=True, rename="camel"):
    """The fields of a billing record that matter, under dCache's own names in camel case."""

    msg_type: str
    cell_type: str = ""
    date: str = ""
    status: Status = Status()
    session: str = ""
    initiator: str = ""
    transfer_path: str = ""
    billing_path: str = ""
    pnfsid: str = ""
    file_size: int = 0
    storage_info: str = ""
    subject: tuple[str, ...] = ()
    is_write: str = ""
    is_p2p: bool = msgspec.field(default=False, name="isP2p")
    protocol_info: Protocol | None = None
    mover_info: Mover | None = None
    queuing_time: int = 0
    transfer_time: int = 0


_decoder = msgspec.json.Decoder(Record)


def decode(value: bytes | str, instance: str) -> Event | Filtered:
    """Decode one Kafka record's value; ``instance`` names the dCache instance that the topic belongs to.

    Raises `ItemError` when the value is no billing record (``unparsable``), has an unknown ``msgType``
    (``unknown_type``), or names a path that is not in normal form (``bad_path``).
    """
    return normalise(_parse(value), instance)


def decode_wanted(value: bytes | str, instance: str, wanted: Callable[[str, str], bool]) -> Event | Filtered:
    """The same for whoever wants few events: those whose type and path are not ``wanted`` come as filtered
    (``no_match``), at a third of the cost."""
    record = _parse(value)
    sketch = _sketch(record)
    if isinstance(sketch, Filtered):
        return sketch
    return _complete(record, sketch, instance) if wanted(sketch[0], sketch[1]) else UNWANTED


def _parse(value: bytes | str) -> Record:
    try:
        return _decoder.decode(value)
    except msgspec.ValidationError as error:
        raise ItemError(f"no dCache billing record: {error}", code="unparsable") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ItemError(f"not JSON: {error}", code="unparsable") from None
    except RecursionError:
        raise ItemError("nested too deeply", code="unparsable") from None


def normalise(record: Record, instance: str) -> Event | Filtered:
    """Say what a billing record means: an event of one file, or nothing that fires a function."""
    sketch = _sketch(record)
    return sketch if isinstance(sketch, Filtered) else _complete(record, sketch, instance)


Sketch = tuple[str, str, tuple[str, ...], str | None]
"""What a record tells, before it is made an event: type, path, what identifies the change, protocol."""


def _sketch(record: Record) -> Sketch | Filtered:
    kind = record.msg_type
    if kind == "transfer":
        return _transfer(record)
    if kind == "request":
        return _request(record)
    if kind == "remove":
        if record.cell_type != "door":
            return Filtered("replica_removed")
        return _one(record, "storage.removed", record.session)
    if kind == "store":
        return _one(record, "storage.flushed", record.session, unique=record.session)
    if kind == "restore":
        return _one(record, "storage.restored", record.session, unique=record.session)
    if kind in ("hit", "warning"):
        return Filtered(kind)
    raise ItemError(f"unknown msgType {kind[:40]!r}", code="unknown_type")


def _transfer(record: Record) -> Sketch | Filtered:
    if record.is_p2p:
        return Filtered("p2p")
    if record.transfer_path.startswith(UPLOAD_ROOT):
        return Filtered("upload_temporary")
    return _moved(record, record.is_write, record.initiator, record.protocol_info)


def _request(record: Record) -> Sketch | Filtered:
    mover = record.mover_info
    if mover is None:
        if record.status.code == SUCCESS and _is_put_done(record):
            return _one(record, "storage.written", record.session)
        return Filtered("no_direction" if record.status.code == SUCCESS else "failed")
    if mover.status.code != SUCCESS:
        return Filtered("failed")
    if record.transfer_path.startswith(UPLOAD_ROOT):
        return Filtered("upload_temporary")
    return _moved(record, mover.is_write, record.session, mover.protocol_info)


def _is_put_done(record: Record) -> bool:
    """SRM's putDone: the only request without a mover that tells of an upload (dCache 10.1, PR 7546)."""
    return record.transfer_path.startswith(UPLOAD_ROOT) and not record.billing_path.startswith(UPLOAD_ROOT)


def _moved(record: Record, direction: str, session: str, protocol: Protocol | None) -> Sketch | Filtered:
    if direction == "write":
        return _one(record, "storage.written", session, protocol=protocol)
    if direction == "read":
        return _one(record, "storage.read", session, unique=session, protocol=protocol)
    return Filtered("no_direction")


def _one(
    record: Record, kind: str, session: str, *, unique: str = "", protocol: Protocol | None = None
) -> Sketch | Filtered:
    """An event of one file; ``unique`` is what makes two events of one kind on one file two (reads, flushes)."""
    if record.status.code != SUCCESS:
        return Filtered("failed")
    path = _path(record)
    if path is None:
        return Filtered("no_path")
    normal_path(path, where="transferPath")
    identity = (record.pnfsid, kind, unique) if record.pnfsid else (path, kind, session)
    return kind, path, identity, protocol.protocol if protocol else None


def _complete(record: Record, sketch: Sketch, instance: str) -> Event:
    kind, path, identity, protocol = sketch
    return Event(
        id=event_id("dcache", instance, *identity),
        source=f"dcache:{instance}",
        type=kind,
        subject=path,
        time=_time(record),
        data=Data(
            path=path,
            size=record.file_size,
            pnfsid=record.pnfsid or None,
            storage_class=_storage_class(record.storage_info),
            protocol=protocol,
            instance=instance,
            principal=_principal(record.subject),
        ),
    )


def _path(record: Record) -> str | None:
    for path in (record.transfer_path, record.billing_path):
        # not absolute: "Unknown", "N/A", or "[parent:[...]]/name" as NFS doors write it
        if path.startswith("/") and path != "/" and not path.startswith(UPLOAD_ROOT):
            return path
    return None


def _time(record: Record) -> str:
    try:
        date = datetime.fromisoformat(record.date)
    except ValueError:
        raise ItemError(f"the date {record.date[:40]!r} is not ISO 8601", code="unparsable") from None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    try:
        if record.msg_type == "store":
            date += timedelta(milliseconds=record.queuing_time + record.transfer_time)
        return date.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    except OverflowError:
        raise ItemError(f"the date {record.date[:40]!r} is beyond all calendars", code="unparsable") from None


def _storage_class(info: str) -> str | None:
    name = info.rpartition("@")[0]
    return name if name and "<Unknown>" not in name else None


def _is_number(text: str) -> bool:
    """Whether it is an id: other digits than these, and thousands of them, are for `int` to choke on."""
    return text.isascii() and text.isdigit() and len(text) <= 20


_PRINCIPAL = re.compile(r"(\w+)\[(.*)\]$", re.DOTALL)


def _principal(subject: tuple[str, ...]) -> dict[str, Any] | None:
    """The principals' `toString` forms; those that are of no use to a function are left out."""
    found: dict[str, Any] = {}
    gids: list[int] = []
    for text in subject:
        match = _PRINCIPAL.match(text)
        if match is None:
            continue
        kind, value = match.groups()
        if kind == "UidPrincipal" and _is_number(value):
            found["uid"] = int(value)
        elif kind == "GidPrincipal":
            number, _, primary = value.partition(",")
            if _is_number(number):
                gids.insert(0 if primary else len(gids), int(number))
        elif kind == "UserNamePrincipal":
            found["username"] = value
        elif kind == "Origin":
            found["origin"] = value.split(",")
        elif kind == "MacaroonPrincipal":
            found["macaroon_id"] = value.partition(":")[0]
    if gids:
        found["gids"] = list(dict.fromkeys(gids))
    return found or None
