"""The log of a service: lines for people, or one JSON object a line for machines; and no secret in either.

A call that is about something names it with ``extra=``: the fields in `FIELDS` become keys of the JSON object.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from base64 import b64encode
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Literal
from urllib.parse import quote

from faasfeeds.outcomes import utc

log = logging.getLogger(__name__)

Format = Literal["text", "json"]

FIELDS = ("trigger", "event", "function", "topic", "schedd", "job", "code")
"""What a call may say that it is about."""

HIDDEN = "[secret]"
SHORTEST = 6
"""Characters that a secret must have to be looked for; a shorter one would hide half of every line."""

TOKENS = re.compile(
    r"""
    \b(?:MDA|AgE)[A-Za-z0-9_-]{40,}=*                              # a macaroon, of version 1 or 2
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*    # a JWT
    | \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}:[A-Za-z0-9_-]{32,}   # a key of OpenWhisk
    | (?<=\bBearer\ )[^\s"'\\]{6,} | (?<=\bBasic\ )[A-Za-z0-9+/_-]{6,}=*  # any other, as HTTP carries it
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----(?:.|\n)*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|$)
    """,
    re.VERBOSE,
)
"""What is a secret by its looks, whoever it belongs to."""


class Blot:
    """Hides secrets in texts: those it was told, in the forms in which they travel, and all that look like one."""

    def __init__(self) -> None:
        self._known: re.Pattern[str] | None = None

    def hide(self, secrets: Iterable[str]) -> None:
        """Hide these from now on, instead of those of before."""
        parts = {part for secret in secrets for part in (secret, *secret.split())}  # two keys may be in force
        forms = {form for part in parts for form in _forms(part) if len(form) >= SHORTEST}
        longest_first = sorted(forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        return TOKENS.sub(HIDDEN, text)


class TextLines(logging.Formatter):
    """A line for people: time, level, logger, message; a traceback follows on lines of its own."""

    def __init__(self, blot: Blot) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")
        self._blot = blot

    def format(self, record: logging.LogRecord) -> str:
        """The line, without secrets."""
        return self._blot(super().format(record))


class JsonLines(logging.Formatter):
    """One JSON object: ``time`` (RFC 3339), ``level``, ``logger``, ``message``, what it is about, and ``error``, which
    is a traceback."""

    def __init__(self, blot: Blot) -> None:
        super().__init__()
        self._blot = blot

    def format(self, record: logging.LogRecord) -> str:
        """The object, without secrets."""
        found: dict[str, Any] = {
            "time": utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._blot(record.getMessage()),
        }
        about = vars(record)
        found |= {name: self._blot(str(about[name])) for name in FIELDS if about.get(name) is not None}
        if record.exc_info:
            found["error"] = self._blot(self.formatException(record.exc_info))
        return json.dumps(found, ensure_ascii=False)


def start(form: Format) -> Blot:
    """Let everything be logged to stderr, also what nobody caught; returns what hides secrets, to be told those of the
    environment."""
    blot = Blot()
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(blot) if form == "json" else TextLines(blot))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    client = logging.getLogger("kafka")  # what matters of it, the services say themselves
    client.setLevel(logging.WARNING)
    client.propagate = False
    client.addHandler(logging.NullHandler())
    return blot


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is not None and not issubclass(kind, SystemExit):
        log.critical("thread %s ended by an error", threading.current_thread().name, exc_info=(kind, error, trace))


def _forms(secret: str) -> Iterable[str]:
    """A secret as it stands, in a URL, in JSON, in a repr, and as HTTP's Basic carries it; of a pair, its parts."""
    user, colon, password = secret.partition(":")
    yield from (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1])
    if colon:
        yield from (password, b64encode(secret.encode()).decode())
        if len(user) >= 32:  # an OpenWhisk key's first half is as secret as the second
            yield user
