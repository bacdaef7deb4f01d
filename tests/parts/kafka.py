"""A real Apache Kafka: its jars from Maven Central, its broker on free ports of the loopback address.

@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with running(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from faasctl.local.kafka import JARS, find_jars, write_settings
from faasctl.local.process import Service
from faasfeeds.kafka.cluster import Cluster
from tests.parts.debian import CACHE, missing

VERSION = "4.3.1"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>faasctl</groupId><artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""


class Kafka:
    """A broker that can be stopped, killed and started again on the same ports, with its data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._service = Service("kafka", ("faasctl.local.kafka", "--dir", str(folder)), folder / "service.log")
        self._facts = self._service.ready(90)

    @property
    def server(self) -> str:
        """``host:port``."""
        return str(self._facts["bootstrap_servers"][0])

    @property
    def cluster(self) -> Cluster:
        """How to connect to it."""
        return Cluster(bootstrap_servers=(self.server,))

    def kill(self) -> None:
        """End it with -9."""
        os.kill(self._facts["pid"], signal.SIGKILL)

    def stop(self) -> None:
        """End it as an operator would."""
        self._service.stop()

    def start(self) -> None:
        """Start it again."""
        self._facts = self._service.restart()

    def create(self, name: str, *, partitions: int = 1, **settings: str) -> None:
        """Create a topic; settings in Kafka's words with ``_`` for ``.``."""
        configs = {key.replace("_", "."): value for key, value in settings.items()}
        admin = self.cluster.admin()
        try:
            topic = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
            admin.create_topics({name: topic})
        finally:
            admin.close()

    def produce(self, topic: str, *values: bytes | None, key: bytes | None = None, **where: Any) -> None:
        """Write records and wait until they are there."""
        producer = self.cluster.producer(linger_ms=20)
        try:
            key = b"k" if key is None and None in values else key
            futures = [producer.send(topic, value=value, key=key, **where) for value in values]
            for future in futures:
                future.get(timeout=30)
        finally:
            producer.close(timeout=5)


@contextmanager
def running(folder: Path, settings: Mapping[str, object] | None = None) -> Iterator[Kafka]:
    """Start a broker that keeps everything in ``folder``; skips, or fails, when this machine cannot have one."""
    jars()
    write_settings(folder, settings)
    broker = Kafka(folder)
    try:
        yield broker
    finally:
        broker.stop()


def jars() -> Path:
    """Kafka's jars, fetched once, and named to `faasctl` as a user would name them."""
    if shutil.which("java") is None:
        missing("kafka: there is no java on this machine")
    if JARS not in os.environ:
        folder = CACHE / f"kafka-{VERSION}"
        CACHE.mkdir(exist_ok=True)
        with (CACHE / "kafka.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes want them at once
            if not folder.exists():
                _fetch(folder)
        os.environ[JARS] = str(folder)
    return find_jars()


def _fetch(folder: Path) -> None:
    if shutil.which("mvn") is None:
        missing("kafka: there is no mvn on this machine to fetch it with")
    with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
        Path(temporary, "pom.xml").write_text(POM)
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={temporary}/jars"]
        done = subprocess.run(["mvn", "-B", "-q", *goal], cwd=temporary, capture_output=True, text=True, timeout=300)
        if done.returncode:
            missing(f"kafka: Maven cannot fetch it: {done.stdout.strip()[-300:]}")
        Path(temporary, "jars").rename(folder)
