"""The registry: a CI job pushes with its id_token alone, and can do nothing else with all that it holds."""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from eventflow import catalogue, function
from eventflow.catalogue import Code, Provenance
from eventflow.function import Function
from faasctl import environment
from faasctl.build import Target
from faasctl.functions.client import Registry, RegistryError
from faasctl.functions.file import load
from faasctl.functions.package import Package, pack
from faasctl.main import main
from tests.parts.gitlab import GitLab, gitlab
from tests.parts.registry import ADMIN_KEY, Desk, deployed
from tests.unit.functions import make


@pytest.fixture(scope="module")
def issuer() -> Iterator[GitLab]:
    with gitlab() as found:
        yield found


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, issuer: GitLab) -> Iterator[Desk]:
    with deployed(tmp_path_factory.mktemp("registry"), issuer) as desk:
        yield desk


@pytest.fixture
def desk(running: Desk) -> Iterator[Desk]:
    yield running
    running.empty()


@pytest.fixture
def package(tmp_path: Path) -> Package:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "calibrate.py").write_text("def main(event):\n    return {}\n")
    return pack(folder, SPEC, Target.here())


SPEC = make("/pnfs/belle/raw/{run}/*.root", namespace="belle", write="/pnfs/belle/out/{run}/")


def job(desk: Desk, token: str) -> Registry:
    """The registry as a CI job sees it."""
    return Registry(desk.url, token)


def changed(spec: Function, **changes: Any) -> Function:
    return function.decode({**function.encode(spec), **changes})


def refusal(registry: Registry, spec: Function, package: Package, **options: Any) -> RegistryError:
    with pytest.raises(RegistryError) as caught:
        registry.push(spec, package, **options)
    return caught.value


def test_a_job_pushes_with_its_id_token_alone(desk: Desk, issuer: GitLab, package: Package) -> None:
    # when: it also claims to be somebody else
    answer = job(desk, issuer.id_token()).push(SPEC, package, by="root", commit="invented")

    # then: who pushed what stands in the registry, as the token says it
    assert (answer.name, answer.outcome) == (SPEC.full_name, "created")
    (entry,) = job(desk, issuer.id_token()).functions()
    assert (entry.pushed.by, entry.pushed.project) == ("anna", "belle/functions")
    assert entry.pushed.commit == "7b05eb3a" * 5
    assert entry.code == package.code


def test_a_project_of_no_namespace_may_nothing(desk: Desk, issuer: GitLab, package: Package) -> None:
    # given
    desk.as_administrator().push(SPEC, package)
    stranger = job(desk, issuer.id_token("mallory/functions"))

    # then: not push
    error = refusal(stranger, SPEC, package)
    assert error.status == 403
    assert "the project mallory/functions may not use the namespace 'belle'" in str(error)

    # and neither see nor stop what others pushed
    assert list(stranger.functions()) == []
    for ask in (stranger.function, stranger.remove, stranger.resume, lambda name: stranger.pause(name, drop=True)):
        with pytest.raises(RegistryError, match="may not use the namespace"):
            ask(SPEC.full_name)
    assert desk.as_administrator().function(SPEC.full_name).paused is None


def test_a_project_is_told_the_same_of_any_namespace_that_is_not_its_own(
    desk: Desk, issuer: GitLab, package: Package
) -> None:
    # given: `demo` is a namespace, `nothing` is none
    registry = job(desk, issuer.id_token())

    # when
    told = [refusal(registry, changed(SPEC, namespace=name), package) for name in ("demo", "nothing")]

    # then
    assert [error.status for error in told] == [403, 403]
    assert len({str(error).replace("demo", "X").replace("nothing", "X") for error in told}) == 1


@pytest.mark.parametrize("claims", [{"ref_protected": "false"}, {"ref_protected": None}])
def test_an_unprotected_branch_may_look_and_plan_but_not_change(
    desk: Desk, issuer: GitLab, package: Package, claims: dict[str, Any]
) -> None:
    # given
    desk.as_administrator().push(SPEC, package)
    branch = job(desk, issuer.id_token(ref="mine", **claims))

    # then
    assert branch.push(SPEC, package, plan=True).outcome == "unchanged"
    assert [entry.name for entry in branch.functions()] == [SPEC.full_name]
    with pytest.raises(RegistryError, match="from protected branches and tags only"):
        branch.remove(SPEC.full_name)
    error = refusal(branch, changed(SPEC, retries=1), package)
    assert (error.status, "default branch" in error.hint) == (403, True)


