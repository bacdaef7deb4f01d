"""Moments and durations as Java reads and writes them, to the nanosecond.

dCache hands caveats to ``java.time.Instant.parse`` and macaroon requests to ``java.time.Duration.parse``; what
these accept (``+02:00``, ``24:00:00``, the leap second, years beyond 9999, lower case) differs from what
Python's parsers accept. An instant is an ``int``: nanoseconds since 1970-01-01T00:00:00Z.
"""

from __future__ import annotations

import re

SECOND = 1_000_000_000
DAY = 86_400

# The pieces of an instant in order; the index at which the first missing one should have begun is Java's "at index".
_PIECES = tuple(
    re.compile(piece, re.ASCII | re.IGNORECASE)
    for piece in (
        r"(?:(?P<year>\d{4})(?=\D|$)|(?P<signed>[-+]\d{5,10}|-\d{4}))",
        r"-",
        r"(?P<month>\d\d)",
        r"-",
        r"(?P<day>\d\d)",
        r"T",
        r"(?P<hour>\d\d)",
        r":",
        r"(?P<minute>\d\d)",
        r":",
        r"(?P<second>\d\d)",
        r"(?:\.(?P<fraction>\d{0,9}))?",
        r"(?:(?P<utc>Z)|(?P<sign>[-+])(?P<oh>\d\d):(?P<om>\d\d)(?::(?P<os>\d\d))?)",
    )
)

_DURATION = re.compile(
    r"(?P<negative>[-+]?)P(?:(?P<days>[-+]?\d+)D)?"
    r"(?P<time>T(?:(?P<hours>[-+]?\d+)H)?(?:(?P<minutes>[-+]?\d+)M)?"
    r"(?:(?P<seconds>[-+]?\d+)(?:[.,](?P<fraction>\d{0,9}))?S)?)?",
    re.ASCII | re.IGNORECASE,
)

_LONG_MAX = 2**63 - 1


def parse(text: str) -> int:
    """The instant that ``text`` names. Raises ValueError with Java's message (``Text '...' could not be parsed at
    index 0``).
    """
    fields: dict[str, str] = {}
    position = 0
    for piece in _PIECES:
        found = piece.match(text, position)
        if found is None:
            raise _unparsable(text, position)
        fields.update({name: value for name, value in found.groupdict().items() if value is not None})
        position = found.end()
    if position != len(text):
        raise ValueError(f"Text '{text}' could not be parsed, unparsed text found at index {position}")

    year = int(fields.get("year") or fields["signed"])
    month, day = int(fields["month"]), int(fields["day"])
    hour, minute, second = int(fields["hour"]), int(fields["minute"]), int(fields["second"])
    nanos = int((fields.get("fraction") or "0").ljust(9, "0"))
    midnight_after = (hour, minute, second, nanos) == (24, 0, 0, 0)
    leap_second = (hour, minute, second) == (23, 59, 60)
    if not (1 <= month <= 12 and 1 <= day <= _days_in(year, month)):
        raise _unparsable(text, 0)
    if not (midnight_after or leap_second or (hour < 24 and minute < 60 and second < 60)):
        raise _unparsable(text, 0)

    offset = 0
    if "utc" not in fields:
        if int(fields["om"]) > 59 or int(fields.get("os", "0")) > 59:
            raise _unparsable(text, 0)
        offset = int(fields["oh"]) * 3600 + int(fields["om"]) * 60 + int(fields.get("os", "0"))
        if offset > 18 * 3600:
            raise _unparsable(text, 0)
        offset = -offset if fields["sign"] == "-" else offset
    seconds = _days_since_epoch(year, month, day) * DAY + hour * 3600 + minute * 60 + min(second, 59) - offset
    return seconds * SECOND + nanos


def format(instant: int) -> str:
    """``instant`` as Java prints it: UTC, and no, three, six or nine digits of a second."""
    seconds, nanos = divmod(instant, SECOND)
    days, rest = divmod(seconds, DAY)
    year, month, day = _civil(days)
    text = f"{year:04d}" if 0 <= year <= 9999 else f"{year:+05d}"
    text += f"-{month:02d}-{day:02d}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    if nanos:
        digits = f"{nanos:09d}"
        while digits.endswith("000"):
            digits = digits[:-3]
        text += f".{digits}"
    return f"{text}Z"


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration like ``P1DT2H3M4.5S``; no years, months or weeks. Raises ValueError with Java's
    message.
    """
    found = _DURATION.fullmatch(text)
    parts = found.groupdict() if found else {}
    units = {"days": DAY, "hours": 3600, "minutes": 60, "seconds": 1}
    if not any(parts.get(unit) for unit in units) or (parts["time"] and len(parts["time"]) == 1):
        raise ValueError("Text cannot be parsed to a Duration")
    seconds = sum(int(parts[unit] or 0) * size for unit, size in units.items())
    if abs(seconds) > _LONG_MAX:
        raise ValueError("Text cannot be parsed to a Duration: overflow")
    fraction = int((parts["fraction"] or "0").ljust(9, "0"))
    total = seconds * SECOND + (-fraction if (parts["seconds"] or "").startswith("-") else fraction)
    return -total if parts["negative"] == "-" else total


def format_duration(nanoseconds: int) -> str:
    """A duration as Java prints it: ``PT0.000054621S``, ``PT1M1.5S``, ``PT-0.25S``."""
    sign = "-" if nanoseconds < 0 else ""
    seconds, nanos = divmod(abs(nanoseconds), SECOND)
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    text = (f"{sign}{hours}H" if hours else "") + (f"{sign}{minutes}M" if minutes else "")
    if seconds or nanos or not text:
        text += f"{sign}{seconds}" + (f".{nanos:09d}".rstrip("0") if nanos else "") + "S"
    return f"PT{text}"


def _unparsable(text: str, index: int) -> ValueError:
    return ValueError(f"Text '{text}' could not be parsed at index {index}")


def _days_in(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _days_since_epoch(year: int, month: int, day: int) -> int:
    """Days of the proleptic Gregorian calendar; ``datetime`` ends at the year 9999, dCache's expiries need not."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def _civil(days: int) -> tuple[int, int, int]:
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day
