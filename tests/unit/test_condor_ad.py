"""What HTCondor is told of a job, and what is made of its answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventflow.clients import condor_ad
from eventflow.exactly_once import Job, PoolRefused
from eventflow.function import Limits, Resources

JOB = Job(
    key="id-1/belle.calibrate",
    function="belle.calibrate",
    namespace="belle",
    version="0.0.3",
    code="sha256:00",
    origin="billing/3/17",
    expires=2e9 + 0.7,
    files={"events.jsonl": b"MDAx-token", "runner.py": b""},
)


def described(**changes: object) -> dict[str, str]:
    fields = {name: getattr(JOB, name) for name in Job.__struct_fields__} | changes
    return condor_ad.description(Job(**fields), ["events.jsonl", "runner.py"])


def test_a_description_holds_nothing_of_the_files() -> None:
    assert "MDAx" not in str(described()) + str(condor_ad.item(JOB, "/tmp/x"))


def test_sizes_are_in_htcondors_units_and_rounded_up() -> None:
    sizes = described(resources=Resources(cpus=2, memory=2 * 10**9, disk=10**9 + 1))
    assert (sizes["request_cpus"], sizes["request_memory"], sizes["request_disk"]) == ("2", "1908", "976563")
    assert "request_disk" not in described(resources=Resources(disk=None))
    assert "request_gpus" not in described()
    assert described(resources=Resources(gpus=1))["request_gpus"] == "1"


def test_accounting_is_the_policys() -> None:
    assert "accounting_group" not in described()
    accounted = described(accounting_group="group_faas.belle")
    assert accounted["accounting_group"] == "group_faas.belle"
    assert accounted["accounting_group_user"] == "belle"


def test_an_image_makes_a_container_job() -> None:
    image = described(image="/cvmfs/unpacked.cern.ch/x:1")
    assert (image["universe"], image["container_image"]) == ("container", "/cvmfs/unpacked.cern.ch/x:1")


@pytest.mark.parametrize("max_running", [1, 3, 200, 1_000_000])
def test_max_running_is_a_share_of_the_default_limit(max_running: int) -> None:
    name, _, units = described(limits=Limits(max_running=max_running))["concurrency_limits"].partition(":")
    assert name == "faas.belle_calibrate"
    assert int(units) * max_running <= condor_ad.LIMIT_UNITS < int(units) * (max_running + 1) * 2


@pytest.mark.parametrize(
    "change",
    [
        {"image": "docker://x\nqueue"},
        {"image": "$(HOME)"},
        {"accounting_group": "a b"},
        {"attributes": {"FaasKeys": "other"}},
        {"attributes": {"x y": 1}},
        {"attributes": {"Fine": "line\nbreak"}},
        {"attributes": {"Fine": "ends in \\"}},
    ],
)
def test_what_a_submit_description_cannot_carry_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(PoolRefused):
        described(**change)


def test_attributes_of_the_policy_are_literals() -> None:
    attributes = described(attributes={"WantX": True, "N": 3, "F": 0.5, "S": 'a "b" $(c)'})
    assert attributes["My.WantX"] == "true"
    assert attributes["My.N"] == "3"
    assert attributes["My.F"] == "0.5"
    assert attributes["My.S"] == '"a \\"b\\" $(DOLLAR)(c)"'


@given(st.text(min_size=1))
def test_a_key_comes_back_as_it_was(key: str) -> None:
    text = condor_ad.key_text(key.encode("utf-8", "replace").decode())
    assert not set(text) & set('"\\$\n\x1f')
    assert condor_ad.literal(text) == f'"{text}"'
    ad = {"ClusterId": 7, "ProcId": 1, "JobStatus": 1, "EnteredCurrentStatus": 90, "ServerTime": 100}
    row = condor_ad.queued({**ad, "FaasKeys": text, "FaasFunction": "f"}, "s", 1000.0)
    assert row is not None
    assert (row.key, row.id, row.since) == (key.encode("utf-8", "replace").decode(), "7.1", 990.0)


@pytest.mark.parametrize(
    ("ad", "state"),
    [
        ({"JobStatus": 5, "HoldReasonCode": 16}, "spooling"),
        ({"JobStatus": 5, "HoldReasonCode": 16, "StageInFinish": 1}, "held"),
        ({"JobStatus": 5, "HoldReasonCode": 1, "StageInFinish": 1}, "held"),
        ({"JobStatus": 1, "StageInFinish": 1}, "idle"),
        ({"JobStatus": 2, "StageInFinish": 1}, "running"),
        ({"JobStatus": 6, "StageInFinish": 1}, "running"),
        ({"JobStatus": 4, "StageInFinish": 1}, "completed"),
        ({"JobStatus": 3, "StageInFinish": 1}, "removed"),
        ({"JobStatus": 3}, None),
    ],
)
def test_the_state_of_a_job(ad: dict[str, int], state: str | None) -> None:
    common = {"ClusterId": 7, "ProcId": 1, "EnteredCurrentStatus": 90, "FaasKeys": "k", "FaasFunction": "f"}
    row = condor_ad.queued({**common, **ad}, "s", 1000.0)
    assert (row.state if row else None) == state


def test_ids_are_asked_for_by_cluster() -> None:
    assert condor_ad.ids_constraint(["7.2", "8.0", "7.0"]) == (
        "(ClusterId == 7 && member(ProcId, {0, 2})) || (ClusterId == 8 && member(ProcId, {0}))"
    )
    assert condor_ad.lookup_constraint([], []) == "false"


@pytest.mark.parametrize(
    ("ad", "wall", "bytes_in"),
    [
        ({}, 7.0, None),
        ({"ShadowBday": 990, "ChirpFaasBytesIn": 5}, 17.0, 5),  # the schedd has not seen the shadow's end yet
        ({"ShadowBday": 990, "JobStatus": 2, "ChirpFaasBytesIn": -5}, 7.0, None),
        ({"ShadowBday": 1010, "ChirpFaasBytesIn": "much"}, 7.0, None),
    ],
)
def test_what_a_job_used(ad: dict[str, object], wall: float, bytes_in: int | None) -> None:
    plain = {"ClusterId": 1, "ProcId": 0, "JobStatus": 4, "StageInFinish": 1, "EnteredCurrentStatus": 1000}
    row = condor_ad.watched(
        {**plain, "FaasKeys": "k", "FaasFunction": "ns.f", "RemoteWallClockTime": 7, **ad}, "s", 1e9
    )
    assert row is not None
    assert (row.wall, row.bytes_in) == (wall, bytes_in)
