"""Tokens by attenuation against tokens by request, on a real XRootD on loopback with kept-alive TLS."""

from __future__ import annotations

import time
from collections.abc import Iterable

from eventflow import policy
from eventflow.clients.storage import Minted, StorageClient
from eventflow.macaroon import narrow
from eventflow.parents import READ, WRITE, Parents
from eventflow.storages import X509, Credential, Storage
from tests.bench.result import Result, against, median_ms
from tests.parts.xrootd import xrootd

EVENTS = 1000
TIMES = 500
RULES = policy.decode({"namespace": "demo", "read": ["/data/in"], "write": ["/data/out"]})


def measure() -> dict[str, Result]:
    """``mint.requests_per_1000`` (against the two that are needed), ``mint.child_vs_request`` in ms."""
    with xrootd("/data") as server:
        own = Credential(x509=X509(server.certificate.read_text(), server.key.read_text()))
        storage = Storage(
            name="main",
            flavour="xrootd",
            prefixes=("/data",),
            read=server.endpoint,
            write=server.endpoint,
            ca=server.ca.read_text(),
            credentials={"default": own},
        )
        asked = _requests(storage)
        client, now = StorageClient(storage, own), time.time()

        def request() -> str:
            return client.mint("/data/in", READ, door=storage.read, expires=now + 3600, now=now).token

        parent = request()  # the connection
        by_request = median_ms(request, TIMES)
        by_hand = median_ms(
            lambda: narrow(
                parent, "xrootd", prefix="/data/in", path="/data/in/run/a.root", activities=READ, expires=now + 60
            ),
            TIMES,
        )
    return {
        "mint.requests_per_1000": against(asked, "requests", 2),
        "mint.child_vs_request": against(by_hand, "ms", by_request),
    }


def _requests(storage: Storage) -> int:
    """How often the storage is asked for the tokens of a thousand events."""
    asked: list[str] = []

    class Counting(StorageClient):
        def mint(self, path: str, activities: Iterable[str], *, door: str, expires: float, now: float) -> Minted:
            asked.append(path)
            return super().mint(path, activities, door=door, expires=expires, now=now)

    parents = Parents([storage], now=time.time, client=Counting)
    until = time.time() + RULES.max_queue
    for number in range(EVENTS):
        parents.token(f"/data/in/{number}.root", READ, RULES, until)
        parents.token(f"/data/out/{number}.root.d/", WRITE, RULES, until)
    return len(asked)
