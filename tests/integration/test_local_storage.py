"""The embedded storage as a service: it survives a restart, takes large files, and never lets Kafka hold it up."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from confluent_kafka import Producer
from kafka import KafkaConsumer

from tests.parts.storage import Storage, running_storage

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    with running_storage(tmp_path_factory.mktemp("storage"), redirect_timeout=1.0) as running:
        yield running


def until(holds: Callable[[], bool], what: str, within: float = 15.0) -> None:
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, f"{what} did not come within {within} s"
        time.sleep(0.02)


def of_path(storage: Storage, path: str) -> list[dict[str, Any]]:
    return [record for record in storage.announced() if record.get("transferPath") == path]


def redirect(storage: Storage, path: str, *headers: str) -> str:
    """Begin an upload as a client that waits for 100 Continue, and return where it is sent."""
    answer = raw(storage, f"PUT {path} HTTP/1.1", "Expect: 100-continue", "Content-Length: 1000", *headers)
    assert answer.startswith("HTTP/1.1 307"), answer
    return next(line[10:] for line in answer.split("\r\n") if line.lower().startswith("location: "))


def raw(storage: Storage, line: str, *headers: str, body: bytes = b"") -> str:
    """One request written by hand, as alice; the whole answer up to the end of the connection."""
    trust = ssl.create_default_context(cafile=str(storage.ca))
    port = int(storage.endpoint.rsplit(":", 1)[1])
    own = ["Host: localhost", "Authorization: Basic YWxpY2U6cHctYWxpY2U=", "Connection: close"]
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall("\r\n".join([line, *own, *headers, "", ""]).encode() + body)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer.decode("latin-1")


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    # given a storage with a file, and a macaroon it issued
    with running_storage(tmp_path) as storage:
        written = storage.session("alice").put(storage.url("/data/raw/f"), data=b"kept")
        token = storage.macaroon("/data/raw", "activity:DOWNLOAD")
        ca = storage.ca.read_bytes()

    # when it is started again
    with running_storage(tmp_path) as storage:
        # then clients that trusted it still do, and file, pnfsid and macaroon are as they were
        assert storage.ca.read_bytes() == ca
        assert storage.session(token=token).get(storage.url("/data/raw/f")).content == b"kept"
        head = storage.session("alice").head(storage.url("/data/raw/f"))
        assert head.headers["ETag"] == written.headers["ETag"]


def test_a_large_file_takes_little_memory(storage: Storage) -> None:
    # given a stream much larger than the storage's memory may grow
    block = os.urandom(MEGABYTE)
    count = 300
    expected = hashlib.md5(block * count, usedforsecurity=False).hexdigest()
    session = storage.session("alice")

    # when it goes in and comes out again
    answer = session.put(
        storage.url("/data/raw/large"), data=(block for _ in range(count)), headers={"Want-Digest": "md5"}
    )
    found = hashlib.md5(usedforsecurity=False)
    with session.get(storage.url("/data/raw/large"), stream=True) as reading:
        for chunk in reading.iter_content(MEGABYTE):
            found.update(chunk)

    # then it is whole
    assert answer.status_code == 201
    assert found.hexdigest() == expected

    # and the process stayed small
    status = Path(f"/proc/{storage.process.pid}/status").read_text()
    peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    assert peak < 150 * 1024


def test_what_is_secret_is_the_owners_alone(storage: Storage) -> None:
    for name in ("macaroon.secret", "server.pem", "records.jsonl"):
        assert stat.S_IMODE((storage.directory / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((storage.directory / "pool").stat().st_mode) == 0o700


def test_no_secret_is_logged_or_announced(storage: Storage) -> None:
    # given a token used in every way, and used up
    token = storage.macaroon("/data/raw", "activity:UPLOAD,DOWNLOAD")
    session = storage.session(token=token)
    session.put(storage.url("/data/raw/secretive"), data=b"x")
    session.get(storage.url(f"/data/raw/secretive?authz={token}"))
    storage.session(token=token[:-4] + "AAAA").get(storage.url("/data/raw/secretive"))
    storage.session().get(storage.url("/data/raw/secretive"), auth=("alice", "not-her-password"))

    # then neither it nor a password is anywhere in log or records
    written = (storage.directory / "storage.log").read_text() + json.dumps(storage.announced())
    for secret in (token[-40:], "pw-alice", "not-her-password"):
        assert secret not in written


def test_a_name_may_be_anything_and_stays_inside(storage: Storage) -> None:
    session = storage.session("alice")
    for name in ("a b+c%25.root", "äöü", "quote\".'", "line\nbreak", "semi;colon", "<&>", "..dots.."):
        # given a file with a name that needs care
        path = f"/data/raw/{name}"
        url = storage.url(quote(path))

        # when it is written, then it is read, listed and announced by the same name
        assert session.put(url, data=name.encode()).status_code == 201
        assert session.get(url).content == name.encode()
        assert next(record["isWrite"] for record in of_path(storage, path) if "isWrite" in record) == "write"
        listing = session.request("PROPFIND", storage.url("/data/raw/"), headers={"Depth": "1"})
        assert quote(name)[:3] in listing.text


def test_a_path_that_climbs_stays_in_the_namespace(storage: Storage) -> None:
    # when somebody climbs out of the tree, written in any way
    for climbing in ("/data/raw/../../../etc/x", "/data/raw/%2e%2e/%2e%2e/%2E%2E/etc/x", "/../../../../etc/x"):
        answer = raw(storage, f"PUT {climbing} HTTP/1.1", "Content-Length: 1", body=b"x")

        # then that is the namespace's own /etc, where alice may not write
        assert answer.startswith("HTTP/1.1 403"), answer


def test_a_reason_cannot_break_the_answer(storage: Storage) -> None:
    # when a caveat with a line break comes back in the reason of a refusal
    answer = storage.session("alice").post(
        storage.url("/data"),
        data=json.dumps({"caveats": ["x\r\nSet-Cookie: stolen\r\n:y"]}),
        headers={"Content-Type": "application/macaroon-request"},
    )

    # then it is one line
    assert answer.status_code == 400
    assert "Set-Cookie" not in answer.headers
    assert answer.reason == ["Bad requested caveat", " Unknown caveat x??Set-Cookie", " stolen??"][0] + (
        ": Unknown caveat x??Set-Cookie"
    )


def test_a_file_that_looks_like_an_answer_is_left_alone(tmp_path: Path) -> None:
    # given a file that reads like the head of an answer with a reason
    content = b"HTTP/1.1 200 OK\r\nx-reason-phrase: evil\r\n\r\n"
    with running_storage(tmp_path, redirects=False) as storage:
        session = storage.session("alice")
        session.put(storage.url("/data/raw/f"), data=content)

        # then it is read as it is
        assert session.get(storage.url("/data/raw/f")).content == content


def test_what_follows_a_redirected_upload_is_not_taken_for_its_body(storage: Storage) -> None:
    # when a client is sent to the pool and writes its next request instead of the body
    trust = ssl.create_default_context(cafile=str(storage.ca))
    port = int(storage.endpoint.rsplit(":", 1)[1])
    head = "Host: localhost\r\nAuthorization: Basic YWxpY2U6cHctYWxpY2U=\r\n"
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(
            f"PUT /data/raw/e HTTP/1.1\r\n{head}Expect: 100-continue\r\nContent-Length: 99\r\n\r\n".encode()
        )
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk

    # then the connection is over with the answer
    assert answer.startswith(b"HTTP/1.1 307")
    assert b"connection: close" in answer.lower()


def test_a_client_that_never_comes_to_the_pool_is_given_up(storage: Storage) -> None:
    # given an upload that is sent to the pool, and a client that forgets it
    away = redirect(storage, "/data/raw/forgotten")

    # then the failure is announced after a while
    until(lambda: len(of_path(storage, "/data/raw/forgotten")) == 2, "the end of the transfer")
    codes = {record["msgType"]: record["status"]["code"] for record in of_path(storage, "/data/raw/forgotten")}
    assert codes == {"transfer": 10006, "request": 10006}

    # and the way to the pool is closed
    late = storage.session().put(away, data=b"x", allow_redirects=False)
    assert (late.status_code, late.reason) == (307, "Request is no longer valid")


def test_a_file_deleted_while_it_comes_in_is_no_file(storage: Storage) -> None:
    # given an upload under way
    away = redirect(storage, "/data/raw/doomed")

    # when its name is deleted
    assert storage.session("alice").delete(storage.url("/data/raw/doomed")).status_code == 204
    answer = storage.session().put(away, data=b"." * 1000)

    # then the upload fails, and says so
    assert answer.status_code == 500
    ends = [record for record in of_path(storage, "/data/raw/doomed") if record["msgType"] == "transfer"]
    assert [record["status"]["code"] for record in ends] == [10001]
    assert storage.session("alice").get(storage.url("/data/raw/doomed")).status_code == 404


def test_a_reader_sees_a_whole_file_or_none(storage: Storage) -> None:
    # given a file that is overwritten again and again, each time with one letter throughout
    url = storage.url("/data/raw/contended")
    stop = threading.Event()

    def overwrite(letter: str) -> None:
        session = storage.session("alice")
        while not stop.is_set():
            session.put(url, data=letter.encode() * 200_000)

    # when others read it meanwhile
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(overwrite, letter) for letter in "ab"]
        seen = set()
        session = storage.session("alice")
        for _ in range(150):
            answer = session.get(url)
            if answer.status_code == 200:
                seen.add((len(answer.content), len(set(answer.content))))
        stop.set()
        for writer in writers:
            writer.result()

    # then they see all of one version, or nothing
    assert seen == {(200_000, 1)}


def test_removed_data_is_cleaned_and_announced(storage: Storage) -> None:
    # given a file, overwritten and then deleted
    session = storage.session("alice")
    first = session.put(storage.url("/data/raw/cleaned"), data=b"1").headers["ETag"].strip('"').partition("_")[0]
    second = session.put(storage.url("/data/raw/cleaned"), data=b"22").headers["ETag"].strip('"').partition("_")[0]
    session.delete(storage.url("/data/raw/cleaned"))

    def cleaned() -> set[str]:
        return {r["pnfsid"] for r in storage.announced() if r["msgType"] == "remove" and r["cellType"] == "pool"}

    # then the cleaner removes the data of both, and only the second was removed by name
    until(lambda: {first, second} <= cleaned(), "the cleaner")
    assert not (storage.directory / "pool" / first).exists()
    removed = [r["pnfsid"] for r in storage.announced() if r["msgType"] == "remove" and r["cellType"] == "door"]
    assert second in removed
    assert first not in removed


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """librdkafka's mock cluster, which lives in this process."""
    producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    address = next(iter(producer.list_topics(timeout=10).brokers.values()))
    yield f"{address.host}:{address.port}"
    producer.flush(5)


