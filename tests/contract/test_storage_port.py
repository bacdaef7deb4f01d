"""What the platform needs of a storage, alike for the embedded one and for a real XRootD.

The tokens are minted and narrowed by the platform's own code: what it makes must do what it says, and nothing else.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from eventflow.clients.storage import StorageClient
from eventflow.errors import ItemError
from eventflow.macaroon import grant, narrow
from eventflow.storages import X509, Basic, Credential, Flavour, Storage
from tests.parts.storage import running_storage
from tests.parts.xrootd import xrootd

TREE = "/data"
CONTENT = b"the content of a file\n" * 1000
ALL = frozenset({"DOWNLOAD", "UPLOAD", "LIST", "MANAGE", "DELETE"})

HOUR = 3600.0


@dataclass(frozen=True)
class Port:
    """A running storage as the platform knows it."""

    storage: Storage
    credential: Credential
    strangers: Credential | None
    ca: Path

    @property
    def door(self) -> str:
        return self.storage.read

    @property
    def flavour(self) -> Flavour:
        return self.storage.flavour

    def client(self) -> StorageClient:
        return StorageClient(self.storage, self.credential)

    def parent(self, *, expires: float | None = None) -> str:
        """A token for the whole tree and everything in it."""
        now = time.time()
        return self.client().mint(TREE, ALL, door=self.door, expires=expires or now + HOUR, now=now).token

    def child(self, path: str, *activities: str, parent: str | None = None, expires: float | None = None) -> str:
        """A token for one path, narrowed from the parent."""
        return narrow(
            parent or self.parent(),
            self.flavour,
            prefix=TREE,
            path=path,
            activities=activities,
            expires=expires or time.time() + HOUR,
        )

    def bearer(self, token: str) -> requests.Session:
        """A client that holds nothing but a token."""
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.ca)
        session.headers["Authorization"] = f"Bearer {token}"
        return session

    def status(self, token: str, method: str, path: str, data: bytes | None = None) -> int:
        """What a bearer's request is answered with."""
        return self.bearer(token).request(method, self.door + path, data=data).status_code

    def refuses(self, token: str, method: str, path: str, data: bytes | None = None) -> bool:
        """Is a bearer's request denied? XRootD may close the connection on a body that it does not want."""
        try:
            return self.status(token, method, path, data) in (401, 403)
        except requests.ConnectionError:
            return True

    def write(self, path: str, content: bytes = CONTENT) -> None:
        """A file that is there, by the platform's own hand."""
        assert self.status(self.parent(), "PUT", path, content) in (200, 201)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Port]:
    with running_storage(tmp_path_factory.mktemp("storage")) as running:
        storage = Storage(
            name="main",
            flavour="dcache",
            prefixes=(TREE,),
            read=running.endpoint,
            write=running.endpoint,
            ca=running.ca.read_text(),
        )
        yield Port(
            storage,
            Credential(basic=Basic(*running.credentials("faas"))),
            Credential(basic=Basic("faas", "wrong")),
            running.ca,
        )


@pytest.fixture(scope="module")
def real() -> Iterator[Port]:
    with xrootd(TREE) as running:
        storage = Storage(
            name="main",
            flavour="xrootd",
            prefixes=(TREE,),
            read=running.endpoint,
            write=running.endpoint,
            ca=running.ca.read_text(),
        )
        own = X509(running.certificate.read_text(), running.key.read_text())
        yield Port(storage, Credential(x509=own), None, running.ca)


@pytest.fixture(params=["embedded", "real"], ids=["embedded", "xrootd"])
def port(request: pytest.FixtureRequest) -> Port:
    found: Port = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def fresh(port: Port) -> Callable[[str], str]:
    """Names of directories that are there and empty, each test's own."""
    base = f"{TREE}/{time.time_ns()}"

    def directory(name: str) -> str:
        path = f"{base}/{name}/"
        port.client().make_directory(path, door=port.door)
        return path

    return directory


Fresh = Callable[[str], str]


def test_a_minted_token_says_what_was_asked_for(port: Port) -> None:
    # when the platform mints for a path and for an hour
    now = time.time()
    minted = port.client().mint(f"{TREE}", {"DOWNLOAD", "LIST"}, door=port.door, expires=now + HOUR, now=now)

    # then the token's own caveats say so
    assert minted.grant.path == TREE
    assert minted.grant.activities is not None
    assert minted.grant.activities >= {"DOWNLOAD", "LIST"}
    assert not minted.grant.activities & {"UPLOAD", "DELETE", "MANAGE"}
    assert minted.grant.expires is not None
    assert abs(minted.grant.expires - (now + HOUR)) < 60


def test_nobody_gets_a_token_that_is_worth_something(port: Port) -> None:
    # given somebody without a credential, and somebody with a wrong one
    now = time.time()
    for credential in (None, port.strangers):
        client = StorageClient(port.storage, credential)

        # when they ask for a token to write, then it is refused, or what came does not allow it
        with pytest.raises(ItemError) as refused:
            client.mint(TREE, {"UPLOAD"}, door=port.door, expires=now + HOUR, now=now)
        assert refused.value.code in ("credential_refused", "token_refused")


