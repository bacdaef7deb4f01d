"""JSON as Go's encoding/json writes what it has decoded into an ``interface{}``: every number is a float64."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def marshal(value: Any) -> str:
    """Compact, keys sorted, HTML's special characters escaped."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).translate(ESCAPED)
    if isinstance(value, int | float):
        return number(float(value))
    if isinstance(value, dict):
        return "{" + ",".join(f"{marshal(key)}:{marshal(value[key])}" for key in sorted(value)) + "}"
    return "[" + ",".join(map(marshal, value)) + "]"


def number(value: float) -> str:
    """The shortest digits that name it; an exponent only below 1e-6 and from 1e21."""
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    exact = Decimal(repr(value)).normalize()
    if 1e-6 <= abs(value) < 1e21:
        return format(exact, "f")
    exponent = exact.adjusted()
    mantissa = exact.scaleb(-exponent).normalize()
    return f"{mantissa}e+{exponent:02d}" if exponent > 0 else f"{mantissa}e{exponent}"