def test_a_credential_that_is_none_is_refused(desk: Desk, issuer: GitLab) -> None:
    for credential, words in [
        ("", "holds no credential"),
        (ADMIN_KEY[:-1], "neither an id_token nor the administrator's key"),
        (ADMIN_KEY + " ", None),  # blanks around it are not part of it
        (issuer.id_token(aud="https://elsewhere.example"), "for another audience"),
        (issuer.confused_token(), "not signed with RS256 or ES256"),
    ]:
        answer = requests.get(desk.url, headers={"Authorization": f"Bearer {credential}"}, timeout=30)
        if words is None:
            assert answer.status_code == 200
            continue
        assert (answer.status_code, words in answer.json()["error"]["why"]) == (401, True), answer.text
    for scheme in ("Basic", "Negotiate"):
        answer = requests.get(desk.url, headers={"Authorization": f"{scheme} {ADMIN_KEY}"}, timeout=30)
        assert answer.status_code == 401


def test_an_issuer_that_is_away_means_later(desk: Desk, issuer: GitLab) -> None:
    """The container that answers has the issuer's keys by now, so a fresh one is asked for by a deploy."""
    # given
    action = desk.platform.get("actions", "faas/registry", code="false")
    desk.platform.put("actions", "faas/registry", {"annotations": action["annotations"]}, overwrite=True)
    issuer.away = True

    # when
    try:
        with pytest.raises(RegistryError) as caught:
            job(desk, issuer.id_token()).whoami()
    finally:
        issuer.away = False

    # then
    assert caught.value.status == 503
    assert "HTTP 503" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"write": "/pnfs/other/out/"}, "not below a prefix to write"),
        ({"write": "/pnfs/belle/outside/"}, "not below a prefix to write"),
        ({"when": {"path": "/pnfs/other/{run}/*.root"}}, "not below a prefix to read"),
        ({"inputs": {"keys": "/pnfs/other/keys"}}, "not below a prefix to read"),
        ({"resources": {"cpus": 64}}, "resources.cpus 64 is more than 1"),
        ({"resources": {"runtime": "48h"}}, "resources.runtime"),
    ],
)
def test_the_policy_is_kept_at_push_whoever_pushes(
    desk: Desk, issuer: GitLab, package: Package, change: dict[str, Any], words: str
) -> None:
    for registry in (job(desk, issuer.id_token()), desk.as_administrator()):
        error = refusal(registry, changed(SPEC, **change), package)
        assert (error.status, words in str(error)) == (400, True), str(error)
        assert "policy belle" in str(error)
    assert list(desk.functions.pages("actions")) == []


def test_code_that_is_not_what_was_promised_is_refused(desk: Desk, issuer: GitLab, package: Package) -> None:
    registry = job(desk, issuer.id_token())
    for bad, words in [
        (Package(package.data, "sha256:" + "0" * 64), "not what its sha256 says"),
        (Package(package.data, "sha256:../../x"), "the code's sha256 is none"),
    ]:
        assert words in str(refusal(registry, SPEC, bad))
    assert list(desk.functions.pages("actions")) == []