def consumed(broker: str, topic: str, count: int) -> list[dict[str, Any]]:
    consumer = KafkaConsumer(
        topic, bootstrap_servers=broker, api_version=(2, 3), auto_offset_reset="earliest", consumer_timeout_ms=20000
    )
    found = []
    for message in consumer:
        found.append((message.key, message.headers, json.loads(message.value)))
        if len(found) == count:
            break
    consumer.close()
    assert all(key is None and not headers for key, headers, _ in found)
    return [value for _, _, value in found]


def test_records_go_to_kafka_as_dcaches_do(tmp_path: Path, broker: str) -> None:
    # given a storage that announces on a topic
    with running_storage(tmp_path, bootstrap_servers=broker, topic="billing-1") as storage:
        # when a file is written
        storage.session("alice").put(storage.url("/data/raw/f"), data=b"hello")

        # then pool and door say so, without key and headers
        records = consumed(broker, "billing-1", 2)
    assert {record["msgType"] for record in records} == {"transfer", "request"}
    assert {record["transferPath"] for record in records} == {"/data/raw/f"}


def test_an_absent_kafka_delays_nothing_and_gets_all_records_later(tmp_path: Path, broker: str) -> None:
    # given a storage whose broker is not there yet
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    with running_storage(tmp_path, bootstrap_servers=f"127.0.0.1:{port}", topic="billing-2") as storage:
        session = storage.session("alice")

        # when files are written, then nobody waits
        began = time.monotonic()
        for number in range(20):
            assert session.put(storage.url(f"/data/raw/f{number}"), data=b"x").status_code == 201
        assert time.monotonic() - began < 5

        # and once there is a broker, it gets all of it, in order
        with forwarding(port, broker):
            records = consumed(broker, "billing-2", 40)
    written = [record["transferPath"] for record in records if record["msgType"] == "transfer"]
    assert sorted(written) == sorted(f"/data/raw/f{number}" for number in range(20))


