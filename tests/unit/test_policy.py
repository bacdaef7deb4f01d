"""Policies: what a function may not do is refused, and the rule that it breaks is named."""

from typing import Any

import pytest

from eventflow import policy
from eventflow.policy import Policy, PolicyError, check_function, check_paths
from eventflow.spec import SpecError, key_text
from tests.unit.functions import make


def belle(**changes: Any) -> Policy:
    plain = {"namespace": "belle", "read": ["/pnfs/belle/raw"], "write": ["/pnfs/belle/out/"], **changes}
    return policy.decode(plain)


def function(path: str = "/pnfs/belle/raw/{run}/*.root", **changes: Any) -> Any:
    return make(path, **{"write": "/pnfs/belle/out/{run}", **changes})


def test_a_function_within_its_policy_is_accepted() -> None:
    check_function(belle(), function())


@pytest.mark.parametrize(
    ("rules", "changes", "rule"),
    [
        ({}, {"path": "/pnfs/belle/raw2/{run}/x"}, "read"),
        ({}, {"path": "/pnfs/belle/{kind}/{run}"}, "read"),
        ({}, {"path": "/pnfs/**", "write": "/other"}, "read"),
        ({}, {"inputs": {"c": "/pnfs/belle/constants/{run}"}}, "read"),
        ({}, {"inputs": {"c": "/pnfs/belle/{run}/raw"}}, "read"),
        ({}, {"write": "/pnfs/belle/output/{run}"}, "write"),
        ({}, {"write": "/pnfs/belle/out{run}"}, "write"),
        ({"disabled": True}, {}, "disabled"),
        ({}, {"namespace": "atlas"}, "namespace"),
        ({}, {"resources": {"cpus": 2}}, "max_resources.cpus"),
        ({"max_resources": {"memory": "1GB"}}, {}, "max_resources.memory"),
        ({"max_resources": {"runtime": "10m"}}, {}, "max_resources.runtime"),
        ({}, {"resources": {"gpus": 1}}, "max_resources.gpus"),
        ({}, {"when": {"where": {"principal": {"uid": [0]}}}}, "expose"),
    ],
)
def test_the_broken_rule_is_named(rules: dict[str, Any], changes: dict[str, Any], rule: str) -> None:
    # given
    subject = function(**changes)

    # when
    with pytest.raises(PolicyError) as caught:
        check_function(belle(**rules), subject)

    # then
    assert caught.value.rule == rule
    assert caught.value.code == "policy"
    assert not caught.value.retryable
    assert rule in str(caught.value)


def test_paths_are_compared_by_whole_segments() -> None:
    check_paths(belle(), read=["/pnfs/belle/raw/x", "/pnfs/belle/raw"], write="/pnfs/belle/out/x.d/")
    for read, write in [("/pnfs/belle/raw2/x", None), ("/pnfs/belle", None), ("/pnfs/belle/raw/x", "/pnfs/belle")]:
        with pytest.raises(PolicyError):
            check_paths(belle(), read=[read], write=write)


def test_nothing_is_allowed_where_nothing_is_listed() -> None:
    with pytest.raises(PolicyError):
        check_paths(belle(read=[]), read=["/pnfs/belle/raw/x"], write=None)


def test_the_principal_may_be_asked_for_where_it_is_exposed() -> None:
    check_function(belle(expose=["principal"]), function(when={"where": {"principal": {"uid": [0]}}}))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"raed": []}, "raed"),
        ({"read": ["/"]}, "read[0]"),
        ({"read": ["pnfs"]}, "read[0]"),
        ({"write": ["/a", "/b/../c"]}, "write[1]"),
        ({"max_queue": "5s"}, "max_queue"),
        ({"max_token_life": "1h"}, "max_token_life"),
        ({"max_resources": {"cpu": 1}}, "max_resources.cpu"),
        ({"max_token_life": "long"}, "max_token_life"),
        ({"expose": ["raw"]}, "expose[0]"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(SpecError) as caught:
        belle(**changes)
    assert key_text(caught.value.key) == key


def test_what_is_encoded_decodes_to_the_same_policy() -> None:
    rules = belle(max_resources={"memory": "8GB"}, job_attributes={"WantX": True}, credentials={"main": "belle"})
    assert policy.decode(policy.encode(rules)) == rules