def test_more_functions_than_an_answer_holds_come_page_by_page(desk: Desk, issuer: GitLab, package: Package) -> None:
    # given: more than a megabyte of them, of two namespaces
    names = sorted(f"f{number}" for number in range(24))
    code = Code(package.data, package.code)
    for name in names:
        spec = changed(SPEC, name=name, params={"table": "x" * 60_000})
        catalogue.push(desk.functions, spec, code, Provenance(), kind="python:3.11")
    other = changed(SPEC, namespace="demo", when={"path": "/demo/in/{run}/*"}, write="/demo/out/{run}/")
    catalogue.push(desk.functions, other, code, Provenance(), kind="python:3.11")

    # then
    belle = [f"belle.{name}" for name in names]
    assert [entry.name for entry in job(desk, issuer.id_token()).functions()] == belle
    assert [entry.name for entry in desk.as_administrator().functions()] == [*belle, other.full_name]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", None, 400),
        ("POST", "/functions/belle.f/explode", {}, 400),
        ("GET", "/functions/belle.f", None, 404),
        ("GET", "/functions/belle", None, 404),
        ("PUT", "/functions/belle.f", {}, 400),
        ("PUT", "/functions/belle.f", {"spec": "x", "code": {}}, 400),
        ("PUT", "/functions/belle.f", {"spec": {"name": []}, "code": {"sha256": "x"}}, 400),
        ("PUT", "/functions/belle.f/parts/x", {"sha256": "sha256:" + "0" * 64, "data": ""}, 400),
        ("PUT", "/functions/belle.f/parts/9", {"sha256": "sha256:" + "0" * 64, "data": "%%"}, 400),
        ("GET", "/functions/belle.f/logs?since=soon", None, 400),
    ],
)
def test_a_request_that_makes_no_sense_gets_a_reason(
    desk: Desk, issuer: GitLab, method: str, path: str, body: Any, status: int
) -> None:
    # when
    headers = {"Authorization": f"Bearer {issuer.id_token()}"}
    answer = requests.request(method, desk.url + path, json=body, headers=headers, timeout=30)

    # then
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["why"]
    assert "Traceback" not in answer.text


SPY = """
import os


def main(event):
    return {"environment": dict(os.environ)}
"""


def test_a_ci_job_can_do_nothing_but_push(desk: Desk, issuer: GitLab, package: Package, tmp_path: Path) -> None:
    """Given all that a CI job holds (its id_token, the registry's address, its own code in the functions namespace),
    it can neither overwrite an action of the platform, nor read its secrets, nor fire its trigger."""
    # given
    token = issuer.id_token()
    apihost = desk.url.partition("/api/v1/")[0]
    mint = desk.platform.get("actions", "faas/mint_tokens")
    trigger = desk.platform.get("triggers", "storage-events")
    said: list[requests.Response] = []

    def ask(method: str, url: str, **options: Any) -> requests.Response:
        said.append(requests.request(method, url, timeout=30, allow_redirects=False, **options))
        return said[-1]

    # when: it tries OpenWhisk's own API with its token in every place where a key could be
    evil = {"exec": {"kind": "python:3.11", "code": "def main(args): return args"}}
    for credential in (
        {"headers": {"Authorization": f"Bearer {token}"}},
        {"headers": {"Authorization": f"Basic {base64.b64encode(token.encode()).decode()}"}},
        {"auth": ("guest", token)},
        {"auth": (token, "")},
        {},
    ):
        for namespace in ("guest", "functions", "_"):
            api = f"{apihost}/api/v1/namespaces/{namespace}"
            ask("PUT", f"{api}/actions/faas/mint_tokens?overwrite=true", json=evil, **credential)
            ask("GET", f"{api}/actions/faas/mint_tokens?code=true", **credential)
            ask("POST", f"{api}/actions/faas/mint_tokens?blocking=true", json={}, **credential)
            ask("POST", f"{api}/triggers/storage-events", json={"messages": []}, **credential)
            ask("GET", f"{api}/activations?docs=true", **credential)

    # then
    assert {answer.status_code for answer in said} == {401}

    # when: it tries the door that is open to it, with names that would lead elsewhere
    web = f"{apihost}/api/v1/web/guest"
    headers = {"Authorization": f"Bearer {token}"}
    spec = function.encode(SPEC)
    code = {"sha256": package.code, "data": base64.b64encode(package.data).decode()}
    for action in ("mint_tokens", "filter_event", "submit_condor", "process", "kafka_feed", "mint_tokens.json"):
        assert ask("POST", f"{web}/faas/{action}", headers=headers, json={}).status_code == 404
    for name in (
        "faas.mint_tokens",
        "belle.x%2F..%2F..%2Ffaas%2Fmint_tokens",
        "..%2Fguest%2Ffaas.mint_tokens",
        "belle.%2e%2e",
        "parts.of",
    ):
        for method in ("PUT", "GET", "DELETE"):
            body = {"spec": spec, "code": code} if method == "PUT" else None
            assert ask(method, f"{desk.url}/functions/{name}", headers=headers, json=body).status_code >= 400
        assert ask("PUT", f"{desk.url}/functions/{name}/parts/0", headers=headers, json=code).status_code >= 400
    for parameter in ("FAAS_CALLERS", "FAAS_REGISTRY", "FAAS_POLICIES"):  # other settings for the registry itself
        given = json.dumps({"admin_key": "mine", "issuers": []})
        ask("GET", f"{desk.url}?{parameter}={given}", headers={"Authorization": "Bearer mine"})
        assert said[-1].status_code in (400, 401)

    # when: its own light function looks around where it runs
    folder = tmp_path / "spy"
    folder.mkdir()
    (folder / "spy.py").write_text(SPY)
    spy = changed(SPEC, name="spy", run={"backend": "openwhisk", "main": "spy.py"}, resources={})
    job(desk, token).push(spy, pack(folder, spy, Target.here()))
    stored = desk.functions.get("actions", "belle/spy", code="false")
    annotations = {each["key"]: each["value"] for each in stored["annotations"]}
    assert annotations["provide-api-key"] is False
    raw = {"exec": {"kind": stored["exec"]["kind"], "code": SPY}, "annotations": stored["annotations"]}
    desk.functions.put("actions", "belle/spy", raw, overwrite=True)
    seen = desk.functions.invoke("belle/spy", {})["environment"]

    # then
    assert not [name for name in seen if name == "__OW_API_KEY" or name.startswith("FAAS")]

    # and: nothing changed, nothing was fired, and no secret was said
    assert desk.platform.get("actions", "faas/mint_tokens") == mint
    assert desk.platform.get("triggers", "storage-events") == trigger
    ran = {row["name"] for row in desk.platform.get("activations", limit=200)}
    assert ran & {"mint_tokens", "storage-events", "process"} == set()
    told = json.dumps(seen) + "".join(f"{answer.text}{dict(answer.headers)}" for answer in said)
    assert [secret for secret in desk.secrets if secret in told] == []


