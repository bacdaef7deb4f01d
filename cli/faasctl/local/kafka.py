"""An Apache Kafka broker on loopback, from a folder of its jars: `python -m faasctl.local.kafka --dir DIR`.

One node in KRaft mode that is broker and controller. Ports and cluster id are chosen once and kept in
`server.properties`, so that a broker that was killed comes back where its clients look for it.
"""

from __future__ import annotations

import argparse
import base64
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from eventflow.errors import FaasError
from faasctl.local import program

JARS = "FAASCTL_KAFKA"
"""The environment variable that names Kafka: its folder of jars, or an unpacked distribution."""

START_S = 60.0

_JVM = (
    *("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"),
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)


class NoKafka(FaasError):
    """Apache Kafka is not on this machine, or does not start."""


def find_jars(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of Kafka's jars: named by `FAASCTL_KAFKA`, or beside the `kafka-server-start.sh` on the PATH.

    Raises `NoKafka`.
    """
    named = environment.get(JARS)
    script = shutil.which("kafka-server-start.sh", path=environment.get("PATH"))
    homes = [Path(named)] if named else [Path(script).resolve().parents[1]] if script else []
    for home in homes:
        for folder in (home, home / "libs"):
            if any(folder.glob("kafka_2.1?-*.jar")):
                return folder
    raise NoKafka(
        f"{named} holds no Apache Kafka" if named else "Apache Kafka is not on this machine",
        hint=f"set {JARS} to an unpacked distribution (https://kafka.apache.org/downloads), and install Java 17",
    )


def write_settings(folder: Path, more: Mapping[str, object] | None = None) -> None:
    """Write `server.properties` into ``folder`` unless it is there; ``more`` settings come last and win.

    Small buffers and short sessions: after a kill the controller takes the broker back within 3 s, not 12.
    """
    file = folder / "server.properties"
    if file.exists():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    port, controller = program.free_ports(2)
    settings: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "log.dirs": folder / "data",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        "auto.create.topics.enable": "false",
        "log.cleaner.dedupe.buffer.size": 4194304,
        "log.cleaner.backoff.ms": 500,
        "broker.session.timeout.ms": 1000,
        "broker.heartbeat.interval.ms": 250,
        **(more or {}),
    }
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))


def bootstrap_servers(folder: Path) -> str:
    """``host:port`` of the broker of ``folder``, as its settings have it."""
    for line in (folder / "server.properties").read_text().splitlines():
        name, _, value = line.partition("=")
        if name == "listeners":
            return value.partition(",")[0].removeprefix("PLAINTEXT://")
    raise NoKafka("names no listeners", where=str(folder / "server.properties"))


def start(folder: Path, jars: Path) -> subprocess.Popen[bytes]:
    """Start the broker of ``folder`` and wait until it answers; raises `NoKafka` with the end of its log."""
    java = shutil.which("java")
    if java is None:
        raise NoKafka("there is no java on the PATH", hint="Apache Kafka needs Java 17 or newer")
    write_settings(folder)
    log = folder / "broker.log"
    command = [java, *_JVM, "-cp", f"{jars}/*"]
    settings = str(folder / "server.properties")
    if not (folder / "data").exists():
        cluster = "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        tool = [*command, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", settings, "--standalone"]
        done = subprocess.run(tool, capture_output=True, text=True, cwd=folder)
        if done.returncode:
            raise NoKafka(f"its storage cannot be formatted: {done.stderr.strip()[-500:]}", where=str(folder))
    broker = program.start([*command, "kafka.Kafka", settings], log)
    end = time.monotonic() + START_S
    while not answers(bootstrap_servers(folder)):
        if broker.poll() is not None or time.monotonic() > end:
            program.end(broker)
            raise NoKafka(f"did not start: {log.read_text(errors='replace').strip()[-500:]}", hint=f"see {log}")
        time.sleep(0.05)
    return broker


def answers(server: str) -> bool:
    """Whether a broker at ``host:port`` knows of a broker (Metadata v1, without any client library)."""
    host, _, port = server.rpartition(":")
    request = struct.pack(">hhih5si", 3, 1, 1, 5, b"ready", 0)
    try:
        with socket.create_connection((host, int(port)), 1) as connection:
            connection.settimeout(2)
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = b""
            while len(answer) < 12:
                part = connection.recv(4096)
                if not part:
                    return False
                answer += part
    except OSError:
        return False
    return int(struct.unpack(">i", answer[8:12])[0]) >= 1


def main() -> int:
    """Run a broker until SIGTERM, SIGINT, or its own end."""
    parser = argparse.ArgumentParser(prog="python -m faasctl.local.kafka", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="where its settings, log and data are")
    options = parser.parse_args()
    folder = options.dir.resolve()
    return program.serve(lambda: (start(folder, find_jars()), {"bootstrap_servers": [bootstrap_servers(folder)]}))


if __name__ == "__main__":
    sys.exit(main())
