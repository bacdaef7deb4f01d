"""The plan is a pure function of what is wanted and what is there; the order of its steps is another."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from faasctl.deploy import content
from faasctl.deploy.model import (
    Action,
    Code,
    Desired,
    Entity,
    EntityId,
    Feed,
    Package,
    Parameter,
    Rule,
    Sequence,
    Trigger,
    entity_id,
)
from faasctl.deploy.order import order_of
from faasctl.deploy.plan import Foreign, Plan, Step, make_plan, removal
from faasctl.deploy.remote import Found, Owner, State

AUTH = "uuid:key"
HOST = "https://openwhisk.example"
PACKAGE = Package(name="p")
HELLO = Action(
    name="p/hello",
    kind="python:3.11",
    code=Code(text="x", digest="d1"),
    parameters={"open": Parameter(value="a"), "pw": Parameter(value="s3cret", init=True, secret=True)},
)
TWICE = Sequence(name="p/twice", components=("/guest/p/hello", "/guest/p/hello"))
FED = Trigger(name="fed", feed=Feed(action="/guest/p/hello", parameters={"topic": Parameter(value="billing")}))
RULES = [Rule(name=f"r{n}", trigger="/guest/fed", action="/guest/p/twice") for n in range(3)]


def wanted(*entities: Entity, project: str = "demo") -> Desired:
    return Desired(project=project, namespace="guest", entities=entities)


def there(entity: Entity, project: str = "demo", **owner: Any) -> Found:
    """An entity as a deploy left it."""
    digest = content.fingerprint(content.wanted(entity), AUTH)
    feed = content.fingerprint(content.feed_inputs(entity), AUTH) if isinstance(entity, Trigger) else None
    written = Owner(project=project, hash=digest, version="0.0.3", feed=feed)
    return Found(version="0.0.3", owner=msgspec.structs.replace(written, **owner))


def plan(desired: Desired, found: dict[EntityId, Found]) -> Plan:
    return make_plan(desired, State(found=found), apihost=HOST, auth=AUTH)


def test_what_is_as_it_was_written_is_left_alone() -> None:
    entities: tuple[Entity, ...] = (PACKAGE, HELLO, TWICE, FED, *RULES)

    made = plan(wanted(*entities), {entity_id(e): there(e) for e in entities})

    assert (made.steps, made.unchanged) == ((), 7)


def test_what_is_not_there_is_created() -> None:
    made = plan(wanted(PACKAGE, HELLO), {entity_id(PACKAGE): there(PACKAGE)})

    assert [(step.verb, str(step.id)) for step in made.steps] == [("create", "action p/hello")]


def test_each_field_that_differs_is_named_and_no_value_that_may_be_secret() -> None:
    told = {**content.wanted(HELLO), "limits.timeout": 1, "code": "d0", "annotations.old": True}
    told |= {"parameters.pw": {"init": "0ld"}, "parameters.open": "0ld", "parameters.gone": "0ld"}

    [step] = plan(
        wanted(HELLO), {entity_id(HELLO): msgspec.structs.replace(there(HELLO, hash="other"), content=told)}
    ).steps

    assert [(c.field, c.before, c.after) for c in step.changes] == [
        ("annotations.old", "true", None),
        ("code", "d0", "d1"),
        ("limits.timeout", "1", "60000"),
        ("parameters.gone", "(hidden)", None),
        ("parameters.open", "(hidden)", "a"),
        ("parameters.pw", "(hidden)", "(secret)"),
    ]


def test_a_default_kind_is_the_version_that_it_stood_for() -> None:
    action = msgspec.structs.replace(HELLO, kind="python:default")
    told = {**content.wanted(action), "kind": "python:3.10"}
    other = {**content.wanted(action), "kind": "nodejs:20"}

    assert (
        plan(wanted(action), {entity_id(action): msgspec.structs.replace(there(action, hash="x"), content=told)}).steps
        == ()
    )
    [step] = plan(
        wanted(action), {entity_id(action): msgspec.structs.replace(there(action, hash="x"), content=other)}
    ).steps
    assert [change.field for change in step.changes] == ["kind"]


def test_a_trigger_whose_feed_was_not_told_is_written_again() -> None:
    found = msgspec.structs.replace(there(FED, pending=True), content={"feed": "/guest/p/hello"}, feed="/guest/p/hello")

    [step] = plan(wanted(FED), {entity_id(FED): found}).steps

    assert (step.verb, step.pending, step.changes) == ("update", True, ())


def test_what_left_the_manifest_is_deleted_if_it_is_the_projects_own() -> None:
    found = {
        entity_id(HELLO): there(HELLO),
        entity_id(TWICE): there(TWICE, project="another"),
        EntityId("triggers", "mine"): Found(version="0.0.1", owner=None),
    }

    made = plan(wanted(), found)

    assert [(step.verb, str(step.id)) for step in made.steps] == [("delete", "action p/hello")]
    assert plan(wanted(project=""), {entity_id(HELLO): there(HELLO, project="")}).steps == ()


@pytest.mark.parametrize(("owner", "words"), [(None, "not made by faasctl"), ("another", "of project 'another'")])
def test_a_taken_name_stops_the_plan(owner: str | None, words: str) -> None:
    found = there(HELLO, project=owner) if owner else Found(version="0.0.1", owner=None)

    with pytest.raises(Foreign, match=words):
        plan(wanted(HELLO), {entity_id(HELLO): found})


def test_a_nameless_project_removes_what_its_manifest_names() -> None:
    state = State(found={entity_id(e): there(e, project="") for e in (HELLO, TWICE)})

    made = removal(state, {entity_id(TWICE)}, apihost=HOST, namespace="guest", project="")

    assert [str(step.id) for step in made.steps] == ["action p/twice"]


def test_a_fingerprint_needs_the_key() -> None:
    one = content.wanted(HELLO)

    assert content.fingerprint(one, AUTH) == content.fingerprint(dict(reversed(one.items())), AUTH)
    assert content.fingerprint(one, AUTH) != content.fingerprint(one, "uuid:other")


def test_building_goes_from_packages_to_rules_and_one_rule_of_a_trigger_after_the_other() -> None:
    entities: tuple[Entity, ...] = (*RULES, FED, TWICE, HELLO, PACKAGE)
    desired = wanted(*entities)
    order = order_of(plan(desired, {}).steps, desired.by_id(), "guest")
    package, hello, twice, fed = (entity_id(e) for e in (PACKAGE, HELLO, TWICE, FED))
    first, second, third = (entity_id(rule) for rule in RULES)

    assert order[package].needs == frozenset()
    assert order[hello].needs == {package}
    assert order[twice].needs == {hello, package}
    assert order[fed].needs == {hello}
    assert order[first].needs == {fed, twice}
    assert [order[rule].turns for rule in (first, second, third)] == [set(), {first}, {second}]


def test_deleting_goes_the_other_way_and_only_after_everything_new_works() -> None:
    def gone(entity: Entity, **more: Any) -> Step:
        name = entity_id(entity)
        return Step(verb="delete", collection=name.collection, name=name.name, version="0.0.1", **more)

    ends = ("/guest/fed", "/guest/p/twice")
    steps = [gone(PACKAGE), gone(HELLO), gone(TWICE), gone(FED, feed="/guest/p/hello"), gone(RULES[0], ends=ends)]
    new = Action(name="new", kind="python:3.11", code=None)
    built = Step(verb="create", collection="actions", name="new")
    order = order_of([*steps, built], {entity_id(new): new}, "guest")
    package, hello, twice, fed, rule = (step.id for step in steps)

    assert all(built.id in order[step.id].needs for step in steps)
    assert order[rule].needs == {built.id}
    assert order[fed].needs == {built.id, rule}
    assert order[twice].needs == {built.id, rule}
    assert order[hello].needs == {built.id, fed}
    assert order[package].needs == {built.id, hello, twice, fed}
    assert order[hello].turns == {rule, fed}
