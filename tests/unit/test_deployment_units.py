"""The deployment units start the services as they are, with the secrets that they need and no others."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from faasctl import bundle
from faasctl.commands import feed, secret
from faasctl.exposition import Address
from faasctl.monitor import LIVE_S
from faasctl.sd_notify import Systemd
from faasctl.secrets.services import FEED_CONDOR, FEED_KAFKA, POOL
from faasctl.services import MissingSecret, service_environment

SYSTEMD = bundle.manifests() / "systemd"
UNITS = sorted(SYSTEMD.glob("faasctl-feed-*.service"))
NEEDS = {"kafka": FEED_KAFKA, "condor": FEED_CONDOR}
FILES = {
    "kafka-password": "kafka.security.password",
    "feed-key": "keys.feed",
    "functions-auth": "openwhisk.functions.auth",
    "pool-token": "pool.token",
    "admin-key": "registry.admin_key",
}


def unit(file: Path) -> dict[str, list[str]]:
    """The [Service] section, each setting with its values."""
    found: dict[str, list[str]] = {}
    section = file.read_text().partition("[Service]")[2].partition("[Install]")[0]
    for line in section.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.stem)
def test_a_unit_runs_a_command_with_the_credentials_that_it_needs(file: Path) -> None:
    settings = unit(file)
    words = settings["ExecStart"][0].split()
    assert CliRunner().invoke(feed.command, [words[2], "--help"]).exit_code == 0
    assert settings["Type"] == ["notify"]
    assert int(settings["WatchdogSec"][0]) == LIVE_S
    credentials = {one.partition(":")[0] for one in settings["LoadCredential"]}
    assert words[3:] == ["--env-file", "%d/environment.yaml"]
    assert {FILES[name] for name in credentials - {"environment.yaml"}} == {*NEEDS[words[2]]}.difference(POOL[1:])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
@pytest.mark.parametrize("file", [*UNITS, SYSTEMD / "faasctl-secrets@.service"], ids=lambda file: file.stem)
def test_systemd_finds_a_unit_well_formed_and_safe(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / f"{file.stem}desy.service"
    copy.write_text(file.read_text().replace("/opt/faasctl/bin/faasctl", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True)
    assert copy.name not in done.stderr, done.stderr
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", str(copy)],
        capture_output=True,
        text=True,
    )
    assert judged.returncode == 0, judged.stdout[-500:]


def test_changed_secrets_reach_actions_and_services() -> None:
    words = unit(SYSTEMD / "faasctl-secrets@.service")["ExecStart"][0].split()
    assert CliRunner().invoke(secret.command, [*words[2:4], "--help"]).exit_code == 0
    assert (SYSTEMD / "faasctl-secrets@.timer").is_file()
    watched = (SYSTEMD / "faasctl-services@.path").read_text()
    assert {name for name in FILES if f"PathChanged=/etc/faasctl/environments/{name}\n" in watched} == set(FILES)
    started = unit(SYSTEMD / "faasctl-services@.service")["ExecStart"][0].split()
    assert started[2:] == [f"{file.stem}%i.service" for file in reversed(UNITS)]


def test_the_deployments_start_the_same_commands() -> None:
    for document in yaml.safe_load_all((bundle.manifests() / "kubernetes" / "feeds.yaml").read_text()):
        pod = document["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert CliRunner().invoke(feed.command, [container["args"][1], "--help"]).exit_code == 0
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}


def test_metrics_and_health_are_where_the_units_look_for_them() -> None:
    parameters = {name: one for service in (feed.kafka, feed.condor) for one in service.params if (name := one.envvar)}
    addresses = []
    for file in UNITS:
        name, _, value = unit(file)["Environment"][0].partition("=")
        addresses.append(parameters[name].type.convert(value, None, None))
    assert {address.host for address in addresses} == {"127.0.0.1"}
    assert len({address.port for address in addresses}) == len(UNITS)
    for document in yaml.safe_load_all((bundle.manifests() / "kubernetes" / "feeds.yaml").read_text()):
        template = document["spec"]["template"]
        (container,) = template["spec"]["containers"]
        given = {
            one["name"]: parameters[one["name"]].type.convert(one["value"], None, None) for one in container["env"]
        }
        (port,) = container["ports"]
        assert given["FAASCTL_METRICS"] == Address("0.0.0.0", port["containerPort"])
        assert given["FAASCTL_LOG_FORMAT"] == "json"
        probes = {name: container[name]["httpGet"] for name in ("livenessProbe", "readinessProbe")}
        assert {probe["port"] for probe in probes.values()} == {port["name"]}
        assert [probes[name]["path"] for name in probes] == ["/health/live", "/health/ready"]
        scraped = template["metadata"]["annotations"]
        assert (scraped["prometheus.io/scrape"], scraped["prometheus.io/path"]) == ("true", "/metrics")
        assert scraped["prometheus.io/port"] == str(port["containerPort"])


def test_a_service_needs_only_its_own_secrets_and_says_which_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "environment.yaml"
    example = (bundle.manifests() / "environments" / "local.yaml").read_text()
    file.write_text(example.replace("${env:FAAS_FEED_KEY}", "${file:feed-key}"))
    with pytest.raises(MissingSecret, match=r"keys\.feed"):
        service_environment(file, "keys.feed")
    (tmp_path / "feed-key").write_text("a key\n")
    env = service_environment(file, "keys.feed")
    assert env.keys.feed.reveal() == "a key"
    assert env.keys.seal.reveal().startswith("${")


def test_systemd_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(5)
        service = Systemd({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"})
        service.ready("feeding")
        service.alive()
        service.alive()
        service.stopping()
        told = [supervisor.recv(100).decode() for _ in range(3)]
    assert told == ["READY=1\nSTATUS=feeding", "WATCHDOG=1", "STOPPING=1"]
    Systemd({}).ready("nobody listens")
