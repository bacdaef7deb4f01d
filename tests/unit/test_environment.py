"""Environment files: strict, secrets by reference, every error with its line."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from eventflow.errors import FaasError
from faasctl.environment import Secret, find, load, variables
from faasctl.environment.concerns import concerns

MINIMAL = """\
name: desy
openwhisk:
  apihost: https://openwhisk.example
  platform: {namespace: platform, auth: "${env:PLATFORM_AUTH}"}
  functions: {namespace: functions, auth: "${file:functions.key}"}
kafka:
  bootstrap_servers: [broker.example:9092]
  topics:
    billing: {instance: desy}
  registrations: {topic: faas.registrations}
storages:
  - name: main
    flavour: dcache
    prefixes: [/pnfs]
    read: https://door.example:2880
    write: https://door.example:2880
    ca: ca.pem
    credentials: {default: {basic: {username: faas, password: "${env:STORAGE_PASSWORD}"}}}
pool: {kind: htcondor, collector: "pool.example:9618", schedds: [one.example], token: "${env:POOL_TOKEN}"}
policies: policies
keys: {seal: "${env:SEAL}", submit: "${env:SUBMIT}", feed: "${env:FEED}"}
"""
PROCESS = {
    "PLATFORM_AUTH": "uuid:platform-key",
    "STORAGE_PASSWORD": "hunter2",
    "POOL_TOKEN": "pool-token",
    "SEAL": "c2VhbA==",
    "SUBMIT": "c3VibWl0",
    "FEED": "ZmVlZA==",
}


def written(folder: Path, text: str = MINIMAL, name: str = "desy.yaml") -> Path:
    (folder / "functions.key").write_text("uuid:functions-key\n")
    file = folder / name
    file.write_text(text)
    return file


def test_a_file_is_read_with_its_references_and_its_own_folder_as_base(tmp_path: Path) -> None:
    environment = load(written(tmp_path), process=PROCESS)

    assert environment.openwhisk.platform.auth.reveal() == "uuid:platform-key"
    assert environment.openwhisk.functions.auth.reveal() == "uuid:functions-key"
    assert environment.storages[0].ca == str(tmp_path / "ca.pem")
    assert environment.policies == str(tmp_path / "policies")
    assert environment.openwhisk.kind == "python:3.11"
    assert environment.kafka.outcomes == "faas.outcomes"


def test_no_secret_shows_in_a_repr(tmp_path: Path) -> None:
    text = repr(load(written(tmp_path), process=PROCESS))

    for secret in (*PROCESS.values(), "uuid:functions-key"):
        assert secret not in text
    assert "Secret(env:STORAGE_PASSWORD)" in text


@pytest.mark.parametrize(
    ("old", "new", "line", "why", "hint"),
    [
        ("apihost:", "api_host:", 3, "unknown key 'api_host'", "did you mean 'apihost'?"),
        ("instance: desy", "instance: 7", 9, "expected `str`, got `int`", ""),
        ("flavour: dcache", "flavour: eos", 13, "invalid enum value 'eos'", ""),
        ("kind: htcondor", "kind: slurm", 19, "'slurm' is no kind", "htcondor"),
        ("schedds: [one.example], ", "", 19, "'schedds' is missing", "add pool.schedds: ..."),
        ("${env:SEAL}", "${env:SAEL}", 21, "the variable SAEL is not set", "did you mean 'SEAL'?"),
        ("${env:SEAL}", "${SEAL}", 21, "${SEAL} is no reference", "${env:NAME}"),
        ("${env:SEAL}", "${env:SEAL", 21, "${env:SEAL is no reference", "${env:NAME}"),
        ("${file:functions.key}", "${file:nothing}", 5, "No such file", "check the path"),
        ("${env:POOL_TOKEN}", "plain-token", 19, "a file that others may read", ""),
        ("basic: {", "bearer: x, basic: {", 18, "others may read", ""),
        ("{topic: faas.registrations}", "{}", 10, "a topic or a directory", "topic: NAME"),
        ("${env:PLATFORM_AUTH}", "${env:SEAL}", 4, "is no OpenWhisk key", "uuid:key"),
        ("namespace: platform", "namespace: _", 4, "must be the namespace's own name", "wsk namespace list"),
        ("policies: policies", "name: again", 20, "'name' stands twice", ""),
    ],
)
def test_what_is_wrong_is_named_by_line_and_hint(
    tmp_path: Path, old: str, new: str, line: int, why: str, hint: str
) -> None:
    assert old in MINIMAL
    file = written(tmp_path, MINIMAL.replace(old, new))

    with pytest.raises(FaasError) as caught:
        load(file, process=PROCESS)

    assert caught.value.where.startswith(f"{file}:{line}")
    assert why in str(caught.value)
    assert hint in caught.value.hint
    for secret in PROCESS.values():
        assert secret not in str(caught.value) + caught.value.hint


def test_a_secret_may_stand_in_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    file = written(tmp_path, MINIMAL.replace("${env:POOL_TOKEN}", "plain-token"))
    file.chmod(0o600)

    assert load(file, process=PROCESS).pool.token == Secret("plain-token")


def test_references_can_be_left_for_wskdeploy_but_files_cannot(tmp_path: Path) -> None:
    file = written(tmp_path, MINIMAL.replace("${file:functions.key}", "${env:FUNCTIONS_AUTH}"))
    environment = load(file, look_up=variables.as_wskdeploy)
    assert environment.keys.seal.reveal() == "${SEAL}"

    with pytest.raises(FaasError, match="cannot be written into a wskdeploy manifest"):
        load(written(tmp_path), look_up=variables.as_wskdeploy)


def test_a_name_is_looked_up_in_the_project_then_the_user_then_the_running_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    bundled = find.find("local")
    assert bundled.parent.name == "environments"

    running = find.local_stack_file()
    running.parent.mkdir(parents=True)
    running.touch()
    assert find.find("local") == running

    users = tmp_path / "config/faasctl/environments/local.yaml"
    users.parent.mkdir(parents=True)
    users.touch()
    assert find.find("local") == users

    own = tmp_path / "environments/local.yaml"
    own.parent.mkdir()
    own.touch()
    assert find.find("local") == own.relative_to(tmp_path)


def test_an_unknown_name_lists_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments/desy.yaml").touch()

    with pytest.raises(FaasError) as caught:
        load("deisy")

    assert "desy" in str(caught.value)
    assert "faasctl init deisy" in caught.value.hint


def changed(folder: Path, credential: str, more: str = "") -> Path:
    old = 'credentials: {default: {basic: {username: faas, password: "${env:STORAGE_PASSWORD}"}}}'
    return written(folder, MINIMAL.replace(old, f"credentials: {{default: {credential}}}{more}"))


@pytest.mark.parametrize(
    ("credential", "why"),
    [
        ("{}", "must be exactly one of basic, bearer, x509, oidc, jwt"),
        ("{bearer: x, x509: {cert: a}}", "must be exactly one of"),
        ("{oidc: {token_endpoint: 'http://iam', client_id: a, client_secret: x}}", "must be an https URL"),
        ("{oidc: {token_endpoint: 'https://iam', client_id: a}}", "client_secret: is missing"),
        ("{jwt: {token_endpoint: 'https://iam', client_id: a, grant: token_exchange}}", "does not go with the grant"),
        ("{jwt: {token_endpoint: 'https://iam', client_id: a, grant: password}}", "invalid enum value"),
    ],
)
def test_a_credential_is_of_one_kind_and_whole(tmp_path: Path, credential: str, why: str) -> None:
    file = changed(tmp_path, credential)
    file.chmod(0o600)
    with pytest.raises(FaasError, match=why):
        load(file, process=PROCESS)


def test_files_of_credentials_are_relative_to_the_environment(tmp_path: Path) -> None:
    file = changed(tmp_path, "{x509: {cert: proxy.pem}}", "\n    max_token_life: 36h")
    storage = load(file, process=PROCESS).storages[0]
    assert storage.credentials["default"].x509 is not None
    assert storage.credentials["default"].x509.cert == str(tmp_path / "proxy.pem")
    assert storage.max_token_life == 36 * 3600


def test_networks_and_lives_that_are_none_are_refused(tmp_path: Path) -> None:
    for more, why in [("subnets: [10.0.0.1/8]", "is no network"), ("max_token_life: long", "is no duration")]:
        file = changed(tmp_path, "{bearer: '${env:SEAL}'}", f"\n    {more}")
        with pytest.raises(FaasError, match=why):
            load(file, process=PROCESS)


def test_what_will_be_trouble_is_said_beforehand(tmp_path: Path) -> None:
    # given a bearer token that ends, a certificate that has ended, and networks of one family
    now = time.time()
    body = base64.urlsafe_b64encode(json.dumps({"exp": now + 60}).encode()).decode()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "faas")])
    start, end = (datetime.fromtimestamp(now - days * 86400, UTC) for days in (2, 1))
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, start, end).sign(key, hashes.SHA256())
    (tmp_path / "ended.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    more = "\n    subnets: [10.0.0.0/8]"
    text = f"{{bearer: 'h.{body}.s'}}, old: {{x509: {{cert: ended.pem, key: k.pem}}}}"
    file = changed(tmp_path, text, more)
    file.chmod(0o600)

    # then each is named, and no secret is
    said = list(concerns(load(file, process=PROCESS).storages, now))
    assert [line.partition(": c")[0] for line in said[:2]] == ["storage main", "storage main"]
    assert "the bearer token ends at" in said[0]
    assert "the certificate ended at" in said[1]
    assert "IPv4 only" in said[2]
    assert body not in "".join(said)
