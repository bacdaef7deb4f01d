"""What a web action's result becomes: an HTTP answer, by its extension (WebActions.scala, resultAs...)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from faasctl.local.openwhisk.bodies import is_base64
from faasctl.local.openwhisk.errors import PROPERTY_NOT_FOUND, ApiError, bad_request
from faasctl.local.openwhisk.http import JSON, TEXT, Header, Reply

Json = Any
HTML = "text/html"
SVG = "image/svg+xml"
EXTENSIONS = (".http", ".json", ".html", ".svg", ".text")
"""The first one is meant when there is none."""
CONTENT_TYPE_ERROR = "Response type in header did not match generated content type."
UNKNOWN_CONTENT_TYPE = "Response did not specify a known content-type."
OPEN_CHARSET = frozenset(
    f"application/{name}" for name in ("xml", "javascript", "xhtml+xml", "rss+xml", "x-www-form-urlencoded")
)
"""Types outside of text/ that Pekko knows as text, and gives a charset."""
SERVERS_OWN = frozenset({"content-length", "transfer-encoding", "connection", "date", "server"})
EMPTY_STATUS = frozenset({204, 304})


def is_json(kind: str) -> bool:
    return kind == JSON or kind.endswith("+json")


def is_text(kind: str) -> bool:
    """Whether a media type is text in Pekko's book; the others are binary."""
    return kind.startswith("text/") or kind in OPEN_CHARSET or is_json(kind)


def project(extension: str, result: Json, headers: Mapping[str, str]) -> Reply:
    """Raises ApiError when the result is not of the shape that the extension needs."""
    if extension == ".http":
        return _http(result, headers)
    if extension == ".json":
        if not isinstance(result, dict | list):
            raise _invalid(JSON)
        return Reply(200, result, headers=headers, cors=False)
    if extension == ".text":
        return Reply(200, _text(result).encode(), headers=headers, cors=False, content_type=TEXT)
    kind, property_ = (HTML, "html") if extension == ".html" else (SVG, "svg")
    text = result.get("body", result.get(property_)) if isinstance(result, dict) else result
    if not isinstance(text, str):
        raise _invalid(kind)
    content_type = f"{HTML}; charset=UTF-8" if kind == HTML else SVG
    return Reply(200, text.encode(), headers=headers, cors=False, content_type=content_type)


def _invalid(kind: str) -> ApiError:
    return bad_request(f"Response is not valid '{kind}'.")


def _text(result: Json) -> str:
    if isinstance(result, dict):
        if "body" not in result and "text" not in result:
            raise ApiError(404, PROPERTY_NOT_FOUND)
        result = result.get("body", result.get("text"))
    if isinstance(result, str):
        return result
    return _pretty(result)


def _pretty(value: Json, indent: int = 0) -> str:
    """As spray-json's PrettyPrinter writes it."""
    if isinstance(value, dict) and value:
        inner = " " * (indent + 2)
        rows = (f"{inner}{json.dumps(key)}: {_pretty(item, indent + 2)}" for key, item in value.items())
        return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_pretty(item, indent) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


class _BadAnswer(Exception):
    """The result cannot be an HTTP answer."""


def _http(result: Json, headers: Mapping[str, str]) -> Reply:
    try:
        if not isinstance(result, dict):
            raise _BadAnswer
        own = list(_headers(result.get("headers", {})))
        status = _status(result.get("statusCode"))
    except _BadAnswer:
        raise _invalid("message/http") from None
    body = result.get("body")
    kind = next((header.value for header in own if header.name.lower() == "content-type"), None)
    more = tuple(header for header in own if header.name.lower() not in SERVERS_OWN | {"content-type"})
    if body is None or body == "":
        return Reply(status or 204, None, headers=headers, cors=False, more_headers=more)
    content, content_type = _from_text(body, kind) if isinstance(body, str) else _from_json(body, kind)
    status = status or 200
    if status in EMPTY_STATUS:
        return Reply(status, None, headers=headers, cors=False, more_headers=more)
    return Reply(status, content, headers=headers, cors=False, content_type=content_type, more_headers=more)


def _status(value: Json) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _BadAnswer
    try:
        status = int(value)
    except ValueError:
        raise _BadAnswer from None
    if status != float(value) or not 100 <= status <= 999:
        raise _BadAnswer
    return status


def _headers(value: Json) -> Iterator[Header]:
    if not isinstance(value, dict):
        raise _BadAnswer
    for name, content in value.items():
        for item in content if isinstance(content, list) else [content]:
            if item is None or isinstance(item, dict | list):
                raise _BadAnswer
            text = item if isinstance(item, str) else json.dumps(item)
            if not name or any(c in name + text for c in "\r\n\0"):
                raise _BadAnswer
            yield Header(name, text)


def _from_json(body: Json, kind: str | None) -> tuple[bytes, str]:
    media = _media(kind, JSON)
    if media == JSON:
        return msgspec.json.encode(body), JSON
    if media.endswith("+json"):
        return _pretty(body).encode(), f"{media}; charset=UTF-8"
    raise bad_request(CONTENT_TYPE_ERROR)


def _from_text(body: str, kind: str | None) -> tuple[bytes, str]:
    """Text for text types; for all others the body is base64, and so it may be for JSON."""
    media = _media(kind, HTML)
    content_type = f"{media}; charset=UTF-8" if is_text(media) and not is_json(media) else media
    if is_text(media) and not (is_json(media) and is_base64(body)):
        return body.encode(), content_type
    try:
        return base64.b64decode(body, validate=True), content_type
    except (binascii.Error, ValueError):
        raise bad_request(CONTENT_TYPE_ERROR) from None


def _media(kind: str | None, default: str) -> str:
    if kind is None:
        return default
    media = kind.partition(";")[0].strip().lower()
    if media.count("/") != 1 or not all(media.split("/")):
        raise bad_request(UNKNOWN_CONTENT_TYPE)
    return media
