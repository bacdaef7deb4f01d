"""wskdeploy's grammar, read strictly: what it says, and what is wrong with it, by line."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from eventflow.errors import FaasError
from eventflow.spec import SpecError
from faasctl import strict_yaml
from faasctl.deploy import manifest
from faasctl.deploy.interpolation import Hidden, interpolate
from faasctl.deploy.model import Action, Desired, Entity, Package, Rule, Sequence, Trigger

VARIABLES = {"FOO": "foo", "FOOBAR": "foobar", "PASSWORD": 'p"w\\', "PORT": "8080", "LIST": "[1, 2]"}
MANIFEST = """\
project:
  name: demo
  inputs: {site: desy}
  packages:
    tools:
      version: 1.0
      license: Apache-2.0
      public: true
      description: Tools
      inputs: {region: hamburg, where: $site}
      dependencies:
        alarms: {location: /whisk.system/alarms, inputs: {zone: UTC}}
      actions:
        hello:
          function: hello.py
          main: greet
          limits: {timeout: 1000, memorySize: 128, logSize: 1, codeSize: 5}
          web: raw
          annotations: {owner: us, level: 3}
          inputs:
            name: ${FOO}
            region: $region
            count: 3
            declared: integer
            long: {type: string, value: x, description: a text}
            port: {type: integer, value: $PORT}
            object: {type: json, value: {a: "$FOO", b: [1, "${FOO}"]}}
            text: {type: json, value: '{"pw": "${PASSWORD}"}'}
            fallback: {type: string, default: d}
        script:
          code: |
            def main(args):
                return {"price": "$FOO"}
          runtime: python
        image: {docker: me/image:1.0}
        chooser: {function: hello.py, conductor: true}
      sequences:
        both: {actions: "hello, /_/tools/script,/other/pkg/act", web: true}
      triggers:
        daily: {feed: alarms/alarm, inputs: {cron: "0 0 * * *"}}
        plain: {inputs: {a: 1}}
      rules:
        run: {trigger: daily, action: both}
        other: {trigger: plain, action: /_/tools/hello}
    default:
      actions:
        loose: {function: folder, runtime: "python:3.11"}
      rules:
        loosely: {trigger: plain, action: loose}
"""


def read(text: str, folder: Path, deployment: str | None = None, namespace: str = "guest") -> Desired:
    (folder / "hello.py").write_text("def greet(args): return args\n")
    (folder / "folder/pkg").mkdir(parents=True, exist_ok=True)
    (folder / "folder/__main__.py").write_text("def main(args): return args\n")
    (folder / "folder/pkg/__init__.py").touch()
    return manifest.desired(
        strict_yaml.parse(text.encode(), "manifest.yaml"),
        namespace=namespace,
        base=folder,
        variables=VARIABLES,
        deployment=strict_yaml.parse(deployment.encode(), "deployment.yaml") if deployment else None,
    )


def values(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: parameter.value for name, parameter in parameters.items()}


@pytest.fixture
def entities(tmp_path: Path) -> dict[str, Entity]:
    return {f"{type(e).__name__} {e.name}": e for e in read(MANIFEST, tmp_path).entities}


def test_packages_and_bindings(entities: dict[str, Entity]) -> None:
    tools, alarms = entities["Package tools"], entities["Package alarms"]

    assert isinstance(tools, Package)
    assert isinstance(alarms, Package)
    assert (tools.public, tools.annotations) == (True, {})
    assert values(tools.parameters) == {"region": "hamburg", "where": "desy"}
    assert (alarms.binding, values(alarms.parameters)) == ("/whisk.system/alarms", {"zone": "UTC"})
    assert "Package default" not in entities


def test_an_action_with_all_that_it_may_have(entities: dict[str, Entity]) -> None:
    action = entities["Action tools/hello"]

    assert isinstance(action, Action)
    assert action.code is not None
    assert (action.kind, action.main, action.code.text) == (
        "python:default",
        "greet",
        "def greet(args): return args\n",
    )
    assert (action.limits.timeout, action.limits.memory, action.limits.logs) == (1000, 128, 1)
    assert action.annotations == {"owner": "us", "level": 3, "web-export": True, "raw-http": True, "final": True}
    assert values(action.parameters) == {
        "name": "foo",
        "region": "hamburg",
        "count": 3,
        "declared": 0,
        "long": "x",
        "port": 8080,
        "object": {"a": "foo", "b": [1, "foo"]},
        "text": {"pw": 'p"w\\'},
        "fallback": "d",
    }
    assert {name for name, p in action.parameters.items() if p.secret} == {"name", "region", "object", "text"}


def test_code_comes_inline_from_a_folder_or_as_an_image(entities: dict[str, Entity]) -> None:
    script, image, loose = (entities[f"Action {name}"] for name in ("tools/script", "tools/image", "loose"))

    assert isinstance(script, Action)
    assert isinstance(image, Action)
    assert isinstance(loose, Action)
    assert script.code is not None
    assert loose.code is not None
    assert '"$FOO"' in script.code.text  # code is nobody's to interpolate
    assert (image.kind, image.code, image.image) == ("blackbox", None, "me/image:1.0")
    names = zipfile.ZipFile(io.BytesIO(base64.b64decode(loose.code.text))).namelist()
    assert names == ["__main__.py", "pkg/__init__.py"]


def test_sequences_triggers_and_rules_name_things_wholly(entities: dict[str, Entity]) -> None:
    both, daily, run, other, loosely = (
        entities[name] for name in ("Sequence tools/both", "Trigger daily", "Rule run", "Rule other", "Rule loosely")
    )

    assert isinstance(both, Sequence)
    assert isinstance(daily, Trigger)
    assert daily.feed is not None
    assert both.components == ("/guest/tools/hello", "/guest/tools/script", "/other/pkg/act")
    assert both.annotations == {"web-export": True, "raw-http": False, "final": True}
    assert (daily.feed.action, values(daily.feed.parameters)) == ("/guest/alarms/alarm", {"cron": "0 0 * * *"})
    assert daily.parameters == {}
    for rule, ends in (
        (run, ("/guest/daily", "/guest/tools/both")),
        (other, ("/guest/plain", "/guest/tools/hello")),
        (loosely, ("/guest/plain", "/guest/loose")),
    ):
        assert isinstance(rule, Rule)
        assert (rule.trigger, rule.action) == ends


def test_a_deployment_file_goes_before_the_manifest(tmp_path: Path) -> None:
    deployment = """\
