"""Plan and apply against a host: first all, then nothing, then only what changed; and never what is not ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventflow.clients import openwhisk as client
from faasctl import strict_yaml
from faasctl.deploy.execute import Result, execute
from faasctl.deploy.manifest import desired as desired_of
from faasctl.deploy.model import Desired
from faasctl.deploy.plan import Foreign, Plan, make_plan, removal
from faasctl.deploy.remote import read_state
from faasctl.deploy.session import Session
from tests.parts import openwhisk

FEED = """\
import json, os, pathlib
def main(args):
    log = pathlib.Path(os.environ["LOG"])
    calls = json.loads(log.read_text()) if log.exists() else []
    known = [c for c in calls if c["event"] == "CREATE"] and calls[-1]["event"] != "DELETE"
    event = args["lifecycleEvent"]
    if args.get("topic") == "forbidden":
        return {"error": "no such topic"}
    if event == "CREATE" and known:
        return {"error": "exists"}
    if event == "UPDATE" and args.get("topic") == "elsewhere":
        return {"error": "a topic cannot be changed"}
    call = {"event": event, "trigger": args["triggerName"], "topic": args.get("topic")}
    calls.append(call | {"by": os.environ["__OW_ACTION_NAME"], "auth": args["authKey"]})
    log.write_text(json.dumps(calls))
    return {"ok": True}
"""
MANIFEST = """\
project:
  name: demo
  packages:
    demo:
      inputs: {site: desy}
      actions:
        hello:
          function: hello.py
          runtime: python:3.11
          limits: {timeout: 10000, memorySize: 128}
          inputs: {greeting: hello, password: "${PASSWORD}"}
          annotations: {faas-init: password, owner: us}
        feed:
          function: feed.py
          runtime: python:3.11
          inputs: {LOG: "${LOG}"}
          annotations: {feed: true, faas-init: LOG}
      sequences:
        twice: {actions: "hello, hello"}
        outer: {actions: "twice, hello"}
      triggers:
        fed: {feed: feed, inputs: {topic: billing}}
        plain: {inputs: {a: 1}}
      rules:
        one: {trigger: fed, action: hello}
        two: {trigger: fed, action: outer}
        three: {trigger: plain, action: hello}
