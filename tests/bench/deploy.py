"""Deploying 200 entities to a host that is 20 ms away, against writing them one after another, and against wskdeploy
where WSKDEPLOY or the PATH names one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from eventflow.clients.openwhisk import OpenWhisk
from faasctl import strict_yaml
from faasctl.deploy import content
from faasctl.deploy.execute import execute
from faasctl.deploy.manifest import desired
from faasctl.deploy.model import Desired, entity_id
from faasctl.deploy.plan import make_plan
from faasctl.deploy.remote import COLLECTIONS, read_state
from faasctl.deploy.session import Session
from tests.bench.result import Result, against, times_as_fast
from tests.parts import openwhisk
from tests.parts.slow import delayed

FURTHER_AWAY = 0.020
UNIT = "s for 200 entities, 20 ms away"
ACTIONS, SEQUENCES, TRIGGERS, RULES = 150, 20, 9, 20


def manifest() -> str:
    """A package with 199 entities in it or beside it."""
    lines = ["project:", "  name: bench", "  packages:", "    bench:", "      actions:"]
    code = "{code: 'def main(args): return args', runtime: 'python:3.11', inputs: {a: 1}}"
    lines += [f"        a{n}: {code}" for n in range(ACTIONS)]
    lines += ["      sequences:", *(f"        s{n}: {{actions: 'a{n}, a{n + 1}'}}" for n in range(SEQUENCES))]
    lines += ["      triggers:", *(f"        t{n}: {{inputs: {{a: {n}}}}}" for n in range(TRIGGERS))]
    lines += ["      rules:", *(f"        r{n}: {{trigger: t{n % TRIGGERS}, action: a{n}}}" for n in range(RULES))]
    return "\n".join(lines)


def project(namespace: str) -> Desired:
    """The entities of the manifest."""
    document = strict_yaml.parse(manifest().encode(), "bench.yaml")
    return desired(document, namespace=namespace, base=Path(tempfile.gettempdir()), variables={})


def measure() -> dict[str, Result]:
    """``deploy.first_vs_serial`` in seconds, ``deploy.second_writes`` in writes, each against the serial way."""
    with (
        openwhisk.running("--kinds", "python:3.11", namespaces=("serial", "parallel", "wskdeploy")) as host,
        delayed(host.apihost, FURTHER_AWAY) as apihost,
    ):
        one_by_one = OpenWhisk(apihost, host.auths["serial"], namespace="serial")
        begin = time.perf_counter()
        for entity in project("serial").entities:
            name = entity_id(entity)
            one_by_one.put(name.collection, name.name, content.body(entity, {}), overwrite=True)
        serial = time.perf_counter() - begin

        session = Session(apihost, host.auths["parallel"], namespace="parallel")
        begin = time.perf_counter()
        entities = deploy(session)
        first = time.perf_counter() - begin
        client = OpenWhisk(host.apihost, session.auth, namespace="parallel")
        before = versions(client)
        begin = time.perf_counter()
        deploy(session)
        second = time.perf_counter() - begin
        writes = len(before.items() ^ versions(client).items())
        results = {
            "deploy.first_vs_serial": times_as_fast(first, UNIT, serial),
            "deploy.second_vs_serial": times_as_fast(second, UNIT, serial),
            "deploy.second_writes": against(writes, "writes", entities),
        }
        if program := os.environ.get("WSKDEPLOY") or shutil.which("wskdeploy"):
            taken = by_wskdeploy(program, apihost, host.auths["wskdeploy"])
            results["deploy.first_vs_wskdeploy"] = times_as_fast(first, UNIT, taken)
    return results


def by_wskdeploy(program: str, apihost: str, auth: str) -> float:
    """How long wskdeploy takes for the same manifest, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "manifest.yaml").write_text(manifest())
        command = [program, "-m", "manifest.yaml", "--apihost", apihost, "--auth", auth, "--namespace", "wskdeploy"]
        begin = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True, env={**os.environ, "HOME": folder})
        return time.perf_counter() - begin


def deploy(session: Session) -> int:
    """Plan and apply; how many entities the project has."""
    wanted = project("parallel")
    plan = make_plan(wanted, read_state(session, wanted), apihost=session.apihost, auth=session.auth)
    for result in execute(plan, wanted, session):
        assert result.outcome == "done", result
    return len(wanted.entities)


def versions(client: OpenWhisk) -> dict[tuple[str, str], tuple[str, int]]:
    """When each entity was written last."""
    return {
        (collection, row["name"]): (row["version"], row["updated"])
        for collection in COLLECTIONS
        for row in client.pages(collection)
    }
