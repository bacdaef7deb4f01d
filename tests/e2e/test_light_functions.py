"""Light functions: the same main(event), run in OpenWhisk itself, in the functions' own namespace."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventflow import catalogue
from eventflow.catalogue import Code, Provenance
from eventflow.clients.openwhisk import OpenWhisk
from eventflow.registry import IN_FORCE_MS
from faasctl.build import Target
from faasctl.functions.package import pack
from faasctl.local.stack import TOPIC
from tests.parts.platform import Platform, wait
from tests.unit.functions import make

WORDS = """
from pathlib import Path


def main(event):
    text = Path(event["read"]["local"]).read_text()
    print("counting", event["subject"])
    if "bad" in text:
        raise ValueError("there is something bad in it")
    words = len(text.split())
    if event["write"]:
        (Path(event["write"]["local"]) / "words").write_text(str(words))
    return {"words": words}
"""


def light(folder: Path, name: str, **more: Any) -> Path:
    """A folder with a light function for /demo/in/NAME/*.txt."""
    folder = folder / name
    folder.mkdir()
    spec = {
        "name": name,
        "namespace": "demo",
        "contact": "me",
        "when": {"path": f"/demo/in/{name}/{{file}}.txt"},
        "run": {"backend": "openwhisk", "main": "words.py"},
        **more,
    }
    (folder / "function.yaml").write_text(json.dumps(spec))
    (folder / "words.py").write_text(WORDS)
    return folder


@pytest.fixture
def functions(platform: Platform) -> OpenWhisk:
    account = platform.env.openwhisk.functions
    return OpenWhisk(platform.env.openwhisk.apihost, account.auth.reveal(), namespace=account.namespace)


@pytest.fixture
def name(platform: Platform) -> Iterator[str]:
    """A name of one's own, so that every test has its own function, which is removed after it."""
    found = f"words{uuid.uuid4().hex[:8]}"
    yield found
    platform.faasctl("fn", "remove", f"demo.{found}", "--yes")


def activations(openwhisk: OpenWhisk, name: str) -> list[dict[str, Any]]:
    """What ran of a function, newest first."""
    rows = openwhisk.get("activations", limit=100, docs="true")
    return [row for row in rows if row["name"] == name]


def outcomes(platform: Platform, function: str) -> list[str]:
    """The outcomes of a function's events, as the feed told them."""
    return [one["outcome"] for one in told(platform, function)]


def told(platform: Platform, function: str) -> list[dict[str, Any]]:
    """The same, whole."""
    found = (json.loads(one["value"]) for one in platform.read_topic("faas.outcomes"))
    return [one for one in found if one["function"] == function]


def dead_letters(platform: Platform, function: str) -> list[dict[str, str]]:
    """The headers of what could not be done for a function."""
    found = platform.read_topic("faas.dead-letters")
    return [one["headers"] for one in found if one["key"].endswith(f"/{function}")]


def test_a_file_is_processed_in_place(platform: Platform, functions: OpenWhisk, name: str, tmp_path: Path) -> None:
    # given
    pushed = platform.push(light(tmp_path, name, write="/demo/out/words/"))
    assert f"demo.{name} 0.0.1 created" in pushed

    # when
    jobs = len(platform.jobs())
    platform.put(f"/demo/in/{name}/a.txt", b"three small words")
    output = platform.url("/demo/out/words/a.txt.d/words")
    wait(lambda: platform.storage.get(output).status_code == 200 or None, "the output")
    platform.drained()

    # then: its output is there as a job's would be, and no job was needed
    assert platform.storage.get(output).text == "3"
    beside = platform.storage.get(platform.url("/demo/out/words/a.txt.d/_faas/result.json")).json()
    assert (beside["exit"], beside["result"]) == (0, {"words": 3})
    assert len(platform.jobs()) == jobs
    (outcome,) = told(platform, f"demo.{name}")
    assert (outcome["outcome"], outcome["bytes_in"], outcome["bytes_out"]) == ("invoked", len("three small words"), 1)

    # and: it ran on the account of the functions, not on the platform's
    (ran,) = activations(functions, name)
    assert ran["response"]["result"]["records"][0]["result"] == {"words": 3}
    assert any(f"counting /demo/in/{name}/a.txt" in line for line in ran["logs"])
    assert activations(platform.openwhisk, name) == []

    # and: nothing that is kept of it holds a token
    assert "MDA" not in json.dumps(ran)


def test_a_batch_is_one_activation_and_each_event_has_its_own_end(
    platform: Platform, functions: OpenWhisk, name: str, tmp_path: Path
) -> None:
    # given: files that are there before the function is, and what the storage told of them
    texts = {"a": b"one", "b": b"very bad", "c": b"one two"}
    for file, text in texts.items():
        platform.put(f"/demo/in/{name}/{file}.txt", text)
    platform.drained()
    records = [text for one in platform.read_topic(TOPIC) if name in (text := one["value"].decode())]
    assert len(records) >= len(texts)

    # when: it comes again, in one batch
    platform.push(light(tmp_path, name))
    platform.send(*records)
    platform.drained()

    # then
    assert sorted(outcomes(platform, f"demo.{name}")) == ["dead-lettered", "invoked", "invoked"]
    (letter,) = dead_letters(platform, f"demo.{name}")
    assert (letter["faaserrorcode"], letter["faaserrorstage"]) == ("exit_20", "submit")
    assert "ValueError: there is something bad in it" in letter["faaserrordata"]
    (ran,) = activations(functions, name)
    found = {record["subject"]: record for record in ran["response"]["result"]["records"]}
    assert [record["exit"] for _, record in sorted(found.items())] == [0, 20, 0]
    assert found[f"/demo/in/{name}/c.txt"]["result"] == {"words": 2}


def test_what_was_put_into_openwhisk_by_hand_is_refused_at_minting(
    platform: Platform, functions: OpenWhisk, name: str, tmp_path: Path
) -> None:
    # given: a function that the registry would not take, put past it with the functions' key
    folder = light(tmp_path, name, write="/demo/in/elsewhere/")
    spec = make(f"/demo/in/{name}/{{file}}.txt", name=name, namespace="demo", write="/demo/in/elsewhere/")
    package = pack(folder, spec, Target.here())
    kind = platform.env.openwhisk.kind
    catalogue.push(functions, spec, Code(package.data, package.code), Provenance(), kind=kind)
    with pytest.raises(Exception, match="not below a prefix to write"):
        platform.faasctl("fn", "push", str(folder))

    # when
    time.sleep(IN_FORCE_MS / 1000)
    platform.put(f"/demo/in/{name}/a.txt", b"x")
    (letter,) = wait(lambda: dead_letters(platform, f"demo.{name}") or None, "its dead letter")

    # then
    assert (letter["faaserrorcode"], letter["faaserrorstage"]) == ("policy", "mint")
    assert "policy demo: write" in letter["faaserrordata"]
    assert platform.jobs(f"demo.{name}") == []
