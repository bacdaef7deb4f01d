"""The policies, rendered for HTCondor, on a real pool: the second wall."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from eventflow import policy
from eventflow.clients import condor
from eventflow.clients.condor import HTCondorPool, Setup
from eventflow.exactly_once import Job, PoolRefused
from eventflow.function import Resources
from faasctl import bundle
from faasctl.doctor.pool import judged
from faasctl.htcondor_policy import configuration
from tests.integration.test_condor import job, until
from tests.parts import htcondor
from tests.parts.htcondor import Pool

BOTH = {"read": ["/data/in"], "write": ["/data/out"]}
POLICIES: list[dict[str, Any]] = [
    {
        **BOTH,
        "namespace": "belle",
        "max_resources": {"cpus": 2, "memory": "2GiB", "runtime": "1h"},
        "accounting_group": "group_faas.belle",
        "accounting_share": 0.25,
        "job_attributes": {"WantNice": True, "Site": 'a "quoted" $HOME'},
    },
    {**BOTH, "namespace": "ilc", "max_resources": {"cpus": 1, "memory": "1GiB", "runtime": "10m", "gpus": 1}},
    {**BOTH, "namespace": "old", "disabled": True},
]


VARIABLES = (
    *("FAAS_PLATFORM_AUTH", "FAAS_FUNCTIONS_AUTH", "FAAS_STORAGE_PASSWORD", "FAAS_ADMIN_KEY"),
    *("FAAS_SEAL_KEY", "FAAS_SUBMIT_KEY", "FAAS_FEED_KEY"),
)
"""What the example environment takes from the process."""


@pytest.fixture(scope="module")
def part() -> Iterator[Pool]:
    site = (bundle.manifests() / "htcondor/60-faas-schedd.conf").read_text()
    with htcondor.condor(site + configuration("test", [policy.decode(one) for one in POLICIES])) as running:
        yield running


@pytest.fixture(scope="module")
def pool(part: Pool) -> HTCondorPool:
    return condor.schedds(part.collector, part.token(), [part.schedd])[part.schedd]


def doctor(part: Pool, token: str, folder: Path) -> dict[str, dict[str, str]]:
    """What `faasctl doctor pool` says, by what it is about; for each token in a process of its own, which has one
    identity at a pool."""
    file = folder / "environment.yaml"
    environment = yaml.safe_load((bundle.manifests() / "environments" / "local.yaml").read_text())
    site = {"kind": "htcondor", "collector": part.collector, "schedds": [part.schedd], "token": token}
    file.write_text(yaml.safe_dump(environment | {"pool": site, "policies": POLICIES}))
    file.chmod(0o600)
    variables = {name: f"{name}:{name}-{'x' * 32}" for name in VARIABLES}
    words = ["-m", "faasctl", "doctor", "pool", "-o", "json", "--env-file", str(file)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=os.environ | variables)
    found = {row["about"].removeprefix(f"schedd {part.schedd}"): row for row in json.loads(done.stdout)}
    assert done.returncode == any(row["level"] == "problem" for row in found.values()), done.stderr
    return found


def test_doctor_finds_the_second_wall(part: Pool, tmp_path: Path) -> None:
    levels = {about: row["level"] for about, row in doctor(part, part.token(), tmp_path).items()}
    parts = ("", ": version", ": 60-faas-schedd.conf", ": 61-faas-policies.conf", "pool.token")
    assert levels == dict.fromkeys(parts, "ok")


def test_doctor_tells_of_a_token_that_the_pool_did_not_sign(part: Pool, tmp_path: Path) -> None:
    head, claims, _ = part.token().split(".")
    wrong = doctor(part, f"{head}.{claims}.{'A' * 43}", tmp_path)[""]
    assert wrong["level"] == "problem"
    assert wrong["why"].endswith("lets nobody submit with this token: it has ended, or is another pool's")
    assert wrong["remedy"].startswith("condor_token_create")


def test_doctor_tells_what_an_old_schedd_without_the_configuration_lacks() -> None:
    about = {
        one.about: one
        for one in judged("schedd one", Setup(user="faas@site", version=(10, 0, 9), requirements=frozenset()))
    }
    old = about["schedd one: version"]
    assert (old.level, old.why) == ("warning", "is 10.0.9, older than 23.9, the oldest that was tried")
    for file, name in (("60-faas-schedd.conf", "FaasShape"), ("61-faas-policies.conf", "FaasPolicyRuntime")):
        lacking = about[f"schedd one: {file}"]
        assert lacking.level == "warning"
        assert name in lacking.why
        assert file in lacking.remedy
        assert lacking.remedy.endswith("condor_reconfig")


def of_belle(**changes: Any) -> Job:
    resources = Resources(**({"cpus": 2, "memory": 2 * 2**30, "runtime": 3600.0} | changes.pop("resources", {})))
    described: dict[str, Any] = {"namespace": "belle", "accounting_group": "group_faas.belle", "resources": resources}
    return job(**(described | {"function": "belle.f"} | changes))


def test_what_the_policy_allows_is_taken_with_the_policys_attributes(part: Pool, pool: HTCondorPool) -> None:
    (id,) = pool.submit([of_belle()])
    names = ("RequestCpus", "RequestMemory", "RequestRuntime", "AccountingGroup", "WantNice", "Site")
    said = part.run("condor_q", id, "-af:r", *names).strip()
    assert said == r'2 2048 3600 "group_faas.belle.belle" true "a \"quoted\" $HOME"'


@pytest.mark.parametrize(
    ("oversize", "reason"),
    [
        ({"resources": {"cpus": 3}}, "the policy of belle allows at most 2 cpus, not 3"),
        ({"resources": {"memory": 2**31 + 1}}, "the policy of belle allows at most 2048 MB of memory, not 2049"),
        ({"resources": {"gpus": 1}}, "the policy of belle allows at most 0 GPUs, not 1"),
        ({"resources": {"runtime": 3601.0}}, "the policy of belle allows at most 3600 s of runtime, not 3601"),
        (
            {"accounting_group": "group_other"},
            "the policy of belle has its jobs paid by group_faas.belle, not by group_o",
        ),
        ({"accounting_group": None}, "paid by group_faas.belle, not by nobody"),
        ({"namespace": "cms"}, "there is no policy for belle.f of cms"),
        ({"namespace": "ilc", "accounting_group": None}, "there is no policy for belle.f of ilc"),
        ({"namespace": "old", "function": "old.f", "accounting_group": None}, "the namespace old is disabled"),
    ],
)
def test_what_it_does_not_allow_is_refused_with_its_reason(
    pool: HTCondorPool, oversize: dict[str, Any], reason: str
) -> None:
    with pytest.raises(PoolRefused) as refused:
        pool.submit([of_belle(**oversize)])
    assert reason in str(refused.value)


def test_each_namespace_has_its_own_caps(pool: HTCondorPool) -> None:
    described: dict[str, Any] = {"namespace": "ilc", "function": "ilc.f", "accounting_group": None}
    small = {"cpus": 1, "memory": 2**30, "runtime": 600.0, "gpus": 1}
    pool.submit([of_belle(**described, resources=small)])
    with pytest.raises(PoolRefused, match="the policy of ilc allows at most 1 cpus, not 2"):
        pool.submit([of_belle(**described, resources=small | {"cpus": 2})])


def test_a_job_cannot_be_enlarged_afterwards(part: Pool, pool: HTCondorPool) -> None:
    (id,) = pool.submit([of_belle()])
    attributes = {"RequestCpus": "64", "RequestMemory": "999999", "RequestGPUs": "8", "FaasRuntime": "999999"}
    attributes |= {"AcctGroup": '"group_other"', "FaasNamespace": '"ilc"', "PeriodicRemove": "false"}
    before = part.run("condor_q", id, "-af:r", *attributes)
    for name, value in attributes.items():
        with contextlib.suppress(Exception):  # the bindings raise for some and are silent for others
            pool._connected().edit(id, name, value)
    assert part.run("condor_q", id, "-af:r", *attributes) == before


def test_a_group_can_be_switched_off(part: Pool, pool: HTCondorPool) -> None:
    pool.submit([of_belle()])
    config = part.home / "condor_config"
    text = config.read_text()
    config.write_text(text + "\nFAAS_DISABLED = old group_faas.belle\n")
    part.run("condor_reconfig", "-schedd")
    try:
        until(lambda: "the namespace belle is disabled" in _refusal(pool))
    finally:
        config.write_text(text)
        part.run("condor_reconfig", "-schedd")
    until(lambda: _refusal(pool) == "")


def _refusal(pool: HTCondorPool) -> str:
    try:
        pool.submit([of_belle()])
    except PoolRefused as refused:
        return str(refused)
    return ""


def test_the_negotiator_knows_the_groups_and_their_shares(part: Pool) -> None:
    values = part.run(
        "condor_config_val", "GROUP_NAMES", "GROUP_QUOTA_DYNAMIC_group_faas.belle", "GROUP_ACCEPT_SURPLUS_group_faas"
    )
    assert values.split() == ["group_faas", "group_faas.belle", "0.25", "True"]