def test_a_read_token_reads_its_file_and_no_other(port: Port, fresh: Fresh) -> None:
    # given two files side by side, and a token for one of them
    directory = fresh("in")
    port.write(f"{directory}mine")
    port.write(f"{directory}other")
    token = port.child(f"{directory}mine", "DOWNLOAD")

    # then it reads the one
    assert port.bearer(token).get(f"{port.door}{directory}mine").content == CONTENT
    assert port.status(token, "GET", f"{directory}other") == 403

    # and changes neither
    assert port.refuses(token, "PUT", f"{directory}mine", b"x")
    assert port.refuses(token, "DELETE", f"{directory}mine")
    assert port.bearer(token).get(f"{port.door}{directory}mine").content == CONTENT


def test_a_read_token_does_not_read_what_only_begins_like_its_directory(port: Port, fresh: Fresh) -> None:
    # given /data/.../run1/ and /data/.../run10/, and a token for the former
    run1, run10 = fresh("run1"), fresh("run10")
    port.write(f"{run1}f")
    port.write(f"{run10}f")
    token = port.child(run1, "DOWNLOAD")

    # then prefixes are compared by whole names
    assert port.status(token, "GET", f"{run1}f") == 200
    assert port.status(token, "GET", f"{run10}f") == 403


def test_a_write_token_writes_into_its_directory_and_nowhere_else(port: Port, fresh: Fresh) -> None:
    # given a directory and a token to upload into it
    directory, elsewhere = fresh("out"), fresh("elsewhere")
    token = port.child(directory, "UPLOAD")

    # then files and directories appear in it
    assert port.status(token, "PUT", f"{directory}f", CONTENT) in (200, 201)
    assert port.status(token, "PUT", f"{directory}deep/er/f", CONTENT) in (200, 201)

    # and nowhere else
    assert port.refuses(token, "PUT", f"{elsewhere}f", CONTENT)
    assert port.status(port.parent(), "GET", f"{elsewhere}f") == 404

    # and it does not read what it wrote
    assert port.status(token, "GET", f"{directory}f") == 403
    assert port.bearer(port.parent()).get(f"{port.door}{directory}f").content == CONTENT


def test_the_adler32_of_an_upload_can_be_had_at_once(port: Port, fresh: Fresh) -> None:
    # given a file just written
    path = f"{fresh('sums')}f"
    port.write(path)

    # when its checksum is asked for
    head = port.bearer(port.parent()).head(port.door + path, headers={"Want-Digest": "adler32"})

    # then size and sum are those of the content
    assert head.status_code == 200
    assert head.headers["Digest"] == f"adler32={zlib.adler32(CONTENT):08x}"
    assert int(head.headers["Content-Length"]) == len(CONTENT)


def test_an_expired_token_is_dead(port: Port, fresh: Fresh) -> None:
    # given a file and a token whose time is over
    path = f"{fresh('late')}f"
    port.write(path)
    token = port.child(path, "DOWNLOAD", expires=time.time() - 5)

    # then it opens nothing
    assert port.status(token, "GET", path) in (401, 403)


def test_a_child_outlives_its_parent_on_paper_only(port: Port, fresh: Fresh) -> None:
    # given a parent of two seconds and a child that says an hour
    path = f"{fresh('short')}f"
    port.write(path)
    end = int(time.time()) + 3
    token = port.child(path, "DOWNLOAD", parent=port.parent(expires=end))
    assert port.status(token, "GET", path) == 200
    assert grant(token).expires is not None

    # when the parent's time is over, then so is the child's
    while time.time() < end + 1:
        time.sleep(0.05)
    assert port.status(token, "GET", path) in (401, 403)


def test_a_token_cannot_be_widened(port: Port, fresh: Fresh) -> None:
    # given a token to read
    path = f"{fresh('narrow')}f"
    port.write(path)
    reading = port.child(path, "DOWNLOAD")

    # when its bearer adds the right to write
    widened = narrow(
        reading,
        port.flavour,
        prefix=path,
        path=path,
        activities={"DOWNLOAD", "UPLOAD", "DELETE", "MANAGE"},
        expires=time.time() + HOUR,
    )

    # then that is worth nothing
    assert port.refuses(widened, "PUT", path, b"x")
    assert port.bearer(port.parent()).get(port.door + path).content == CONTENT


def test_a_forged_token_is_worth_nothing(port: Port, fresh: Fresh) -> None:
    # given a token with one character of its signature changed
    path = f"{fresh('forged')}f"
    port.write(path)
    token = port.parent()
    forged = token[:-8] + ("A" if token[-8] != "A" else "B") + token[-7:]

    # then it opens nothing
    assert port.status(forged, "GET", path) in (401, 403)


def test_a_deny_holds_on_a_connection_that_was_let_in_before(port: Port, fresh: Fresh) -> None:
    # given one connection, on which a token was accepted
    directory = fresh("kept")
    port.write(f"{directory}mine")
    port.write(f"{directory}other")
    session = port.bearer(port.child(f"{directory}mine", "DOWNLOAD"))
    assert session.get(f"{port.door}{directory}mine").status_code == 200

    # then it is not let in elsewhere, and without the token nowhere
    assert session.get(f"{port.door}{directory}other").status_code == 403
    del session.headers["Authorization"]
    assert session.get(f"{port.door}{directory}other").status_code in (401, 403)


def test_making_a_directory_twice_is_no_error(port: Port, fresh: Fresh) -> None:
    directory = fresh("twice")
    port.client().make_directory(directory, door=port.door)


def test_what_is_not_there_is_a_404(port: Port, fresh: Fresh) -> None:
    directory = fresh("empty")
    assert port.status(port.child(directory, "DOWNLOAD"), "GET", f"{directory}nothing") == 404