def test_an_absent_kafka_does_not_keep_the_storage_from_ending(tmp_path: Path) -> None:
    with running_storage(tmp_path, bootstrap_servers="127.0.0.1:1", topic="billing") as storage:
        storage.session("alice").put(storage.url("/data/raw/f"), data=b"x")
        storage.process.terminate()
        assert storage.process.wait(20) == 0


@contextlib.contextmanager
def forwarding(port: int, target: str) -> Iterator[None]:
    """Connections to ``port`` reach ``target``: enough for a client's first question, which tells it where to go."""
    host, _, number = target.partition(":")

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def accept(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                upstream = socket.create_connection((host, int(number)))
                for pair in ((client, upstream), (upstream, client)):
                    threading.Thread(target=copy, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", port)) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        yield


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with running_storage(tmp_path) as storage:
        kept = storage.session("alice")
        kept.get(storage.url("/data/raw/"))  # a connection that stays open
        storage.process.send_signal(number)
        assert storage.process.wait(10) == 0


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "faasctl.local.storage", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("mode", "text", "said"),
    [
        (0o644, '{"users": []}', "others can read this file of passwords"),
        (0o600, '{"users": [], "userz": []}', "unknown field `userz`"),
        (0o600, '{"users": [{"name": "a", "password": "", "uid": 1, "gids": [1]}]}', "a user needs a name"),
        (0o600, '{"users": [], "directories": [{"path": "/a/../b", "uid": 1, "gid": 1}]}', "no path in normal form"),
        (0o600, "{", "Input data was truncated"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(tmp_path: Path, mode: int, text: str, said: str) -> None:
    # given such a file
    config = tmp_path / "config.json"
    config.write_text(text)
    config.chmod(mode)

    # when the storage is to start with it
    done = start("--dir", str(tmp_path / "storage"), "--config", str(config))

    # then it says what is wrong and where, in a line
    assert done.returncode == 1
    assert said in done.stderr
    assert str(config) in done.stderr
    assert "Traceback" not in done.stderr


def test_two_users_do_not_see_each_others_files(storage: Storage) -> None:
    # given bob's directory, which is his alone
    bob, alice = storage.session("bob"), storage.session("alice")
    assert bob.put(storage.url("/data/bobonly/f"), data=b"his").status_code == 201

    # then alice gets nowhere in it, by password or by a macaroon of hers
    token = storage.macaroon("/data/bobonly", "activity:DOWNLOAD,LIST,UPLOAD,DELETE")
    for session in (alice, storage.session(token=token)):
        assert session.get(storage.url("/data/bobonly/f")).status_code == 403
        assert session.put(storage.url("/data/bobonly/g"), data=b"").status_code == 403
        assert session.delete(storage.url("/data/bobonly/f")).status_code == 403
    assert bob.get(storage.url("/data/bobonly/f")).content == b"his"


def test_plain_http_is_not_spoken(storage: Storage) -> None:
    with pytest.raises(requests.ConnectionError):
        requests.get(storage.endpoint.replace("https", "http"), timeout=5)
