"""The bearer of a submit token can submit one job, of that function, with those resources, and nothing else."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from pymacaroons import Macaroon

from eventflow import submittoken
from eventflow.errors import FaasError, UsageError
from eventflow.function import decode
from eventflow.macaroon import caveats, instant
from eventflow.seal import key_from_text
from faasctl.functions.file import load
from tests.parts.platform import FUNCTIONS, Platform

SUBJECT = "/demo/in/outside/{}.csv"
CONTENT = b"channel,counts\n1,2\n"


def event(platform: Platform, name: str) -> dict[str, Any]:
    """A self-sufficient event for somebody outside, whose file is there."""
    subject = SUBJECT.format(name)
    token = platform.storage.headers["Authorization"]
    platform.put(subject, CONTENT)
    assert token
    platform.job_of(subject)  # the pipeline's own; ours comes on top
    words = ("token", "mint", "--submit", "--for", "demo.calibrate", "--path", subject)
    made: dict[str, Any] = json.loads(platform.faasctl(*words))
    return made


@pytest.fixture(scope="module")
def made(platform: Platform) -> dict[str, Any]:
    """An event that none of the tests submits with success."""
    return event(platform, "never")


def post(platform: Platform, body: object, **headers: str) -> requests.Response:
    """What anybody can do: no key, no account."""
    url = f"{platform.env.openwhisk.apihost}/api/v1/web/{platform.env.openwhisk.platform.namespace}/faas/submit"
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url, json=body, headers=headers, timeout=60)


def why(answer: requests.Response) -> str:
    return str(answer.json()["error"]["why"])


def resigned(platform: Platform, key: str, *extra: str, ends: float = 60, **claims: Any) -> str:
    """A token that the platform's key did sign, with other claims than the platform would."""
    token = Macaroon(location="faasctl", identifier=key, key=key_from_text(platform.env.keys.submit.reveal()))
    spec = load(FUNCTIONS / "calibrate")
    resources = spec.resources
    values = {
        "key": key,
        "function": spec.full_name,
        "cpus": resources.cpus,
        "memory": resources.memory,
        "gpus": resources.gpus,
        "runtime": resources.runtime,
        **claims,
    }
    for text in (*(f"{name}:{value}" for name, value in values.items()), f"before:{instant(time.time() + ends)}"):
        token.add_first_party_caveat(text)
    for text in extra:
        token.add_first_party_caveat(text)
    return str(token.serialize())


def test_one_token_is_one_job_and_a_second_is_refused(platform: Platform) -> None:
    # given somebody outside with an event, who holds nothing else
    mine = event(platform, "one")

    # when they submit it four times at once
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: post(platform, mine), range(4)))

    # then there is one job, and the others are told why not
    said = [(answer.status_code, answer.json()) for answer in answers]
    jobs = [row for row in platform.jobs("demo.calibrate") if row["key"] == mine["key"]]
    assert len(jobs) == 1, said
    assert sorted({status for status, _ in said}) in ([200, 409], [200, 409, 503]), said
    assert "it is spent" in why(post(platform, mine))

    # and the job did its work with the event's own tokens, and never saw the submit token
    (job,) = (answer.json()["job"] for answer in answers if answer.status_code == 200)
    result = None
    until = time.monotonic() + 60
    while result is None and time.monotonic() < until:
        result = platform.pool.show(job)["result"]
        time.sleep(0.05)
    assert result is not None
    assert result["events"][0]["exit"] == 0
    assert mine["submit"]["macaroon"] not in json.dumps(platform.pool.show(job))


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"submit": None}, 400, "not understood"),
        ({"submit": {"macaroon": "rubbish"}}, 401, "it cannot be read"),
        ({"exec": {"function": "demo.uncompress"}}, 400, "the key of an event from outside"),
        ({"key": "0e1c/demo.calibrate"}, 400, "the key of an event from outside"),
        ({"key": "outside-a b/demo.calibrate"}, 400, "the key of an event from outside"),
        ({"key": "outside-another/demo.calibrate"}, 401, "key does not hold"),
        ({"write": None}, 400, "takes read, write"),
        ({"schema": 2}, 400, "not understood"),
    ],
)
def test_a_changed_event_is_refused_with_its_reason(
    platform: Platform, made: dict[str, Any], change: dict[str, Any], status: int, reason: str
) -> None:
    answer = post(platform, {**made, **change})
    assert (answer.status_code, reason in why(answer)) == (status, True), answer.text
    assert "MDA" not in answer.text


@pytest.mark.parametrize(
    ("place", "change", "status", "reason"),
    [
        ("read", {"path": "/demo/elsewhere/a.csv"}, 403, "does not wait for"),
        ("read", {"path": "/demo/in/../in/a.csv"}, 400, "'..'"),
        ("read", {"endpoint": "http://127.0.0.1:1"}, 400, "read.endpoint"),
        ("read", {"endpoint": "https://user:pw@127.0.0.1:1"}, 400, "read.endpoint"),
        ("read", {"macaroon": "rubbish"}, 400, "read.macaroon is neither"),
        ("write", {"path": "/demo/out/file"}, 400, "write.path is a directory"),
    ],
)
def test_a_changed_place_is_refused_with_its_reason(
    platform: Platform, made: dict[str, Any], place: str, change: dict[str, Any], status: int, reason: str
) -> None:
    answer = post(platform, {**made, place: {**made[place], **change}})
    assert (answer.status_code, reason in why(answer)) == (status, True), answer.text


