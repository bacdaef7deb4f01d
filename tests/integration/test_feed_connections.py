"""`faasctl feed kafka` where brokers ask who comes: what is wrong is named for what it is, an outage is waited for."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme
import yaml

from eventflow.batch import Failure, Message
from faasctl.local.process import Service
from faasfeeds.kafka import dead, letters, provider
from faasfeeds.kafka.connecting import Cause, Unreachable, diagnosis
from faasfeeds.kafka.dead import Filter
from faasfeeds.kafka.directory import DirectoryRegistrations
from faasfeeds.kafka.journal import Journal, Topics
from faasfeeds.kafka.letters import Letter
from faasfeeds.kafka.registration import Registration
from tests.parts import secured_kafka
from tests.parts.platform import wait
from tests.parts.secured_kafka import SecuredKafka

ENVIRONMENT = Path(__file__).parents[2] / "manifests" / "environments" / "local.yaml"
WRONG_PASSWORD = "the user name or password is wrong"


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka.running(tmp_path_factory.mktemp("kafka"), "super", "nobody") as broker:
        yield broker


def command(folder: Path, server: str, **security: str) -> tuple[str, ...]:
    """The feed, with an environment of its own that has what a feed needs."""
    document = yaml.safe_load(ENVIRONMENT.read_text())
    document["kafka"] |= {"bootstrap_servers": [server], "security": security}
    document["openwhisk"]["functions"]["auth"] = "u:k"
    document["keys"]["feed"] = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
    document["policies"] = str(ENVIRONMENT.parents[1] / "policies")
    folder.mkdir(exist_ok=True)
    file = folder / "environment.yaml"
    file.write_text(yaml.safe_dump(document))
    file.chmod(0o600)
    return "faasctl", "feed", "kafka", "--env-file", str(file)


def test_settings_that_no_waiting_makes_right_are_named_and_end_it(kafka: SecuredKafka, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    login = {"mechanism": "PLAIN", "username": "super", "password": kafka.users["super"]}
    plain, tls = {"protocol": "SASL_PLAINTEXT", **login}, {"protocol": "SASL_SSL", "ca": str(kafka.ca), **login}
    wrong: Mapping[str, tuple[str, dict[str, str]]] = {
        WRONG_PASSWORD: (kafka.tls, {**tls, "password": "wrong"}),
        "the certificate is not signed by this CA": (kafka.tls, {**tls, "ca": str(other)}),
        "the CA file cannot be read": (kafka.tls, {**tls, "ca": str(tmp_path / "none.pem")}),
        "the port speaks something else, as it seems TLS": (kafka.tls, plain),
        "the port does not speak TLS": (kafka.server, tls),
        "the brokers want SASL": (kafka.server, {"protocol": "PLAINTEXT"}),
        "the port wants no SASL": (kafka.broker.server, plain),
        "the brokers do not offer the SASL mechanism SCRAM-SHA-256, but PLAIN": (
            kafka.server,
            {**plain, "mechanism": "SCRAM-SHA-256"},
        ),
        "the user may not do what it has to": (kafka.server, {**plain, "username": "nobody", "password": "pw-nobody"}),
    }

    def run(case: tuple[int, tuple[str, dict[str, str]]]) -> tuple[int, str]:
        number, (server, security) = case
        words = command(tmp_path / str(number), server, **security)
        done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr

    with ThreadPoolExecutor(len(wrong)) as threads:
        ended = dict(zip(wrong, threads.map(run, enumerate(wrong.values())), strict=True))
    for why, (code, said) in ended.items():
        assert (code, why in said, "hint: look at kafka." in said) == (1, True, True), (why, code, said)
        assert "Traceback" not in said
        assert kafka.users["super"] not in said


def test_a_letter_too_large_for_its_topic_is_kept_by_its_beginning(kafka: SecuredKafka) -> None:
    """Given a topic of dead letters that takes 200 kB, and originals larger than that, and than any record may be, then
    each is kept by its place, hash and beginning, its neighbours whole, and the next letter is taken as ever."""
    topics = Topics(outcomes="outcomes", dead_letters="dead", parked="parked")
    for name in ("outcomes", "parked"):
        kafka.broker.create(name)
    kafka.broker.create("dead", max_message_bytes="200000")
    sizes = (10, 2_000_000, 20, 17 * 2**20, 30)

    def letter(offset: int, size: int) -> Letter:
        message = Message(topic="billing", partition=0, offset=offset, timestamp=1, value="x" * size)
        failure = Failure(origin=message.origin, stage="filter", code="too_large", message="", retryable=False)
        return letters.letter(message, failure, trigger="/ns/t", rule=None)

    journal = Journal(kafka.broker.cluster, topics)
    journal.write((), dead=[letter(offset, size) for offset, size in enumerate(sizes)])
    journal.write((), dead=[letter(9, 40)])
    journal.close()

    found = {one.letter.message.offset: one for one in dead.read(kafka.broker.cluster, topics, Filter())}
    kept = {offset: len(one.letter.message.content()) for offset, one in found.items()}
    assert kept == {0: 10, 1: 65_536, 2: 20, 3: 65_536, 4: 30, 9: 40}
    assert {offset for offset, one in found.items() if one.state == "cut"} == {1, 3}
    assert found[1].letter.cut != found[3].letter.cut
    assert dead.redrive(kafka.broker.cluster, topics, [found[1], found[3]]) == 0


def test_brokers_that_go_away_or_change_the_password_are_named_while_it_runs(
    kafka: SecuredKafka, tmp_path: Path
) -> None:
    def feed(name: str, password: str) -> Service:
        security = {"protocol": "SASL_PLAINTEXT", "mechanism": "PLAIN", "username": "super", "password": password}
        return Service(name, command(tmp_path / name, kafka.server, **security), tmp_path / f"{name}.log")

    def said(name: str, text: str) -> None:
        wait(lambda: text in (tmp_path / f"{name}.log").read_text() or None, f"{name} to say: {text}")

    running, late = feed("running", kafka.users["super"]), None
    try:
        running.ready()
        kafka.broker.stop()
        late = feed("late", "changed")
        said("running", "nothing listens there")
        said("late", "waiting for Kafka: kafka " + kafka.server + ": nothing listens there")
        kafka.change_password("super", "changed")
        kafka.broker.start()
        said("late", "Kafka is reached")
        said("running", WRONG_PASSWORD)
        assert not running.ended
    finally:
        for service in (running, late):
            if service is not None:
                service.stop()


def test_a_password_that_stays_wrong_ends_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(DirectoryRegistrations):
        def all(self) -> list[Registration]:
            raise Unreachable(Cause(WRONG_PASSWORD), ["b:1"])

    monkeypatch.setattr(provider, "LASTING_S", 0.3)
    with pytest.raises(Unreachable, match=WRONG_PASSWORD):
        provider.Provider(Refusing(tmp_path), lambda one: pytest.fail(one.trigger)).run(threading.Event())


def test_a_broker_that_goes_down_hangs_up_first_and_is_away_all_the_same() -> None:
    lost = (
        "<KafkaConnection node_id=1 broker_version=(4, 3)>: Connection lost: KafkaConnectionError: socket disconnected"
    )
    assert diagnosis([lost, "Connection failed: 111 ECONNREFUSED"], "SASL_SSL").lasting is False
    assert diagnosis([lost], "SASL_SSL").why == WRONG_PASSWORD
    assert diagnosis([lost], "SSL").why == "the brokers want SASL"
    sasl = "SaslAuthenticationFailedError: Authentication failed: Invalid username or password"
    assert diagnosis(["Connection failed: 111 ECONNREFUSED", sasl], "SASL_SSL").why == WRONG_PASSWORD
