"""`faasctl plan`, `deploy`, `undeploy` as processes: interrupted, at the same time, against wrong hosts."""

from __future__ import annotations

import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from eventflow.clients.openwhisk import OpenWhisk
from tests.parts import openwhisk
from tests.parts.slow import delayed

ACTIONS = 60
FEED = """\
import os, pathlib, time
def main(args):
    folder = pathlib.Path(os.environ["FOLDER"])
    with (folder / "calls").open("a") as log:
        log.write(args["lifecycleEvent"] + "\\n")
    end = time.time() + 30
    while (folder / "block").exists() and time.time() < end:
        time.sleep(0.02)
    return {}
"""


class Project:
    """A folder with a manifest of many actions, and a `.wskprops` that leads to a namespace."""

    def __init__(self, folder: Path, host: openwhisk.OpenWhisk, actions: int = ACTIONS) -> None:
        self.folder = folder
        self.auth = host.auths["guest"]
        self.client = OpenWhisk(host.apihost, self.auth, namespace="guest")
        self.manifest = folder / "manifest.yaml"
        (folder / "feed.py").write_text(FEED)
        self.write(actions, "hello")
        self.point_to(host.apihost)

    def write(self, actions: int, word: str) -> None:
        code = "code: 'def main(args): return {}', runtime: 'python:3.11'"
        lines = ["project:", "  name: many", "  packages:", "    many:", "      actions:"]
        lines += [f"        a{n}: {{{code}, inputs: {{w: {word}}}}}" for n in range(actions)]
        lines += ["        feed:", "          function: feed.py", "          runtime: python:3.11"]
        lines += [f"          inputs: {{FOLDER: {self.folder}}}", "          annotations: {faas-init: FOLDER}"]
        lines += ["      triggers:", "        t: {feed: feed}", "      rules:"]
        lines += [f"        r{n}: {{trigger: t, action: a{n}}}" for n in range(3)]
        self.manifest.write_text("\n".join(lines) + "\n")

    def point_to(self, apihost: str, **more: str) -> None:
        properties = {"APIHOST": apihost, "AUTH": self.auth, "NAMESPACE": "_", **more}
        (self.folder / "wskprops").write_text("".join(f"{k}={v}\n" for k, v in properties.items()))

    def start(self, *words: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "WSK_CONFIG_FILE": str(self.folder / "wskprops"), "NO_COLOR": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "faasctl", *words, "--manifest", str(self.manifest)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=self.folder,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def names(self, collection: str) -> set[str]:
        return {row["name"] for row in self.client.pages(collection)}


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


@pytest.fixture
def host() -> Iterator[openwhisk.OpenWhisk]:
    with openwhisk.running() as running:
        yield running


@pytest.fixture
def project(host: openwhisk.OpenWhisk, tmp_path: Path) -> Project:
    return Project(tmp_path, host)


def test_a_deploy_that_is_killed_is_finished_by_the_next(project: Project, host: openwhisk.OpenWhisk) -> None:
    with delayed(host.apihost, 0.1) as slow:
        project.point_to(slow)
        first = project.start("deploy")
        until(lambda: len(project.names("actions")) >= 5)
        first.kill()
        first.communicate()
    assert len(project.names("actions")) < ACTIONS + 1
    project.point_to(host.apihost)

    code, out, err = project.run("deploy")

    assert code == 0, err
    assert f"{ACTIONS + 6 - int(out.split(' unchanged')[0].split()[-1])} created" in out
    assert project.names("actions") == {f"a{n}" for n in range(ACTIONS)} | {"feed"}
    assert project.run("plan", "--detailed-exitcode")[0] == 0


def test_a_deploy_that_is_killed_while_it_tells_a_feed_tells_it_again(project: Project) -> None:
    (project.folder / "block").touch()
    first = project.start("deploy")
    until(lambda: (project.folder / "calls").exists())
    first.kill()
    first.communicate()
    (project.folder / "block").unlink()
    code, out, _ = project.run("plan", "--detailed-exitcode")
    assert code == 2
    assert "its feed was not told yet" in out

    assert project.run("deploy")[0] == 0

    assert (project.folder / "calls").read_text().split() == ["CREATE", "CREATE"]
    assert project.run("plan", "--detailed-exitcode")[0] == 0


def test_two_deploys_at_once_lose_nothing(project: Project, host: openwhisk.OpenWhisk) -> None:
    with delayed(host.apihost, 0.03) as slow:
        project.point_to(slow)
        both = [project.start("deploy") for _ in range(2)]
        results = [(*process.communicate(timeout=60), process.returncode) for process in both]

    assert [code for _, _, code in results] == [0, 0], results
    assert any("made by another deploy at the same time" in err for _, err, _ in results)
    project.point_to(host.apihost)
    assert project.run("plan", "--detailed-exitcode")[0] == 0
    assert {project.client.get("rules", f"r{n}")["status"] for n in range(3)} == {"active"}


def test_two_deploys_of_different_manifests_are_told_of_each_other(
    project: Project, host: openwhisk.OpenWhisk, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Project(tmp_path_factory.mktemp("other"), host)
    other.write(ACTIONS, "goodbye")
    with delayed(host.apihost, 0.05) as slow:
        project.point_to(slow)
        other.point_to(slow)
        both = [project.start("deploy"), other.start("deploy")]
        results = [(*process.communicate(timeout=60), process.returncode) for process in both]

    assert 1 in [code for _, _, code in results]
    assert any("another deploy seems to run: wait for it" in err for _, err, _ in results)
    other.point_to(host.apihost)
    assert other.run("deploy", "--yes")[0] == 0
    assert other.run("plan", "--detailed-exitcode")[0] == 0


def test_a_saved_plan_is_applied_as_it_is_or_not_at_all(project: Project) -> None:
    code, out, _ = project.run("plan", "--out", "plan.json", "--detailed-exitcode", "-o", "json")
    assert code == 2
    assert json.loads(out)["project"] == "many"
    assert (project.folder / "plan.json").stat().st_mode & 0o077 == 0
    assert project.run("deploy", "plan.json")[0] == 0

    project.write(ACTIONS, "changed")
    project.run("plan", "--out", "plan.json")
    project.client.put("actions", "many/a7", {"parameters": []}, overwrite=True)
    code, _, err = project.run("deploy", "plan.json")

    assert code == 1
    assert "plan.json: no longer fits: action many/a7 changed" in err
    assert "run faasctl plan again" in err
    parameters = project.client.get("actions", "many/a1")["parameters"]
    assert parameters == [{"key": "w", "value": "hello"}]


def test_a_saved_plan_holds_no_secret(project: Project) -> None:
    text = project.manifest.read_text().replace("{w: hello}", '{w: "${PASSWORD}"}')
    project.manifest.write_text(text)
    os.environ["PASSWORD"] = "correct horse"
    try:
        project.run("plan", "--out", "plan.json")
    finally:
        del os.environ["PASSWORD"]

    saved = (project.folder / "plan.json").read_text()
    assert "many/a1" in saved
    assert "correct horse" not in saved
    assert project.auth.partition(":")[2] not in saved


def test_deletions_need_a_yes(project: Project) -> None:
    assert project.run("deploy")[0] == 0
    project.write(3, "hello")

    code, _, err = project.run("deploy")
    assert code == 64
    assert "this would delete action many/a10" in err
    assert len(project.names("actions")) == ACTIONS + 1

    assert project.run("deploy", "--yes")[0] == 0
    assert project.names("actions") == {"a0", "a1", "a2", "feed"}
    assert project.run("undeploy", "--yes")[0] == 0
    assert project.names("packages") == set()
    assert (project.folder / "calls").read_text().split() == ["CREATE", "DELETE"]
    assert project.run("undeploy", "--yes")[1].startswith("0 created, 0 updated, 0 deleted")


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>welcome</html>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def web_server(context: ssl.SSLContext | None = None) -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_a_host_that_is_no_openwhisk(project: Project) -> None:
    with web_server() as port:
        project.point_to(f"http://127.0.0.1:{port}")
        code, _, err = project.run("plan")

    assert code == 1
    assert "answered HTTP 200 with text/html instead of JSON" in err
    assert "hint: " in err
    assert "Traceback" not in err


def test_a_certificate_that_does_not_verify(project: Project) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with web_server(context) as port:
        project.point_to(f"https://127.0.0.1:{port}")
        code, _, err = project.run("plan")
        authority.cert_pem.write_to_path(project.folder / "ca.pem")
        project.point_to(f"https://127.0.0.1:{port}", CERT=str(project.folder / "ca.pem"))
        _, _, trusted = project.run("plan")

    assert code == 1
    assert "TLS does not verify" in err
    assert "CA" in err
    assert "instead of JSON" in trusted


def test_a_host_that_is_not_there(project: Project) -> None:
    project.point_to("http://127.0.0.1:9")

    start = time.monotonic()
    code, _, err = project.run("plan")

    assert code == 1
    assert "no answer" in err
    assert "is the host up?" in err
    assert time.monotonic() - start < 15


def test_a_key_that_is_wrong(project: Project) -> None:
    project.point_to(project.client.apihost, AUTH="00000000-0000-0000-0000-000000000000:wrong", NAMESPACE="guest")

    code, _, err = project.run("plan")

    assert code == 1
    assert "authentication is invalid" in err
    assert "check the key" in err
    assert "wrong" not in err


def test_wskprops_that_say_too_little(project: Project) -> None:
    (project.folder / "wskprops").write_text("APIHOST=127.0.0.1\n")

    code, _, err = project.run("plan")

    assert code == 1
    assert "AUTH is missing" in err
    assert "wsk property set --auth" in err


def test_a_manifest_that_names_its_host_needs_no_wskprops(project: Project) -> None:
    (project.folder / "wskprops").unlink()
    address = f"  apiHost: {project.client.apihost}\n  credential: ${{KEY}}\n"
    project.manifest.write_text(project.manifest.read_text().replace("  name: many\n", f"  name: many\n{address}"))
    os.environ["KEY"] = project.auth
    try:
        code, out, err = project.run("plan", "--detailed-exitcode")
    finally:
        del os.environ["KEY"]

    assert code == 2, err
    assert f"in namespace guest of {project.client.apihost}" in out


def test_without_any_address_the_local_stack_is_suggested(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (project.folder / "wskprops").unlink()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in list(os.environ):
        if name.startswith("FAAS"):
            monkeypatch.delenv(name)

    code, _, err = project.run("plan")

    assert code == 1
    assert "faasctl local up" in err