def test_forged_widened_expired_and_swapped_tokens_are_refused_each_with_its_reason(
    platform: Platform, made: dict[str, Any]
) -> None:
    key = made["key"]
    own = Macaroon.deserialize(made["submit"]["macaroon"])
    own.add_first_party_caveat("cpus:64")
    stranger = Macaroon(location="faasctl", identifier=key, key=b"k" * 32)
    for text in caveats(made["submit"]["macaroon"]):
        stranger.add_first_party_caveat(text)
    spec = decode({**json.loads(platform.faasctl("fn", "show", "demo.calibrate", "-o", "json"))["spec"]})
    other = submittoken.mint(
        "outside-other/demo.calibrate",
        spec,
        now=time.time(),
        secret=key_from_text(platform.env.keys.submit.reveal()),
    )
    for token, reason in [
        (stranger.serialize(), "its signature is not this platform's"),
        (own.serialize(), "cpus does not hold: it is for 64, and this is 1"),
        (other, "key does not hold: it is for outside-other/demo.calibrate"),
        (resigned(platform, key, memory=64 * 10**9), "memory does not hold"),
        (resigned(platform, key, runtime=10**6), "runtime does not hold"),
        (resigned(platform, key, function="demo.uncompress"), "function does not hold"),
        (resigned(platform, key, ends=-5), "before does not hold: it ended at"),
        (resigned(platform, key, ends=7 * 86400), "it lives longer than 600 s"),
        (resigned(platform, key, "weekday:sunday"), "weekday does not hold"),
    ]:
        answer = post(platform, {**made, "submit": {"macaroon": token}})
        assert answer.status_code == 401, (reason, answer.text)
        assert why(answer) == f"the submit token is refused: {reason}" or reason in why(answer)
        assert token not in answer.text


def test_nothing_but_an_event_is_taken(platform: Platform, made: dict[str, Any]) -> None:
    # given the administrator's key, and settings of the platform's slipped into the request
    key = base64.b64encode(b"m" * 32).decode()
    admin = platform.env.registry.admin_key
    assert admin is not None
    without = {name: value for name, value in made.items() if name != "submit"}

    # then an identity buys nothing here, and a foreign key signs nothing
    assert post(platform, without, Authorization=f"Bearer {admin.reveal()}").status_code == 400
    forged = Macaroon(location="faasctl", identifier=made["key"], key=b"m" * 32)
    for text in caveats(made["submit"]["macaroon"]):
        forged.add_first_party_caveat(text)
    slipped = {**made, "FAAS_SUBMIT_KEY": key, "submit": {"macaroon": forged.serialize()}}
    assert post(platform, slipped).status_code in (400, 401)


def test_what_the_event_says_of_the_program_is_not_believed(platform: Platform) -> None:
    # given an event that wants to run something else, with parameters of its own
    mine = event(platform, "program")
    mine["exec"] |= {
        "command": ["/bin/sh", "-c", "id"],
        "main": "other.py",
        "code": "sha256:0",
        "env": {"LD_PRELOAD": "x"},
    }
    mine["params"] = {"gain": 1e9}
    answer = post(platform, mine)
    assert answer.status_code == 200, answer.text
    until = time.monotonic() + 60
    while (result := platform.pool.show(answer.json()["job"])["result"]) is None and time.monotonic() < until:
        time.sleep(0.05)

    # then the registered function ran
    assert result["events"][0]["exit"] == 0
    assert result["events"][0]["result"]["gain"] == load(FUNCTIONS / "calibrate").params["gain"]


def test_a_get_is_told_what_to_do(platform: Platform) -> None:
    url = f"{platform.env.openwhisk.apihost}/api/v1/web/{platform.env.openwhisk.platform.namespace}/faas/submit"
    answer = requests.get(url, timeout=30)
    assert (answer.status_code, why(answer)) == (405, "POST a self-sufficient event as JSON")


def test_tokens_are_made_as_the_pipeline_makes_them(platform: Platform) -> None:
    # when the tokens of a job are wanted by hand
    path = SUBJECT.format("by-hand")
    platform.put(path, CONTENT)
    words = ("token", "mint", "--for", "demo.calibrate", "--path", path)
    made = json.loads(platform.faasctl(*words, "-o", "json"))

    # then they are for its input and its output directory
    assert made["read"]["path"] == path
    assert made["write"]["path"] == "/demo/out/outside/by-hand.csv.d/"
    own = requests.get(
        platform.url(path),
        headers={"Authorization": f"Bearer {made['read']['macaroon']}"},
        verify=platform.storage.verify,
        timeout=30,
    )
    assert own.content == CONTENT

    # and what the policy or the function does not allow is not made
    with pytest.raises(FaasError, match="does not wait for /demo/private") as refused:
        platform.faasctl("token", "mint", "--for", "demo.calibrate", "--path", "/demo/private/a.csv")
    assert "/demo/in/{run}/{name}.csv" in refused.value.hint
    with pytest.raises(FaasError, match="there is no function"):
        platform.faasctl("token", "mint", "--for", "demo.nothing", "--path", path)
    with contextlib.suppress(UsageError):
        platform.faasctl("token", "mint", "--for", "demo.calibrate")
        pytest.fail("nothing to make a token for")


def test_a_bare_submit_token_says_one_job_with_one_core(platform: Platform) -> None:
    made = platform.faasctl("token", "mint", "--submit", "--for", "demo.calibrate")
    key, token = (line.split()[1] for line in made.splitlines())
    found = caveats(token)
    assert found[:3] == [f"key:{key}", "function:demo.calibrate", "cpus:1"]
    assert found[-1].startswith("before:")
