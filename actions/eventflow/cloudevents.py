"""CloudEvents 1.0 in structured JSON form, for sources other than dCache's billing."""

from __future__ import annotations

import msgspec

from eventflow.errors import ItemError
from eventflow.event import Data, Event, event_id, normal_path


class CloudEvent(msgspec.Struct, frozen=True):
    """The attributes of a CloudEvent that a storage event needs; others are ignored."""

    id: str
    source: str
    type: str
    subject: str
    time: str
    specversion: str
    data: Data = Data()


_decoder = msgspec.json.Decoder(CloudEvent)


def decode(value: bytes | str, instance: str) -> Event:
    """Decode one record's value; ``instance`` is where the topic's events come from.

    The id is made from the source's own (source and id identify a CloudEvent), so that ids of two sources
    cannot meet. Raises `ItemError` (``unparsable``, ``bad_path``).
    """
    try:
        given = _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ItemError(f"no CloudEvent in structured JSON form: {error}", code="unparsable") from None
    if given.specversion != "1.0":
        raise ItemError(f"CloudEvents version {given.specversion[:20]!r}, expected 1.0", code="unparsable")
    path = normal_path(given.subject, where="subject")
    return Event(
        id=event_id("cloudevent", instance, given.source, given.id),
        source=given.source,
        type=given.type,
        subject=path,
        time=given.time,
        data=msgspec.structs.replace(given.data, path=path, instance=instance),
    )
