"""Records that are put aside with all that is needed to go on with them: parked ones and dead letters. Pure.

The value is the original's; the headers are the original's and, after them, what was the matter. An original that is
too large for the topic is kept as its place, its hash and its beginning.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from eventflow.batch import Failure, Message, Origin, job_key
from eventflow.errors import FaasError
from faasfeeds.kafka.flight import Rule

KEPT_BYTES = 65_536
"""What is kept of an original that is too large."""

SETTINGS = {"cleanup.policy": "delete", "retention.ms": str(90 * 86_400_000), "max.message.bytes": str(16 * 2**20)}
"""Settings of the topics of letters when they are made."""

Headers = list[tuple[str, bytes]]


class BadLetter(FaasError):
    """A record on one of the platform's own topics that is none of its letters."""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was put aside.

    ``functions`` are those that it still has to go to, empty for all; ``cut`` the SHA-256 of the whole value when
    only its beginning was kept. ``redriven`` says that a person sends it again, or the watcher for a job
    that waited longer than its tokens live; ``times`` how often it was parked.
    """

    trigger: str
    message: Message
    rule: Rule | None = None
    functions: tuple[str, ...] = ()
    id: str | None = None
    code: str = ""
    stage: str = ""
    why: str = ""
    destination: str = ""
    cut: str = ""
    redriven: bool = False
    times: int = 0

    @property
    def key(self) -> str:
        """The job key of the function that it failed for, else the record's place: what Kafka's key is."""
        if self.id and len(self.functions) == 1:
            return job_key(self.id, self.functions[0], self.message.run)
        return str(self.message.origin)


def letter(
    message: Message, first: Failure, *, trigger: str, rule: Rule | None, functions: Iterable[str] = (), times: int = 0
) -> Letter:
    """The letter of a message, and why it is put aside."""
    return Letter(
        trigger=trigger,
        message=message,
        rule=rule,
        functions=tuple(functions),
        id=first.id,
        code=first.code,
        stage=first.stage,
        why=first.message,
        destination=first.destination or "",
        times=times,
    )


def encode(one: Letter) -> tuple[bytes | None, Headers]:
    """Value and headers of the record."""
    message = one.message
    facts = {
        "faastrigger": one.trigger,
        "faasorigin": str(message.origin),
        "faastimestamp": str(message.timestamp),
        "faasattempts": str(message.attempt),
        "faasfunction": ",".join(one.functions),
        "faaserrorcode": one.code,
        "faaserrorstage": one.stage,
        "faaserrordata": one.why,
        "faaserrordest": one.destination,
    }
    optional = {
        "faasrule": one.rule and f"{one.rule.name} {one.rule.action}",
        "faaskey": message.key,
        "faasid": one.id,
        "faascut": one.cut,
        "faasredriven": "1" if one.redriven else None,
        "faasparked": str(one.times) if one.times else None,
        "faasrun": str(message.run) if message.run else None,
    }
    facts |= {name: text for name, text in optional.items() if text}
    original = [(name, text.encode(errors="surrogateescape")) for name, text in message.headers or ()]
    return _value(message), [*original, *((name, text.encode(errors="replace")) for name, text in facts.items())]


def shortened(one: Letter) -> Letter:
    """The letter with no more of its original than its beginning and its hash."""
    value = _value(one.message) or b""
    message = msgspec.structs.replace(
        one.message,
        value=None,
        value_b64=base64.b64encode(value[:KEPT_BYTES]).decode(),
        headers=None,
        key=(one.message.key or "")[:1024] or None,
    )
    return msgspec.structs.replace(one, message=message, cut=f"sha256:{hashlib.sha256(value).hexdigest()}")


def decode(record: Any) -> Letter:
    """The letter that a record of Kafka holds; raises `BadLetter`."""
    names = set(_NAMES)
    facts = {name: (value or b"").decode(errors="replace") for name, value in record.headers or () if name in names}
    original = [(name, (value or b"").decode(errors="replace")) for name, value in record.headers if name not in names]
    try:
        topic, partition, offset = facts["faasorigin"].rsplit("/", 2)
        rule = facts.get("faasrule", "").split(" ")
        functions = tuple(name for name in facts["faasfunction"].split(",") if name)
        text, encoded = texts(record.value)
        message = Message(
            topic=topic,
            partition=int(partition),
            offset=int(offset),
            timestamp=int(facts["faastimestamp"]),
            key=facts.get("faaskey"),
            value=text,
            value_b64=encoded,
            headers=original or None,
            attempt=int(facts["faasattempts"]),
            only=functions or None,
            run=int(facts.get("faasrun", "0")),
        )
        return Letter(
            trigger=facts["faastrigger"],
            message=message,
            rule=Rule(rule[0], rule[1]) if len(rule) == 2 else None,
            functions=functions,
            id=facts.get("faasid"),
            code=facts["faaserrorcode"],
            stage=facts["faaserrorstage"],
            why=facts["faaserrordata"],
            destination=facts["faaserrordest"],
            cut=facts.get("faascut", ""),
            redriven="faasredriven" in facts,
            times=int(facts.get("faasparked", "0")),
        )
    except (KeyError, ValueError) as error:
        place = Origin(topic=record.topic, partition=record.partition, offset=record.offset)
        raise BadLetter(f"is no letter of the feed's: {error}", where=str(place)) from None


def texts(value: bytes | None) -> tuple[str | None, str | None]:
    """A value as text when it is UTF-8, as base64 when it is not; a tombstone is neither."""
    if value is None:
        return None, None
    try:
        return value.decode(), None
    except UnicodeDecodeError:
        return None, base64.b64encode(value).decode()


def _value(message: Message) -> bytes | None:
    if message.value is not None:
        return message.value.encode()
    return base64.b64decode(message.value_b64) if message.value_b64 is not None else None


_NAMES = (
    *("faastrigger", "faasorigin", "faastimestamp", "faasattempts", "faasfunction", "faasrule", "faaskey", "faasid"),
    *("faaserrorcode", "faaserrorstage", "faaserrordata", "faaserrordest", "faascut", "faasredriven", "faasparked"),
    "faasrun",
)
