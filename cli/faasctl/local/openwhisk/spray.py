"""JSON in, with the words that the controller's parser (spray-json, JsonParser.scala) finds for what is wrong.

Clients show these texts to people, and the recorded exchanges hold them, so they are worth a small parser of their
own; it runs only when the fast one has already refused a text.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec

from faasctl.local.openwhisk.errors import ApiError, malformed_content
from faasctl.local.openwhisk.http import JSON, Call

DEEPEST = 1000
"""Nesting allowed (spray-json, JsonParserSettings.maxDepth)."""
ESCAPES = frozenset('"/\\bfnrt')
SPACE = " \n\r\t\f"


def decode(text: bytes) -> Any:
    """Any JSON value; raises ApiError 400 with spray's text."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    source = text.decode(errors="replace")
    try:
        Grammar(source).check()
        return json.loads(source)
    except _Unexpected as error:
        raise malformed_content(str(error)) from None
    except (ValueError, RecursionError):
        raise malformed_content("JSON input nested too deeply") from None


def body(call: Call) -> Any:
    """The body of a request that must be JSON; raises ApiError 400 or 415."""
    kind = (call.header("content-type") or "").partition(";")[0].strip().lower()
    if kind != JSON and (kind or call.body):
        raise ApiError(
            415,
            f"The request's Content-Type [{kind or 'application/octet-stream'}] is not supported. Expected:\n{JSON}",
            rejected=True,
        )
    return decode(call.body)


def optional_object(call: Call) -> dict[str, Any]:
    """The arguments of an invocation: an object, or nothing at all."""
    if not call.body:
        return {}
    value = body(call)
    if not isinstance(value, dict):
        raise malformed_content("JSON object expected")
    return value


class _Unexpected(Exception):
    pass


class Grammar:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    @property
    def here(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def check(self) -> None:
        self.space()
        self.value(DEEPEST)
        if self.here:
            self.fail("end-of-input")

    def fail(self, wanted: str, at: int | None = None) -> NoReturn:
        found = self.here
        at = self.at if at is None else at
        start = self.text.rfind("\n", 0, at) + 1
        end = self.text.find("\n", at)
        line = self.text[start : end if end >= 0 else len(self.text)]
        what = f"character '{_visible(found)}'" if found else "end-of-input"
        number = self.text.count("\n", 0, at) + 1
        column = at - start + 1
        pointed = "".join("?" if _is_control(c) else c for c in line)
        raise _Unexpected(
            f"Unexpected {what} at input index {at} (line {number}, position {column}), expected {wanted}:"
            f"\n{pointed}\n{' ' * (column - 1)}^\n"
        )

    def space(self) -> None:
        while self.here and self.here in SPACE:
            self.at += 1

    def took(self, character: str) -> bool:
        if self.here != character:
            return False
        self.at += 1
        return True

    def require(self, character: str) -> None:
        if not self.took(character):
            self.fail(f"'{character}'")

    def value(self, depth: int) -> None:
        if depth == 0:
            raise RecursionError
        mark = self.at
        if self.here in ("f", "n", "t"):
            for character in {"f": "false", "n": "null", "t": "true"}[self.here]:
                if not self.took(character):
                    self.fail("JSON Value", mark)
            self.space()
        elif self.here == "{":
            self.object(depth)
        elif self.here == "[":
            self.array(depth)
        elif self.here and self.here in "-0123456789":
            self.number()
        elif self.here == '"':
            self.string()
        else:
            self.fail("JSON Value")

    def object(self, depth: int) -> None:
        self.at += 1
        self.space()
        if not self.took("}"):
            while True:
                self.string()
                self.require(":")
                self.space()
                self.value(depth - 1)
                if not self.took(","):
                    break
                self.space()
            self.require("}")
        self.space()

    def array(self, depth: int) -> None:
        self.at += 1
        self.space()
        if not self.took("]"):
            while True:
                self.value(depth - 1)
                if not self.took(","):
                    break
                self.space()
            self.require("]")
        self.space()

    def number(self) -> None:
        self.took("-")
        if not self.took("0"):
            self.digits()
        if self.took("."):
            self.digits()
        if self.took("e") or self.took("E"):
            if not self.took("-"):
                self.took("+")
            self.digits()
        self.space()

    def digits(self) -> None:
        if not self.here.isdecimal():
            self.fail("DIGIT")
        while self.here.isdecimal():
            self.at += 1

    def string(self) -> None:
        self.require('"')
        while self.here and self.here != '"' and self.here >= " ":
            if self.took("\\"):
                self.escape()
            else:
                self.at += 1
        self.require('"')
        self.space()

    def escape(self) -> None:
        if self.took("u"):
            for _ in range(4):
                if not self.here or self.here not in "0123456789abcdefABCDEF":
                    self.fail("hex digit")
                self.at += 1
        elif self.here in ESCAPES:
            self.at += 1
        else:
            self.fail("JSON escape sequence")


def _is_control(character: str) -> bool:
    return ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0


def _visible(character: str) -> str:
    return f"\\u{ord(character):04x}" if _is_control(character) else character
