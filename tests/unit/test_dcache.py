"""dCache's records become events: judged by records that dCache's own serializers, and a running dCache, made."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from eventflow import dcache
from eventflow.dcache import Filtered
from eventflow.errors import ItemError
from eventflow.event import Event

SEED = 20261121
DATA = Path(__file__).parent.parent / "data" / "dcache"

TYPES = {
    "written": "storage.written",
    "written-srm-putdone": "storage.written",
    "read": "storage.read",
    "removed": "storage.removed",
    "flushed": "storage.flushed",
}
REASONS = {
    "failed": "failed",
    "failed-write": "failed",
    "failed-read": "failed",
    "failed-flush": "failed",
    "p2p": "p2p",
    "unknown-path": "no_path",
    "unknown-direction": "no_direction",
    "upload-temporary": "upload_temporary",
    "replica-removed": "replica_removed",
    "hit": "hit",
    "warning": "warning",
}

SAMPLE: dict[str, Any] = {
    "date": "2019-07-31T15:31:10.388+02:00",
    "msgType": "transfer",
    "transferTime": 41,
    "cellName": "dcache-desy15-03",
    "session": "pool:dcache-desy15-03@dcache-desy15-03Domain:1564579870388-221080",
    "subject": ["UidPrincipal[34839]", "GidPrincipal[5296,primary]", "GidPrincipal[5148]", "Origin[2001:db8::1:58],"],
    "initiator": "door:nfs4-wgs@dcache-door-desy02_nfs4Domain:AAWO+iNkqWg:1564579870321001",
    "transferPath": "/",
    "meanReadBandwidth": 394645595.2664036,
    "version": "1.0",
    "storageInfo": "belle:local@osm",
    "transferSize": 76516,
    "protocolInfo": {"protocol": "NFS4", "port": 437, "host": "2001:db8::1:58", "versionMajor": 4, "versionMinor": 1},
    "cellType": "pool",
    "fileSize": 76516,
    "queuingTime": 0,
    "cellDomain": "dcache-desy15-03Domain",
    "isP2p": False,
    "pnfsid": "0000F2FDE34028D340CEA98ABA87ED0E4336",
    "billingPath": "/",
    "isWrite": "read",
    "status": {"msg": "", "code": 0},
}


def lines(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def decode(record: Any) -> Event | Filtered:
    return dcache.decode(json.dumps(record), "desy")


@pytest.mark.parametrize("version", ["5.2", "6.2", "HEAD"])
def test_records_of_dcaches_own_serializers(version: str) -> None:
    for line in lines(f"dcache_events_{version}.jsonl.gz"):
        about = line["about"]
        wanted = about["should_be"]
        path = about.get("namespace_path")
        if path is not None and wanted in TYPES and (".." in path or "\n" in path):
            with pytest.raises(ItemError) as refused:
                decode(line["record"])
            assert refused.value.code == "bad_path"
            continue
        event = decode(line["record"])
        if wanted in TYPES and path is None:
            assert event == Filtered("no_path"), about
        elif wanted in TYPES:
            if isinstance(event, Filtered):  # NFS up to 6.1 names no path
                assert (event.reason, line["record"]["transferPath"]) == ("no_path", "/"), about
            else:
                assert (event.type, event.subject) == (TYPES[wanted], path), about
        else:
            assert event == Filtered(REASONS[wanted]), about


NEIGHBOURS_NOT_SAMPLED = {
    "/data/raw/a.dat",  # its records came while another case ran, which is not among the recorded ones
    "/data/raw/b-B3/put-allroot",
    "/data/out/x-allroot-B3",
    "/data/raw/b-B3/g",
    "/data/raw/b-B3/nodir/x-uploaddeletedir/y",
}


def test_a_running_dcache_announces_each_successful_upload_once() -> None:
    """Judged by what a running dCache answered: one written event per PUT that ended in 201, none for any other."""
    stored: Counter[str] = Counter()
    written: dict[str, str] = {}
    for case in lines("dcache_live.jsonl.gz"):
        for step in case["steps"]:
            request, response = step["request"], step["response"]
            if request["method"] == "PUT" and response.get("status") == 201:
                root = "/data" if request.get("to") == "ROOT" or "door-with-root" in case["case"] else ""
                stored[root + unquote(request["target"].partition("?")[0])] += 1
        for entry in case["records"]:
            value = entry["value"] if isinstance(entry["value"], str) else json.dumps(entry["value"])
            event = dcache.decode(value, "desy") if entry["topic"] == "billing" else None
            if isinstance(event, Event) and event.type == "storage.written":
                written[event.id] = event.subject
    for path in NEIGHBOURS_NOT_SAMPLED:
        stored.pop(path, None)
    print(f"{stored.total()} uploads, {len(written)} written events")
    assert stored.total() > 70
    assert stored == Counter(path for path in written.values() if path not in NEIGHBOURS_NOT_SAMPLED)


def test_the_sample_of_the_first_design_is_a_read_without_a_path() -> None:
    assert decode(SAMPLE) == Filtered("no_path")
    event = decode({**SAMPLE, "transferPath": "/pnfs/a.root", "isWrite": "write"})
    assert isinstance(event, Event)
    assert event.type == "storage.written"
    assert event.time == "2019-07-31T13:31:10.388Z"
    assert event.data.storage_class == "belle:local"
    assert event.data.principal == {"uid": 34839, "gids": [5296, 5148]}


def test_transfer_and_request_of_an_srm_upload_are_one_event() -> None:
    upload = {**SAMPLE, "isWrite": "write", "transferPath": "/upload/7/x/f.root", "billingPath": "/pnfs/f.root"}
    assert decode(upload) == Filtered("upload_temporary")
    done = {key: upload[key] for key in ("date", "transferPath", "billingPath", "pnfsid", "fileSize", "status")}
    event = decode({**done, "msgType": "request", "cellType": "door", "session": "door:SRM@x:1"})
    assert isinstance(event, Event)
    assert (event.type, event.subject) == ("storage.written", "/pnfs/f.root")


def test_an_event_has_one_id_for_ever() -> None:
    """Changing how ids are made would submit everything in flight again."""
    event = decode({**SAMPLE, "transferPath": "/pnfs/a.root", "isWrite": "write"})
    assert isinstance(event, Event)
    assert event.id == "78204da9-e868-5274-97c4-b8841cee0744"
    later = decode({**SAMPLE, "transferPath": "/pnfs/a.root", "isWrite": "write", "date": "2020-01-01T00:00:00Z"})
    assert isinstance(later, Event)
    assert later.id == event.id


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b'{"msgType": "transfer", "date"', "unparsable"),
        (b"\xff\xfe", "unparsable"),
        (b"[]", "unparsable"),
        (b"{}", "unparsable"),
        (json.dumps({**SAMPLE, "msgType": "teleport"}), "unknown_type"),
        (json.dumps({**SAMPLE, "transferPath": "/a", "isWrite": "write", "date": "yesterday"}), "unparsable"),
        (json.dumps({**SAMPLE, "transferPath": "/a/../b", "isWrite": "write"}), "bad_path"),
        (json.dumps({**SAMPLE, "transferPath": "/XX"}).replace("XX", "\\ud800"), "unparsable"),
        (b"[" * 100_000, "unparsable"),
        (json.dumps(SAMPLE)[:-1] + ', "more": ' + "[" * 100_000 + "]" * 100_000 + "}", "unparsable"),
        (
            json.dumps({**SAMPLE, "transferPath": "/a", "isWrite": "write", "date": "9999-12-31T23:59:59-14:00"}),
            "unparsable",
        ),
        (json.dumps({**SAMPLE, "transferPath": "/a", "msgType": "store", "queuingTime": 2**62}), "unparsable"),
    ],
)
def test_what_is_no_record_says_why(value: bytes | str, code: str) -> None:
    with pytest.raises(ItemError) as refused:
        dcache.decode(value, "desy")
    assert refused.value.code == code
    assert not refused.value.retryable


ODD: tuple[Any, ...] = (
    *(None, True, -1, 2**62, 2**70, 1e300, "", "/", "/a//b", "write", "store", "request", "ü\0", "x" * 5000),
    *("0001-01-01T00:00:00+14:00", "2024-W01", [], ["UidPrincipal[²]", "GidPrincipal[²,primary]"]),
    *(["UidPrincipal[" + "9" * 5000 + "]"], {}, {"code": "x"}, {"isWrite": "read", "status": None}, [[[]]]),
)


def test_whatever_a_record_holds_it_is_an_event_or_filtered_or_says_why() -> None:
    """One record that a decoder chokes on would hold up all that come after it."""
    chance = random.Random(SEED)
    for _ in range(5000):
        changes = {chance.choice(sorted(SAMPLE)): chance.choice(ODD) for _ in range(chance.randrange(4))}
        value = json.dumps({**SAMPLE, "transferPath": "/a/b", "isWrite": "write", **changes})
        with contextlib.suppress(ItemError):
            assert isinstance(dcache.decode(value, "desy"), Event | Filtered)


def test_the_misprinted_sample_is_unparsable() -> None:
    text = json.dumps(SAMPLE).replace('1:58],"]', '1:58],",]')
    with pytest.raises(ItemError) as refused:
        dcache.decode(text, "desy")
    assert refused.value.code == "unparsable"


@pytest.mark.parametrize("version", ["5.2", "6.2", "HEAD"])
def test_whoever_wants_few_events_gets_the_same_ones(version: str) -> None:
    """Decoding for a filter agrees with decoding everything, and keeps back only what is not wanted."""
    for line in lines(f"dcache_events_{version}.jsonl.gz"):
        record = json.dumps(line["record"])
        try:
            whole = dcache.decode(record, "desy")
        except ItemError as error:
            with pytest.raises(ItemError, match=re.escape(error.why)):
                dcache.decode_wanted(record, "desy", lambda kind, path: True)
            continue
        assert dcache.decode_wanted(record, "desy", lambda kind, path: True) == whole
        if isinstance(whole, Event):
            asked: list[tuple[str, str]] = []
            kept_back = dcache.decode_wanted(record, "desy", lambda *what, asked=asked: bool(asked.append(what)))
            assert (kept_back, asked) == (dcache.UNWANTED, [(whole.type, whole.subject)])
