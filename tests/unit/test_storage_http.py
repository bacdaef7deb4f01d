"""Headers, ranges and property requests, as the embedded storage reads them."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest

from faasctl.local.storage import digests, propfind
from faasctl.local.storage.digests import Checksums
from faasctl.local.storage.transfers import byte_range


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        (None, 100, None),
        ("bytes=0-", 100, (0, 100)),
        ("bytes=10-19", 100, (10, 10)),
        ("bytes=90-200", 100, (90, 10)),
        ("bytes=-10", 100, (90, 10)),
        ("bytes=-200", 100, (0, 100)),
        ("bytes=0-0", 1, (0, 1)),
        ("bytes=1-2,5-6", 100, None),  # several ranges may be answered with the whole
        ("bytes=-", 100, None),
        ("lines=1-2", 100, None),
    ],
)
def test_ranges_are_read_as_by_rfc_9110(header: str | None, size: int, expected: tuple[int, int] | None) -> None:
    assert byte_range(header, size) == expected


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=100-", 100), ("bytes=5-2", 100), ("bytes=-0", 100), ("bytes=0-", 0)]
)
def test_a_range_without_bytes_is_refused(header: str, size: int) -> None:
    with pytest.raises(ValueError, match="no such bytes"):
        byte_range(header, size)


def test_a_digest_is_chosen_by_preference() -> None:
    # given the checksums of an upload that asked for MD5, and of a file long there
    data = b"hello dcache event\n"
    running = Checksums(frozenset({"md5"}))
    running.update(data[:5])
    running.update(data[5:])
    uploaded, kept = running.values(), {"adler32": running.values()["adler32"]}
    md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
    adler32 = f"{zlib.adler32(data):08x}"

    # then the answer is the best of what the client wants and the storage knows
    for header, checksums, expected in (
        ("adler32", uploaded, f"adler32={adler32}"),
        ("ADLER32, MD5;q=0.5", uploaded, f"adler32={adler32}"),
        ("adler32;q=0.3, md5;q=0.5", uploaded, f"md5={md5}"),
        ("md5, adler32;q=0.1", kept, f"adler32={adler32}"),
        ("md5", kept, None),
        ("sha-1", uploaded, None),
        ("adler32;q=0", uploaded, None),
        ("", uploaded, None),
    ):
        assert digests.answer({"want-digest": header}, checksums).get("Digest") == expected, header


def test_a_representation_digest_is_another_header() -> None:
    headers = {"want-repr-digest": "adler=5, md5=3, sha-256=9"}
    running = Checksums(digests.wanted(headers))
    running.update(b"x")
    answer = digests.answer(headers, running.values())
    assert answer == {"Repr-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(b'x').digest()).decode()}:"}


@pytest.mark.parametrize("text", ["zzz", "", "5tgqDFMIZbUa1oqtOvNDQg", "aGVsbG8="])
def test_a_content_md5_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no "):
        digests.content_md5(text)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<D:propfind xmlns:D='DAV:'><D:allprop/></D:propfind>",
        b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]><D:propfind xmlns:D='DAV:'><D:prop>&a;</D:prop></D:propfind>",
    ],
)
def test_what_asks_for_nothing_in_particular_gets_the_usual(body: bytes) -> None:
    assert propfind.wanted(body) == propfind.DEFAULT


def test_properties_are_named_by_namespace() -> None:
    body = b"<p:propfind xmlns:p='DAV:'><p:prop><p:getetag/><x:a xmlns:x='http://x/'/></p:prop></p:propfind>"
    assert propfind.wanted(body) == (("DAV:", "getetag"), ("http://x/", "a"))
