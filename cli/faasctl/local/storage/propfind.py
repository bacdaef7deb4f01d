"""PROPFIND and PROPPATCH: what a client asks for, and the answer in milton's XML. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from faasctl.local.storage.namespace import Entry
from faasctl.local.storage.paths import ROOT, name
from faasctl.local.storage.replies import http_date, url_path

_DAV = "DAV:"
_DCACHE = "http://www.dcache.org/2013/webdav"
_SRM = "http://srm.lbl.gov/StorageResourceManager"

_HEAD = (
    f'<?xml version="1.0" encoding="utf-8" ?>\n<d:multistatus xmlns:d="DAV:" xmlns:ns1="{_SRM}" xmlns:ns2="{_DCACHE}">'
)
_PREFIXES = {_DAV: "d", _SRM: "ns1", _DCACHE: "ns2"}

Property = tuple[str, str]

DEFAULT: tuple[Property, ...] = (
    (_DAV, "resourcetype"),
    (_DAV, "getcontentlength"),
    (_DAV, "getetag"),
    (_DAV, "displayname"),
    (_DAV, "getcontenttype"),
    (_DAV, "getlastmodified"),
    (_DAV, "creationdate"),
)


def wanted(body: bytes) -> tuple[Property, ...]:
    """The properties asked for; ``allprop``, and what cannot be read, means the usual ones."""
    return _named(body, f"{{{_DAV}}}prop") or DEFAULT


def patched(body: bytes) -> tuple[Property, ...]:
    """The properties that a client wants to set or remove."""
    return _named(body, f"*/{{{_DAV}}}prop")


def answer(entries: Sequence[tuple[str, Entry]], properties: Sequence[Property]) -> bytes:
    """A multistatus of ``entries``, each with the path that the client calls it by."""
    responses = (
        _response(path, entry, properties, {wanted: _value(entry, wanted) for wanted in properties})
        for path, entry in entries
    )
    return f"{_HEAD}{''.join(responses)}</d:multistatus>".encode()


def unchanged(path: str, entry: Entry, properties: Sequence[Property]) -> bytes:
    """A multistatus that says of each of ``properties`` that there is none to be changed."""
    return f"{_HEAD}{_response(path, entry, properties, {})}</d:multistatus>".encode()


def _named(body: bytes, where: str) -> tuple[Property, ...]:
    if b"<!" in body:
        return ()
    try:
        # without a document type there is nothing to expand
        root = ElementTree.fromstring(body)  # noqa: S314
    except ElementTree.ParseError:
        return ()
    return tuple(_split(element.tag) for found in root.findall(where) for element in found)


def _response(path: str, entry: Entry, properties: Sequence[Property], values: Mapping[Property, str | None]) -> str:
    known = {wanted: text for wanted in properties if (text := values.get(wanted)) is not None}
    unknown = [wanted for wanted in properties if wanted not in known]
    href = url_path(path if not entry.directory or path.endswith("/") else f"{path}/")
    text = f"<d:response><d:href>{escape(href)}</d:href>"
    if known:
        inner = "".join(_element(wanted, value) for wanted, value in known.items())
        text += f"<d:propstat><d:prop>{inner}</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>"
    if unknown:
        inner = "".join(_element(wanted, "") for wanted in unknown)
        text += f"<d:propstat><d:prop>{inner}</d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>"
    return f"{text}</d:response>"


def _value(entry: Entry, wanted: Property) -> str | None:
    complete = not entry.directory and entry.size is not None
    match wanted:
        case (namespace, "resourcetype") if namespace == _DAV and entry.directory:
            return "<d:collection/>"
        case (namespace, "getcontentlength") if namespace == _DAV and complete:
            return str(entry.size)
        case (namespace, "getetag") if namespace == _DAV:
            return escape(entry.etag)
        case (namespace, "displayname") if namespace == _DAV and entry.path != ROOT:
            return escape(name(entry.path))
        case (namespace, "getcontenttype") if namespace == _DAV and entry.directory:
            return "text/html; charset=utf-8"
        case (namespace, "getlastmodified") if namespace == _DAV:
            return http_date(entry.modified)
        case (namespace, "creationdate") if namespace == _DAV:
            created = datetime.datetime.fromtimestamp(entry.created // 1000, datetime.UTC)
            return f"{created:%Y-%m-%dT%H:%M:%SZ}"
        case (namespace, "Checksums") if namespace == _DCACHE and not entry.directory:
            return f"adler32={entry.adler32}" if entry.adler32 else ""
        case (namespace, "FileLocality") if namespace == _SRM and not entry.directory:
            return "ONLINE" if complete else "NONE"
        case (namespace, "AccessLatency") if namespace == _SRM and not entry.directory:
            return "ONLINE"
        case (namespace, "RetentionPolicy") if namespace == _SRM and not entry.directory:
            return "REPLICA"
    return None


def _element(wanted: Property, value: str) -> str:
    namespace, local = wanted
    prefix = _PREFIXES.get(namespace)
    if prefix is None:
        return f'<{local} xmlns="{escape(namespace, {chr(34): "&quot;"})}">{value}</{local}>'
    return f"<{prefix}:{local}>{value}</{prefix}:{local}>" if value else f"<{prefix}:{local}/>"


def _split(tag: str) -> Property:
    namespace, _, local = tag.rpartition("}")
    return namespace.removeprefix("{"), local