def test_the_functions_key_does_not_open_the_platform(desk: Desk) -> None:
    """Even the key that only the platform's actions hold stays within the functions namespace."""
    user, _, key = environment.load(desk.file).openwhisk.functions.auth.reveal().partition(":")
    api = desk.url.partition("/api/v1/")[0] + "/api/v1/namespaces/guest"
    for method, path in [
        ("GET", "/actions/faas/mint_tokens"),
        ("PUT", "/actions/faas/mint_tokens?overwrite=true"),
        ("POST", "/triggers/storage-events"),
    ]:
        answer = requests.request(method, api + path, json={}, auth=(user, key), timeout=30)
        assert answer.status_code == 403, (method, path, answer.text)


def test_the_commands_take_the_job_variables_and_no_environment(
    desk: Desk,
    issuer: GitLab,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # given: a runner's folder and variables, and no environment file anywhere
    folder = Path(shutil.copytree(Path(__file__).parents[2] / "manifests/functions/calibrate", tmp_path / "calibrate"))
    text = (folder / "function.yaml").read_text()
    text = re.sub(r"/demo/(in|out)", lambda found: f"/pnfs/belle/{'raw' if found[1] == 'in' else 'out'}", text)
    (folder / "function.yaml").write_text(text.replace("namespace: demo", "namespace: belle"))
    monkeypatch.chdir(tmp_path)
    for name in ("FAASCTL_ENV", "FAASCTL_ENV_FILE", "FAASCTL_REGISTRY_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FAASCTL_REGISTRY", desk.url)
    monkeypatch.setenv("FAASCTL_ID_TOKEN", issuer.id_token())

    # when
    main_or_exit("fn", "push", "calibrate")
    main_or_exit("fn", "show", "belle.calibrate")

    # then
    out = capsys.readouterr().out
    assert "belle.calibrate 0.0.1 created" in out
    assert "pushed by anna" in out
    assert "of belle/functions" in out

    # when: there is no credential
    monkeypatch.delenv("FAASCTL_ID_TOKEN")

    # then
    assert main_or_exit("fn", "list") == 64
    assert "id_tokens as FAASCTL_ID_TOKEN" in capsys.readouterr().err
    assert load(folder).namespace == "belle"


def main_or_exit(*words: str) -> int:
    try:
        main(words)
    except SystemExit as end:
        return int(end.code or 0)
    return 0
