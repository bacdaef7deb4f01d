"""Each check of `faasctl doctor`, shown failing once, with the message that a person would need."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from kafka import OffsetAndMetadata, TopicPartition
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType
from msgspec.structs import replace

from faasctl import topics
from faasctl.deploy import sources
from faasctl.deploy.execute import execute
from faasctl.deploy.options import planned
from faasctl.doctor import CHECKS, examine, openwhisk_limits, pool
from faasctl.doctor.finding import Finding
from faasctl.environment import Environment, Secret
from faasctl.environment.model import Credential, HTCondorPool, KafkaSecurity, Registrations
from faasctl.main import main
from tests.parts import openwhisk, secured_kafka
from tests.parts.platform import Platform, running
from tests.parts.secured_kafka import SecuredKafka


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running(tmp_path_factory.mktemp("stack") / "stack", functions=()) as platform:
        yield platform


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka.running(tmp_path_factory.mktemp("kafka"), "feed", "nobody") as broker:
        yield broker


def found(env: Environment, name: str) -> dict[str, Finding]:
    """What one check says, by what it is about."""
    (check,) = (check for check in CHECKS if check.name == name)
    return {finding.about: finding for _, finding in examine(env, [check])}


def only_problem(env: Environment, name: str) -> Finding:
    (wrong,) = (one for one in found(env, name).values() if one.level == "problem")
    assert wrong.remedy
    return wrong


def jwt(**claims: Any) -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims))
    return ".".join((*parts, "signature"))


def with_credential(env: Environment, **kind: Any) -> Environment:
    storage = replace(env.storages[0], credentials={"default": Credential(**kind)})
    return replace(env, storages=(storage,))


def on_kafka(env: Environment, broker: SecuredKafka, user: str) -> Environment:
    password = Secret(broker.users[user])
    security = KafkaSecurity(protocol="SASL_PLAINTEXT", mechanism="PLAIN", username=user, password=password)
    registrations = Registrations(topic="faas.registrations")
    servers = (broker.server,)
    return replace(
        env,
        kafka=replace(
            env.kafka, bootstrap_servers=servers, api_version=None, security=security, registrations=registrations
        ),
    )


def test_a_platform_that_is_well_has_nothing_to_complain_of(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(platform.faasctl("doctor", "-o", "json"))
    assert {row["check"] for row in found} == {check.name for check in CHECKS}
    assert [row for row in found if row["level"] not in ("ok", "skipped")] == []
    assert {row["check"] for row in found if row["level"] == "skipped"} == {"kafka", "kafka-topics", "kafka-rights"}


def test_a_problem_is_told_by_the_exit_code(platform: Platform, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    text = platform.stack.environment_file.read_text()
    file.write_text(text.replace(platform.env.openwhisk.kind, "python:2"))
    file.chmod(0o600)
    with pytest.raises(SystemExit) as end:
        main(["doctor", "openwhisk", "--env-file", str(file)])
    assert end.value.code == 1


def test_a_credential_that_ended(platform: Platform) -> None:
    wrong = only_problem(with_credential(platform.env, bearer=Secret(jwt(exp=time.time() - 60))), "credentials")
    assert wrong.about == "storage main: default (bearer)"
    assert wrong.why.startswith("ended at 20")
    assert "oidc" in wrong.remedy
    soon = found(with_credential(platform.env, bearer=Secret(jwt(exp=time.time() + 60))), "credentials")
    assert soon["storage main: default (bearer)"].level == "warning"


def test_a_key_that_is_none(platform: Platform) -> None:
    keys = replace(platform.env.keys, seal=Secret("short"))
    assert "openssl rand -base64 32" in only_problem(replace(platform.env, keys=keys), "credentials").remedy


def test_two_keys_are_in_force(platform: Platform) -> None:
    seal = platform.env.keys.seal.reveal()
    keys = replace(platform.env.keys, seal=Secret(f"{seal} {seal}"))
    told = found(replace(platform.env, keys=keys), "credentials")["keys.seal"]
    assert (told.level, told.why) == ("warning", "the key before it is still in force")
    assert "faasctl secret rotate keys.seal" in told.remedy


def test_a_secret_that_was_changed_and_not_deployed(platform: Platform) -> None:
    registry = replace(platform.env.registry, admin_key=Secret("another key of more than 32 characters"))
    told = found(replace(platform.env, registry=registry), "deployed-secrets")
    (about,) = told
    assert about == "registry.admin_key in action faas/registry"
    assert told[about].level == "warning"
    assert told[about].remedy == "faasctl secret rotate registry.admin_key"


def test_a_token_that_has_ended_where_it_is_deployed(platform: Platform) -> None:
    """Given a token that the environment has a newer one of, when the deployed one ends, then a person is needed."""
    ended, renewed = (with_credential(platform.env, bearer=Secret(jwt(exp=time.time() + s))) for s in (-60, 86400))
    try:
        deploy(ended)
        wrong = only_problem(renewed, "deployed-secrets")
    finally:
        deploy(platform.env)
    assert wrong.why.startswith("the deployed one ended at 20")
    assert wrong.remedy == "faasctl secret rotate storages.main.credentials.default.bearer"


def deploy(env: Environment) -> None:
    """The platform as this environment wants it."""
    desired, session = sources.platform(env), sources.session_of(env)
    assert all(one.worked for one in execute(planned(desired, session), desired, session))


def test_a_certificate_of_another_ca(platform: Platform) -> None:
    storage = replace(platform.env.storages[0], ca=None)
    wrong = only_problem(replace(platform.env, storages=(storage,)), "certificates")
    assert "does not verify" in wrong.why
    assert "ca of storage main" in wrong.remedy


@pytest.mark.parametrize(("days", "level", "why"), [(3, "warning", "ends at"), (-1, "problem", "has expired")])
def test_a_certificate_that_ends(platform: Platform, tmp_path: Path, days: int, level: str, why: str) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost", not_after=datetime.now(UTC) + timedelta(days=days)).configure_cert(context)
    with http_server(context=context) as port:
        site = replace(platform.env.openwhisk, apihost=f"https://localhost:{port}", ca=str(tmp_path / "ca.pem"))
        (about,) = (one for one in found(replace(platform.env, openwhisk=site), "certificates").values() if one.remedy)
    assert about.level == level
    assert why in about.why
    assert about.remedy.startswith("renew")


def test_a_port_that_speaks_no_tls(platform: Platform) -> None:
    with http_server() as port:
        site = replace(platform.env.openwhisk, apihost=f"https://localhost:{port}")
        wrong = only_problem(replace(platform.env, openwhisk=site), "certificates")
    assert wrong.why.startswith("no TLS connection")
    assert wrong.remedy == "is the server up, is the port right?"


def test_a_clock_that_is_two_minutes_off(platform: Platform) -> None:
    with http_server(clock=lambda: time.time() - 120) as port:
        site = replace(platform.env.openwhisk, apihost=f"http://localhost:{port}")
        wrong = only_problem(replace(platform.env, openwhisk=site), "clocks")
    assert wrong.why == "is 120 s behind this machine's clock"
    assert "chronyc" in wrong.remedy


def test_a_key_of_another_namespace(platform: Platform) -> None:
    site = replace(platform.env.openwhisk, platform=replace(platform.env.openwhisk.functions, namespace="guest"))
    wrong = only_problem(replace(platform.env, openwhisk=site), "openwhisk")
    assert wrong.why == "the key owns the namespace functions, the environment says guest"


def test_a_runtime_that_is_not_there(platform: Platform) -> None:
    site = replace(platform.env.openwhisk, kind="python:2")
    wrong = only_problem(replace(platform.env, openwhisk=site), "openwhisk")
    assert platform.env.openwhisk.kind in wrong.remedy


def test_limits_that_are_too_small() -> None:
    limits = {"firesPerMinute": 20, "invocationsPerMinute": 10, "maxActionTimeout": 10_000}
    levels = {one.about: (one.level, one.remedy) for one in openwhisk_limits.judged(limits, "faas")}
    assert levels["fires"] == ("warning", "wskadmin limits set faas --firesPerMinute 60")
    assert levels["invocations"] == ("warning", "wskadmin limits set faas --invocationsPerMinute 100")
    assert levels["action timeout"][0] == "problem"


def test_a_pipeline_that_is_not_deployed_or_fails(platform: Platform) -> None:
    with openwhisk.running() as host:
        accounts = {name: getattr(platform.env.openwhisk, name) for name in ("platform", "functions")}
        accounts = {name: replace(one, auth=Secret(host.auths[one.namespace])) for name, one in accounts.items()}
        env = replace(platform.env, openwhisk=replace(platform.env.openwhisk, apihost=host.apihost, **accounts))
        assert only_problem(env, "activations").remedy == "faasctl deploy"

        code = "def main(args): return {'error': 'FAAS_SEAL_KEY is not set'}"
        from faasctl.doctor.openwhisk import client

        client(env).put("packages", "faas", {})
        client(env).put("actions", "faas/process", {"exec": {"kind": platform.env.openwhisk.kind, "code": code}})
        assert "FAAS_SEAL_KEY is not set" in only_problem(env, "activations").why


def test_brokers_that_are_not_there(platform: Platform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    env = replace(platform.env, kafka=replace(platform.env.kafka, bootstrap_servers=(f"127.0.0.1:{port}",)))
    checks = [check for check in CHECKS if check.name.startswith("kafka")]
    findings = dict(examine(env, checks))
    assert findings["kafka"].why == "nothing listens there"
    assert "bootstrap_servers" in findings["kafka"].remedy
    assert findings["kafka-topics"].why == findings["kafka-rights"].why == "makes no sense before kafka is well"


def test_a_password_that_is_wrong(platform: Platform, kafka: SecuredKafka) -> None:
    env = on_kafka(platform.env, kafka, "feed")
    security = replace(env.kafka.security, password=Secret("wrong"))
    wrong = only_problem(replace(env, kafka=replace(env.kafka, security=security)), "kafka")
    assert wrong.why == "the user name or password is wrong"


def test_topics_and_rights_as_rendered_are_right_and_others_are_not(platform: Platform, kafka: SecuredKafka) -> None:
    """The very topics and ACLs that `render --target kafka` prints, on brokers that enforce them."""
    env = on_kafka(platform.env, kafka, "feed")
    wanted = {one.name: one for one in (*topics.events(env), *topics.own(env))}
    for one in wanted.values():
        if one.name != "faas.parked":
            settings = {**one.settings, "retention.ms": "3600000"} if one.name == "billing" else one.settings
            kafka.broker.create(one.name, partitions=1, **{k.replace(".", "_"): v for k, v in settings.items()})
    grant(kafka, env, "feed", lambda right: right.service in ("feed", "watcher", "action", "people"))

    about = found(env, "kafka-topics")
    assert about["topic faas.parked"].why == "does not exist, or may not be seen"
    assert "before the longest outage" in about["topic billing"].why
    assert about["topic billing"].remedy.endswith("--add-config retention.ms=259200000")
    assert {name for name, one in about.items() if one.level == "ok"} == {
        "topic faas.outcomes",
        "topic faas.dead-letters",
        "topic faas.registrations",
    }
    kafka.broker.create("faas.parked")
    assert found(env, "kafka-rights")["group /guest/*"].level == "skipped"
    feed = kafka.broker.cluster.consumer("/guest/storage-events")
    feed.commit({TopicPartition("billing", 0): OffsetAndMetadata(0, "", -1)})
    feed.close()
    assert [one for one in found(env, "kafka-rights").values() if one.level != "ok"] == []
    assert {one.level for one in found(env, "kafka").values()} == {"ok"}

    other = on_kafka(platform.env, kafka, "nobody")
    grant(kafka, env, "nobody", lambda right: right.service == "feed" and right.operation != "WRITE")
    about = found(other, "kafka-rights")
    assert about["topic faas.outcomes"].why == "nobody may not WRITE"
    assert "render --target kafka" in about["topic faas.outcomes"].remedy
    assert about["topic billing"].level == about["group /guest/*"].level == "ok"


def test_a_storage_that_refuses_the_platform(platform: Platform) -> None:
    basic = platform.env.storages[0].credentials["default"].basic
    assert basic is not None
    env = with_credential(platform.env, basic=replace(basic, password=Secret("wrong")))
    wrong = [one for one in found(env, "storage-rights").values() if one.level == "problem"]
    assert wrong[0].about == "policy demo: /demo/out"
    assert "cannot write a file" in wrong[0].why
    assert "401" in wrong[0].why


def test_a_file_by_an_owner_that_the_platform_does_not_know(platform: Platform) -> None:
    env = with_credential(platform.env, bearer=Secret(platform.stack.status["storage"]["token"]))
    wrong = only_problem(env, "storage-events")
    assert "demo wrote the file" in wrong.why
    assert "add demo to identities of storage main" in wrong.remedy


def test_a_schedd_that_does_not_know_the_token(platform: Platform) -> None:
    env = replace(platform.env, pool=replace(platform.env.pool, token=Secret("wrong")))
    assert "token" in only_problem(env, "pool").why


def test_a_token_that_may_not_submit(platform: Platform) -> None:
    token = Secret(jwt(scope="condor:/READ"))
    site = HTCondorPool(collector="127.0.0.1:1", schedds=("one",), token=token)
    about = {one.about: one for one in pool.check(replace(platform.env, pool=site))}
    assert about["pool.token"].why == "does not allow WRITE"
    assert about["schedd one"].level == "problem"


def grant(kafka: SecuredKafka, env: Environment, user: str, wanted: Callable[[topics.Right], bool]) -> None:
    acls = [
        ACL(
            principal=f"User:{user}",
            host="*",
            operation=ACLOperation[right.operation],
            permission_type=ACLPermissionType.ALLOW,
            resource_pattern=ResourcePattern(
                ResourceType[right.kind.upper()],
                right.name,
                ACLResourcePatternType.PREFIXED if right.kind == "group" else ACLResourcePatternType.LITERAL,
            ),
        )
        for right in topics.rights(env)
        if wanted(right)
    ]
    admin = kafka.broker.cluster.admin()
    try:
        assert not admin.create_acls(acls)["failed"]
    finally:
        admin.close()


class http_server:  # noqa: N801
    """An HTTP server with a clock, and a certificate, of its own."""

    def __init__(self, clock: Callable[[], float] = time.time, context: ssl.SSLContext | None = None) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(204)
                self.end_headers()

            def date_time_string(self, timestamp: float | None = None) -> str:
                return formatdate(clock(), usegmt=True)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> int:
        self._thread.start()
        return int(self._server.server_port)

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
