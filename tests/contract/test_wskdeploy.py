"""The same manifests, by wskdeploy and by faasctl, make the same entities.

Runs where WSKDEPLOY or the PATH name a wskdeploy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventflow.clients.openwhisk import OpenWhisk
from faasctl import bundle, strict_yaml
from faasctl.build import Target, build_actions
from faasctl.deploy import content, manifest
from faasctl.deploy.execute import execute
from faasctl.deploy.plan import make_plan
from faasctl.deploy.remote import COLLECTIONS, read_state
from faasctl.deploy.session import Session
from tests.parts import openwhisk

WSKDEPLOY = os.environ.get("WSKDEPLOY") or shutil.which("wskdeploy")
pytestmark = pytest.mark.skipif(not WSKDEPLOY, reason="no wskdeploy: set WSKDEPLOY to one")

KEY = "c2VhbHNlYWxzZWFsc2VhbHNlYWxzZWFsc2VhbHNlYWw="
MANIFEST = """\
project:
  name: demo
  packages:
    tools:
      version: 1.0.0
      license: Apache-2.0
      inputs: {region: hamburg}
      actions:
        hello:
          function: hello.py
          main: greet
          limits: {timeout: 1000, memorySize: 128, logSize: 1}
          web: raw
          annotations: {owner: us, level: 3}
          inputs:
            name: ${FOO}
            whole: $FOO
            mixed: a${FOO}b
            literal: $${FOO}
            region: $region
            count: 3
            real: 1.5
            flag: true
            declared: integer
            list: [1, two]
            long: {type: string, value: x, description: a text}
            object: {type: json, value: {a: "$FOO", b: 1}}
            document: {type: json, value: '{"c": [1, 2]}'}
            text: '{"pw": "${FOO}", "x": [1]}'
            fallback: {type: string, default: d}
        zipped: {function: folder, runtime: "python:3.11"}
        family: {function: hello.py, runtime: "python:default", web: true}
        feed: {function: hello.py, main: greet, annotations: {feed: true}}
      sequences:
        both: {actions: "hello, zipped, tools/hello", web: true}
      triggers:
        plain: {inputs: {a: 1, b: $FOO}}
        fed: {feed: /_/tools/feed, inputs: {topic: billing}}
      rules:
        run: {trigger: plain, action: both}
        other: {trigger: fed, action: tools/hello}
"""


@pytest.fixture
def host() -> Iterator[openwhisk.OpenWhisk]:
    with openwhisk.running("--kinds", "python:3.11") as running:
        yield running


def by_wskdeploy(host: openwhisk.OpenWhisk, file: Path, variables: dict[str, str]) -> None:
    assert WSKDEPLOY is not None
    address = ["--apihost", host.apihost, "--auth", host.auths["guest"], "--namespace", "guest"]
    done = subprocess.run(
        [WSKDEPLOY, "-m", file.name, *address],
        cwd=file.parent,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def by_faasctl(host: openwhisk.OpenWhisk, file: Path, variables: dict[str, str]) -> None:
    session = Session(host.apihost, host.auths["functions"], namespace="functions")
    wanted = manifest.desired(
        strict_yaml.read(file), namespace="functions", base=file.parent, variables={**os.environ, **variables}
    )
    plan = make_plan(wanted, read_state(session, wanted), apihost=host.apihost, auth=session.auth)
    assert [r for r in execute(plan, wanted, session) if r.outcome != "done"] == []


def contents(host: openwhisk.OpenWhisk, namespace: str) -> dict[str, dict[str, Any]]:
    """All entities of a namespace, without what says who made them and where."""
    client = OpenWhisk(host.apihost, host.auths[namespace], namespace=namespace)
    found = {}
    for collection in COLLECTIONS:
        for row in client.pages(collection):
            name = "/".join([*row["namespace"].split("/")[1:], row["name"]])
            whole = content.found(collection, client.get(collection, name))
            whole.pop("annotations.whisk-managed", None)
            whole.pop("code", None)
            found[f"{collection} {name}"] = {field: plain(value, namespace) for field, value in whole.items()}
    return found


def plain(value: Any, namespace: str) -> Any:
    """A value without the namespace's name, and without the mark of init-only parameters."""
    if isinstance(value, str):
        return value.replace(f"/{namespace}/", "/_/")
    if isinstance(value, list):
        return [plain(inner, namespace) for inner in value]
    if isinstance(value, dict) and value.keys() == {"init"}:
        return value["init"]
    return value


def test_a_manifest_means_the_same_to_both(host: openwhisk.OpenWhisk, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/__main__.py").write_text("def main(args): return args\n")
    (tmp_path / "hello.py").write_text("def greet(args): return args\ndef main(args): return args\n")
    file = tmp_path / "manifest.yaml"
    file.write_text(MANIFEST)

    by_wskdeploy(host, file, {"FOO": "foo"})
    by_faasctl(host, file, {"FOO": "foo"})

    assert contents(host, "guest") == contents(host, "functions")


def test_the_platforms_manifest_deploys_with_wskdeploy(host: openwhisk.OpenWhisk, tmp_path: Path) -> None:
    names = ("FUNCTIONS_AUTH", "STORAGE_PASSWORD", "POOL_TOKEN", "SEAL_KEY", "SUBMIT_KEY", "FEED_KEY", "ADMIN_KEY")
    variables = {f"FAAS_{name}": KEY for name in names}
    build_actions(bundle.action_folders(), Target.of_kind("python:3.11"), tmp_path / "dist/actions")
    file = tmp_path / "wskdeploy.yaml"
    rendered = (bundle.root() / "wskdeploy.yaml").read_text().replace("http://127.0.0.1:3233", host.apihost)
    folder = tmp_path / "registrations"
    file.write_text(rendered.replace('{"topic": "faas.registrations"}', json.dumps({"directory": str(folder)})))

    by_wskdeploy(host, file, variables)
    by_faasctl(host, file, variables)

    guest = contents(host, "guest")
    assert guest == contents(host, "functions")
    assert len(guest) == 10
    assert len(list(folder.iterdir())) == 2