project:
  packages:
    tools:
      inputs: {region: berlin}
      actions: {hello: {inputs: {count: 4, extra: true}, annotations: {owner: them}}}
      triggers: {daily: {inputs: {cron: "1 0 * * *"}}}
"""
    wanted = {e.name: e for e in read(MANIFEST, tmp_path, deployment).entities}
    hello, daily = wanted["tools/hello"], wanted["daily"]

    assert isinstance(hello, Action)
    assert isinstance(daily, Trigger)
    assert daily.feed is not None
    found = values(hello.parameters)
    assert (found["count"], found["extra"], found["region"]) == (4, True, "berlin")
    assert hello.annotations["owner"] == "them"
    assert values(daily.feed.parameters) == {"cron": "1 0 * * *"}


def test_what_a_deployment_file_names_must_be_in_the_manifest(tmp_path: Path) -> None:
    deployment = "packages:\n  tools:\n    actions:\n      helo: {inputs: {a: 1}}\n"

    with pytest.raises(SpecError, match="'helo' is not in the manifest") as caught:
        read(MANIFEST, tmp_path, deployment)

    assert caught.value.where.startswith("deployment.yaml:4")
    assert caught.value.hint == "did you mean 'hello'?"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$FOO", "foo"),
        ("${FOO}", "foo"),
        ("$FOOBAR", "foobar"),
        ("x${FOO}y${FOOBAR}", "xfooyfoobar"),
        ("$FOO/$FOOBAR", "foo/foobar"),
        ("$${FOO}", "${FOO}"),
        ("$${FOO} and ${FOO}", "${FOO} and foo"),
        ("costs $5", "costs $5"),
        ("price in $FOO", "price in $FOO"),
        ("$", "$"),
        ("^a$", "^a$"),
        ('{"a": "${PASSWORD}"}', '{"a": "p\\"w\\\\"}'),
        ('{"a": "\\u0024{FOO}"}', '{"a": "\\u0024{FOO}"}'),
    ],
)
def test_variables_are_filled_in_as_wskdeploy_does_without_its_prefix_bug(text: str, value: str) -> None:
    assert interpolate(text, VARIABLES, ()) == value


def test_what_holds_the_value_of_a_variable_is_marked() -> None:
    for text in ("$FOO", "x${FOO}", '{"a": "${PASSWORD}"}'):
        assert isinstance(interpolate(text, VARIABLES, ()), Hidden)
    for text in ("foo", "$${FOO}", "$"):
        assert not isinstance(interpolate(text, VARIABLES, ()), Hidden)


@pytest.mark.parametrize(
    ("text", "why", "hint"),
    [
        ("$FO", "the variable FO is not defined", "did you mean 'FOO'?"),
        ("${NOTHING}", "the variable NOTHING is not defined", "write $${NOTHING} if the text itself is meant"),
        ("${FOO", "${ is no reference", "$${NAME}"),
        ("${a.b}", "${a.b} is no reference", "$${NAME}"),
    ],
)
def test_an_undefined_variable_is_an_error_and_no_empty_string(text: str, why: str, hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        interpolate(text, VARIABLES, ())

    assert why in caught.value.why
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "line", "why", "hint"),
    [
        ("      actions:\n        hello", "      action:\n        hello", 13, "unknown key 'action'", "'actions'"),
        ("memorySize", "memory", 17, "unknown key 'memory'", "'memorySize'"),
        ("timeout: 1000", "timeout: fast", 17, "expected `int | null`, got `str`", ""),
        ("web: raw", "web: rwa", 18, "'rwa' is no value of web", "true, false or raw"),
        ("type: integer, value: $PORT", "type: integr, value: 1", 26, "'integr' is no type", "'integer'"),
        ("type: integer, value: $PORT", "type: integer, value: $FOO", 26, "is text and no integer", ""),
        ("type: integer, value: $PORT", "type: integer, value: true", 26, "of type bool and not integer", ""),
        ("{type: string, default: d}", "{type: string, required: true}", 29, "is required and has no value", ""),
        ("{type: string, value: x,", "{typ: string, value: x,", 25, "unknown key 'typ'", "{type: json, value"),
        ("function: hello.py\n          main", "function: helo.py\n          main", 15, "cannot read", "hello.py"),
        ("function: hello.py\n          main", "function: http://x/a.py\n          main", 15, "is a URL", "download"),
        ("          runtime: python\n", "", 30, "has no runtime", "runtime: python:3.11"),
        ("image: {docker: me/image:1.0}", "image: {main: x}", 35, "has neither function, code nor docker", ""),
        ("action: both", "action: bothh", 43, "there is no action /guest/tools/bothh", "both"),
        ("trigger: daily", "trigger: dayly", 43, "there is no trigger 'dayly'", "'daily'"),
        ('"hello, /_/', '"both, /_/', 38, "contains itself: /guest/tools/both -> /guest/tools/both", "take one"),
        ('"hello, /_/', '"hello,, /_/', 38, "names an empty action", ""),
        ("${FOO}\n            region", "${FO}\n            region", 21, "the variable FO is not defined", "FOO"),
        ("location: /whisk.system/alarms", "location: github.com/x/y", 12, "no package of this OpenWhisk", "checkout"),
        ("        daily:", "        da/ily:", 40, "'da/ily' is no name", ""),
        ("      license:", "      namespace: other\n      license:", 7, "is for the namespace 'other'", "of its own"),
        ("owner: us", "faas-init: nam", 19, "faas-init names 'nam', which is no input", "'name'"),
        (
            "      rules:\n        run",
            "      apis: {a: {}}\n      rules:\n        run",
            42,
            "apis are not supported",
            "web",
        ),
    ],
)
def test_what_is_wrong_is_named_by_line_and_hint(
    tmp_path: Path, old: str, new: str, line: int, why: str, hint: str
) -> None:
    assert old in MANIFEST

    with pytest.raises(FaasError) as caught:
        read(MANIFEST.replace(old, new, 1), tmp_path)

    assert caught.value.where.startswith(f"manifest.yaml:{line}"), caught.value
    assert why in str(caught.value)
    assert hint in caught.value.hint


def test_a_longer_circle_of_sequences_is_shown(tmp_path: Path) -> None:
    text = "packages:\n  p:\n    sequences:\n      a: {actions: b}\n      b: {actions: c}\n      c: {actions: a}\n"

    with pytest.raises(SpecError, match="/guest/p/a -> /guest/p/b -> /guest/p/c -> /guest/p/a"):
        read(text, tmp_path)


def test_a_zip_without_main_lists_what_it_has(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("main.py", "")
    text = 'packages:\n  p:\n    actions:\n      a: {function: a.zip, runtime: "python:3.11"}\n'

    with pytest.raises(SpecError, match=r"a\.zip has no __main__\.py") as caught:
        read(text, tmp_path)

    assert "found there: main.py" in caught.value.hint
    (tmp_path / "a.zip").write_text("no zip")
    with pytest.raises(SpecError, match="is no zip"):
        read(text, tmp_path)


def test_code_that_is_too_large_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    (tmp_path / "big.js").write_bytes(b" " * ((48 << 20) + 1))
    text = 'packages:\n  p:\n    actions:\n      a: {function: big.js, runtime: "nodejs:20"}\n'

    with pytest.raises(SpecError, match=r"the code has 48\.0 MB, and OpenWhisk takes 48\.0 MB"):
        read(text, tmp_path)


def test_files_are_included_and_excluded(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/one.py").touch()
    (tmp_path / "notes.txt").touch()
    text = """\
packages:
  p:
    actions:
      a: {function: folder, runtime: python, include: [[lib], [notes.txt, doc/]], exclude: ["pkg/*"]}
"""
    action = read(text, tmp_path).entities[1]

    assert isinstance(action, Action)
    assert action.code is not None
    names = zipfile.ZipFile(io.BytesIO(base64.b64decode(action.code.text))).namelist()
    assert names == ["__main__.py", "doc/notes.txt", "lib/one.py"]


def test_names_may_be_the_words_of_the_grammar(tmp_path: Path) -> None:
    text = """\
packages:
  inputs:
    annotations: {note: $FOO}
    actions:
      code: {code: "$FOO", runtime: python, annotations: {code: $FOO}}
"""
    package, action = read(text, tmp_path).entities

    assert isinstance(package, Package)
    assert isinstance(action, Action)
    assert action.code is not None
    assert (package.annotations, action.annotations) == ({"note": "foo"}, {"code": "foo"})
    assert (action.name, action.code.text) == ("inputs/code", "$FOO")