"""


class Site:
    """A namespace of its own and a folder with a manifest."""

    def __init__(self, host: openwhisk.OpenWhisk, folder: Path) -> None:
        self.session = Session(host.apihost, host.auths["guest"], namespace="guest", patience=5.0)
        self.client = client.OpenWhisk(host.apihost, host.auths["guest"], namespace="guest")
        self.folder = folder
        self.log = folder / "feed.json"
        self.variables = {"PASSWORD": 'hunter"2', "LOG": str(self.log)}
        (folder / "hello.py").write_text("def main(args):\n    return args\n")
        (folder / "feed.py").write_text(FEED)

    def desired(self, text: str = MANIFEST) -> Desired:
        document = strict_yaml.parse(text.encode(), "manifest.yaml")
        return desired_of(document, namespace="guest", base=self.folder, variables=self.variables)

    def plan(self, text: str = MANIFEST) -> Plan:
        wanted = self.desired(text)
        state = read_state(self.session, wanted)
        return make_plan(wanted, state, apihost=self.session.apihost, auth=self.session.auth)

    def deploy(self, text: str = MANIFEST) -> list[Result]:
        return execute(self.plan(text), self.desired(text), self.session)

    def undeploy(self, text: str = MANIFEST) -> list[Result]:
        wanted = self.desired(text)
        state = read_state(self.session, wanted)
        names = set(wanted.by_id())
        plan = removal(state, names, apihost=self.session.apihost, namespace="guest", project=wanted.project)
        return execute(plan, wanted, self.session)

    def feed_calls(self) -> list[dict[str, str]]:
        return json.loads(self.log.read_text()) if self.log.exists() else []

    def clear(self) -> None:
        for collection in ("rules", "triggers", "actions", "packages"):
            for row in list(self.client.pages(collection)):
                name = "/".join([*row["namespace"].split("/")[1:], row["name"]])
                self.client.delete(collection, name)


@pytest.fixture(scope="module")
def host() -> Iterator[openwhisk.OpenWhisk]:
    with openwhisk.running() as running:
        yield running


@pytest.fixture
def site(host: openwhisk.OpenWhisk, tmp_path: Path) -> Iterator[Site]:
    made = Site(host, tmp_path)
    yield made
    made.clear()


def outcomes(results: list[Result]) -> set[str]:
    return {result.outcome for result in results}


def test_first_all_then_nothing(site: Site) -> None:
    first = site.deploy()
    again = site.plan()

    assert outcomes(first) == {"done"}
    assert len(first) == 10
    assert (again.steps, again.unchanged) == ((), 10)
    assert site.client.get("rules", "two")["status"] == "active"
    assert site.client.invoke("demo/outer", {"x": 1})["x"] == 1
    parameters = {p["key"]: p for p in site.client.get("actions", "demo/hello")["parameters"]}
    assert parameters["password"] == {"key": "password", "value": 'hunter"2', "init": True}
    assert [call["event"] for call in site.feed_calls()] == ["CREATE"]


def test_only_what_changed_is_written(site: Site) -> None:
    site.deploy()
    (site.folder / "hello.py").write_text("def main(args):\n    return {'changed': 1}\n")
    changed = MANIFEST.replace("timeout: 10000", "timeout: 20000").replace("topic: billing", "topic: other")
    changed = changed.replace(", owner: us", "").replace("greeting: hello, ", "")

    plan = site.plan(changed)
    results = execute(plan, site.desired(changed), site.session)

    assert [str(step.id) for step in plan.steps] == ["action demo/hello", "trigger fed"]
    assert {change.field for change in plan.steps[0].changes} == {
        "annotations.owner",
        "code",
        "limits.timeout",
        "parameters.greeting",
    }
    assert [change.field for change in plan.steps[1].changes] == ["feed inputs.topic"]
    assert outcomes(results) == {"done"}
    assert site.plan(changed).steps == ()
    assert "owner" not in {a["key"] for a in site.client.get("actions", "demo/hello")["annotations"]}
    assert [(c["event"], c["topic"]) for c in site.feed_calls()] == [("CREATE", "billing"), ("UPDATE", "other")]


def test_a_secret_is_compared_but_never_shown(site: Site) -> None:
    site.deploy()
    site.variables["PASSWORD"] = "correct horse"

    plan = site.plan()

    assert [change.field for change in plan.steps[0].changes] == ["parameters.password"]
    for secret in ('hunter"2', "hunter", "correct horse", site.session.auth):
        assert secret not in str(plan)


def test_what_somebody_changed_by_hand_is_put_back(site: Site) -> None:
    site.deploy()
    site.client.put("actions", "demo/hello", {"exec": {"kind": "python:3.11", "code": "x = 1"}}, overwrite=True)
    site.client.post("rules", "one", {"status": "inactive"})
    site.client.put("packages", "demo", {"parameters": []}, overwrite=True)

    plan = site.plan()
    fields = {str(step.id): {change.field for change in step.changes} for step in plan.steps}

    assert fields == {
        "package demo": {"parameters.site"},
        "action demo/hello": {"code"},
        "rule one": {"status"},
    }
    assert outcomes(site.deploy()) == {"done"}
    assert site.plan().steps == ()
    assert site.client.get("rules", "one")["status"] == "active"


def test_what_left_the_manifest_is_deleted_and_what_is_foreign_stays(site: Site) -> None:
    site.deploy()
    site.client.put("actions", "demo/foreign", {"exec": {"kind": "python:3.11", "code": "x = 1"}})
    site.client.put("triggers", "foreign", {})
    smaller = MANIFEST.replace('        outer: {actions: "twice, hello"}\n', "").replace(
        "        two: {trigger: fed, action: outer}\n", ""
    )

    plan = site.plan(smaller)
    results = execute(plan, site.desired(smaller), site.session)

    assert [(step.verb, str(step.id)) for step in plan.steps] == [
        ("delete", "action demo/outer"),
        ("delete", "rule two"),
    ]
    assert outcomes(results) == {"done"}
    assert {row["name"] for row in site.client.pages("actions")} == {"hello", "feed", "twice", "foreign"}
    assert {row["name"] for row in site.client.pages("triggers")} == {"fed", "plain", "foreign"}


def test_a_name_that_is_taken_is_not_taken_over(site: Site) -> None:
    site.client.put("triggers", "fed", {})

    with pytest.raises(Foreign, match=r"trigger fed \(not made by faasctl\)"):
        site.plan()


def test_undeploy_tells_the_feed_and_goes_on_past_what_is_gone(site: Site) -> None:
    site.deploy()
    site.client.delete("rules", "one")
    site.client.delete("actions", "demo/hello")

    results = site.undeploy()

    assert outcomes(results) == {"done"}
    assert [row for c in ("rules", "triggers", "actions", "packages") for row in site.client.pages(c)] == []
    assert [call["event"] for call in site.feed_calls()] == ["CREATE", "DELETE"]


def test_a_package_with_something_foreign_in_it_is_left_and_reported(site: Site) -> None:
    site.deploy()
    site.client.put("actions", "demo/foreign", {"exec": {"kind": "python:3.11", "code": "x = 1"}})

    failed = [result for result in site.undeploy() if result.outcome == "failed"]

    assert [str(result.step.id) for result in failed] == ["package demo"]
    assert "not empty" in failed[0].why


def test_a_failure_holds_up_only_what_needs_it(site: Site) -> None:
    broken = MANIFEST.replace("topic: billing", "topic: forbidden")

    results = {str(r.step.id): r for r in site.deploy(broken)}

    assert results["trigger fed"].outcome == "failed"
    assert "no such topic" in results["trigger fed"].why
    assert {name for name, r in results.items() if r.outcome == "skipped"} == {"rule one", "rule two"}
    assert results["rule three"].outcome == "done"
    assert outcomes(site.deploy()) == {"done"}
    assert site.plan().steps == ()


def test_a_feed_that_knows_the_trigger_already_is_no_obstacle(site: Site) -> None:
    site.deploy()
    site.client.delete("rules", "one")
    site.client.delete("rules", "two")
    site.client.delete("triggers", "fed")

    assert outcomes(site.deploy()) == {"done"}
    assert [call["event"] for call in site.feed_calls()] == ["CREATE", "DELETE", "CREATE"]
    assert site.client.get("rules", "three")["status"] == "active"


def test_a_feed_that_cannot_forget_keeps_its_trigger_and_itself(site: Site) -> None:
    site.deploy()
    site.variables["LOG"] = "/nowhere/at/all"
    site.deploy()

    results = {str(r.step.id): r for r in site.undeploy()}

    assert results["trigger fed"].outcome == "failed"
    assert {name for name, r in results.items() if r.outcome == "skipped"} == {"action demo/feed", "package demo"}
    assert site.client.get("triggers", "fed")["name"] == "fed"
    assert "hello" not in {row["name"] for row in site.client.pages("actions")}


def test_nothing_is_deleted_while_something_new_does_not_work(site: Site) -> None:
    site.deploy()
    renamed = MANIFEST.replace("twice", "thrice").replace("topic: billing", "topic: forbidden")

    results = {str(r.step.id): r for r in site.deploy(renamed)}

    assert results["trigger fed"].outcome == "failed"
    assert results["action demo/thrice"].outcome == "done"
    assert results["action demo/twice"].outcome == "skipped"
    assert {row["name"] for row in site.client.pages("actions")} >= {"twice", "thrice"}


def test_new_inputs_that_a_feed_refuses_leave_the_old_ones_working(site: Site) -> None:
    site.deploy()

    results = {str(r.step.id): r for r in site.deploy(MANIFEST.replace("topic: billing", "topic: forbidden"))}

    assert results["trigger fed"].outcome == "failed"
    assert [call["event"] for call in site.feed_calls()] == ["CREATE"]


def test_a_feed_that_cannot_change_is_told_anew(site: Site) -> None:
    site.deploy()
    changed = MANIFEST.replace("topic: billing", "topic: elsewhere")

    assert outcomes(site.deploy(changed)) == {"done"}

    assert [(c["event"], c["topic"]) for c in site.feed_calls()][1:] == [("DELETE", None), ("CREATE", "elsewhere")]
    assert site.plan(changed).steps == ()


def test_a_trigger_that_changes_its_feed_or_loses_it_leaves_nothing_behind(site: Site) -> None:
    site.deploy()
    feed = MANIFEST[MANIFEST.index("        feed:\n") : MANIFEST.index("      sequences:")]
    other = MANIFEST.replace(feed, feed + feed.replace("feed:\n", "other:\n", 1)).replace("feed: feed,", "feed: other,")

    assert outcomes(site.deploy(other)) == {"done"}
    assert outcomes(site.deploy(other.replace("feed: other, ", ""))) == {"done"}

    calls = [(call["event"], call["by"].rpartition("/")[2]) for call in site.feed_calls()]
    assert calls == [("CREATE", "feed"), ("DELETE", "feed"), ("CREATE", "other"), ("DELETE", "other")]
    assert "feed" not in {a["key"] for a in site.client.get("triggers", "fed")["annotations"]}
    assert site.client.get("triggers", "fed")["parameters"] == [{"key": "topic", "value": "billing"}]
    assert site.plan(other.replace("feed: other, ", "")).steps == ()
