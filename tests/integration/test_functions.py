"""Functions are registered in OpenWhisk: `faasctl fn push|list|show|pause|resume|remove` through the registry."""

import base64
import hashlib
import io
import json
import random
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventflow.clients.openwhisk import OpenWhisk
from eventflow.registry import Registry
from faasctl import bundle
from faasctl.main import main
from tests.parts.registry import Desk, deployed
from tests.unit.functions import written


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with deployed(tmp_path_factory.mktemp("registry")) as desk:
        yield desk


@pytest.fixture
def registry(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenWhisk]:
    """An empty registry, named by the environment that the commands find."""
    monkeypatch.setenv("FAASCTL_ENV_FILE", str(desk.file))
    for name in ("FAASCTL_ENV", "FAASCTL_REGISTRY", "FAASCTL_ID_TOKEN", "FAASCTL_REGISTRY_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CI_COMMIT_SHA", "0123abc")
    monkeypatch.setenv("GITLAB_USER_LOGIN", "anna")
    monkeypatch.chdir(tmp_path)
    yield desk.functions
    desk.empty()


@pytest.fixture
def calibrate(tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle.manifests() / "functions" / "calibrate", tmp_path / "calibrate"))


def faasctl(*arguments: str) -> int:
    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_pushed_function_is_what_the_pipeline_reads(
    registry: OpenWhisk, calibrate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # when
    assert faasctl("fn", "push", str(calibrate), "-o", "json") == 0

    # then: the pipeline's snapshot matches with it
    pushed = printed(capsys)
    assert pushed["outcome"] == "created"
    snapshot = Registry(registry, lambda: 1000).snapshot(0)
    (match,) = snapshot.index.match(written("/demo/in/r1/a.csv", size=1))
    assert match.captures == {"run": "r1", "name": "a"}
    assert snapshot.functions["demo.calibrate"].version == pushed["version"]

    # and the code is what its hash says
    action = registry.get("actions", "demo/calibrate")
    code = base64.b64decode(action["exec"]["code"])
    assert snapshot.functions["demo.calibrate"].code == "sha256:" + hashlib.sha256(code).hexdigest()
    with zipfile.ZipFile(io.BytesIO(code)) as archive:
        assert sorted(archive.namelist()) == ["__main__.py", "calibrate.py", "function.yaml"]
    annotations = {each["key"]: each["value"] for each in action["annotations"]}
    assert annotations["provide-api-key"] is False
    assert annotations["faas-push"].items() >= {"by": "anna", "commit": "0123abc"}.items()


def test_only_what_changed_is_pushed_and_shown(
    registry: OpenWhisk, calibrate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    assert faasctl("fn", "push", str(calibrate)) == 0
    before = registry.get("actions", "demo/calibrate", code="false")

    # when: nothing changed, not even the files' times
    (calibrate / "calibrate.py").touch()
    capsys.readouterr()
    assert faasctl("fn", "push", str(calibrate)) == 0

    # then
    assert "unchanged" in capsys.readouterr().out
    assert registry.get("actions", "demo/calibrate", code="false") == before

    # when
    spec = (calibrate / "function.yaml").read_text()
    (calibrate / "function.yaml").write_text(spec.replace("gain: 0.8", "gain: 0.9"))
    assert faasctl("fn", "push", str(calibrate)) == 0

    # then
    out = capsys.readouterr().out
    assert "demo.calibrate 0.0.2 updated" in out
    assert "params.gain: 0.8 -> 0.9" in out


def test_functions_are_listed_shown_and_removed(
    registry: OpenWhisk, calibrate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given: a function, an action that is none, and one that does not count
    faasctl("fn", "push", str(calibrate))
    exec_ = {"kind": "python:3.11", "code": "def main(a): return {}"}
    registry.put("actions", "demo/other", {"exec": exec_})
    registry.put("actions", "demo/broken", {"exec": exec_, "annotations": [{"key": "faas", "value": {"name": 5}}]})
    capsys.readouterr()

    # when
    assert faasctl("fn", "list", "-o", "json") == 0

    # then
    broken, good = printed(capsys)
    assert (good["name"], good["by"], good["problem"]) == ("demo.calibrate", "anna", None)
    assert (broken["name"], broken["path"]) == ("demo.broken", None)
    assert "missing" in broken["problem"]
    assert faasctl("fn", "list", "elsewhere", "-o", "json") == 0
    assert printed(capsys) == []

    # when
    assert faasctl("fn", "show", "demo.calibrate", "-o", "json") == 0

    # then
    assert printed(capsys)["spec"]["resources"]["memory"] == 500_000_000
    assert faasctl("fn", "show", "demo.calibrate") == 0
    assert "write: /demo/out/{run}/" in capsys.readouterr().out

    # when
    assert faasctl("fn", "remove", "demo.calibrate", "--yes") == 0

    # then
    assert faasctl("fn", "show", "demo.calibrate") == 1
    assert "no function 'demo.calibrate'" in capsys.readouterr().err
    assert faasctl("fn", "show", "calibrate") == 1


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("write: /demo/out/{run}/", "write: /pnfs/{run}/", "not below a prefix to write"),
        ("namespace: demo", "namespace: other", "no policy for 'other'"),
        ("main: calibrate.py", "main: absent.py", "nothing was pushed"),
    ],
)
def test_what_the_policy_or_the_code_forbids_is_not_pushed(
    registry: OpenWhisk,
    calibrate: Path,
    capsys: pytest.CaptureFixture[str],
    before: str,
    after: str,
    words: str,
) -> None:
    # given
    spec = (calibrate / "function.yaml").read_text()
    assert before in spec
    (calibrate / "function.yaml").write_text(spec.replace(before, after))

    # then
    assert faasctl("fn", "push", str(calibrate)) == 1
    assert words in capsys.readouterr().err
    assert list(registry.pages("actions")) == []


def test_code_is_bounded_and_stays_in_its_folder(
    registry: OpenWhisk, calibrate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    (tmp_path / "secret").write_text("x")
    (calibrate / "link").symlink_to(tmp_path / "secret")

    # then
    assert faasctl("fn", "push", str(calibrate)) == 1
    assert "link to outside" in capsys.readouterr().err

    # given
    (calibrate / "link").unlink()
    (calibrate / "big").write_bytes(random.Random(1).randbytes(6 << 20))

    # then
    assert faasctl("fn", "push", str(calibrate)) == 1
    assert "5.0 MB is the most" in capsys.readouterr().err
    assert list(registry.pages("actions")) == []


def test_code_larger_than_a_request_comes_in_parts(
    registry: OpenWhisk, calibrate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    (calibrate / "table").write_bytes(random.Random(1).randbytes(3 << 20))

    # when
    assert faasctl("fn", "push", str(calibrate), "-o", "json") == 0

    # then: it is there whole, and no part is left
    action = registry.get("actions", "demo/calibrate")
    code = base64.b64decode(action["exec"]["code"])
    assert printed(capsys)["code"] == "sha256:" + hashlib.sha256(code).hexdigest()
    assert [row["name"] for row in registry.pages("actions")] == ["calibrate"]


def test_a_plan_says_what_a_push_would_change_and_changes_nothing(
    registry: OpenWhisk, calibrate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # when
    assert faasctl("fn", "push", str(calibrate), "--plan") == 0

    # then
    assert "demo.calibrate would be created" in capsys.readouterr().out
    assert list(registry.pages("actions")) == []

    # given
    faasctl("fn", "push", str(calibrate))
    spec = (calibrate / "function.yaml").read_text()
    (calibrate / "function.yaml").write_text(spec.replace("gain: 0.8", "gain: 0.9"))
    before = registry.get("actions", "demo/calibrate")
    capsys.readouterr()

    # when
    assert faasctl("fn", "push", str(calibrate), "--plan") == 0

    # then
    out = capsys.readouterr().out
    assert "demo.calibrate 0.0.1 would be updated" in out
    assert "params.gain: 0.8 -> 0.9" in out
    assert registry.get("actions", "demo/calibrate") == before


@pytest.mark.parametrize(("option", "how", "words"), [((), "park", "parked"), (("--drop",), "drop", "dropped")])
def test_a_paused_function_stays_paused_until_it_is_resumed(
    registry: OpenWhisk,
    calibrate: Path,
    capsys: pytest.CaptureFixture[str],
    option: tuple[str, ...],
    how: str,
    words: str,
) -> None:
    # given
    faasctl("fn", "push", str(calibrate))

    # when
    assert faasctl("fn", "pause", "demo.calibrate", *option) == 0

    # then: the pipeline knows, and a push does not wake it
    assert words in capsys.readouterr().out
    assert Registry(registry, lambda: 1000).snapshot(0).functions["demo.calibrate"].paused == how
    (calibrate / "new.txt").touch()
    assert faasctl("fn", "push", str(calibrate), "-o", "json") == 0
    assert printed(capsys)["paused"] == how

    # when
    assert faasctl("fn", "resume", "demo.calibrate") == 0

    # then
    assert Registry(registry, lambda: 1000).snapshot(0).functions["demo.calibrate"].paused is None


def test_functions_that_fire_each_other_are_shown_at_push(
    registry: OpenWhisk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given: each reads what the other writes
    for name, source, target in (("one", "a", "b"), ("two", "b", "a")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "function.yaml").write_text(
            f"{{name: {name}, namespace: demo, contact: me, chained: true, run: {{main: x.py}},"
            f" when: {{path: '/demo/ring/{source}/**/*.txt'}}, write: /demo/ring/{target}}}"
        )
        (tmp_path / name / "x.py").write_text("def main(event): return {}\n")

    # when
    assert faasctl("fn", "push", "one") == 0
    alone = capsys.readouterr().err
    assert faasctl("fn", "push", "two", "--plan") == 0
    planned = capsys.readouterr().err
    assert faasctl("fn", "push", "two") == 0

    # then
    assert "circle" not in alone
    assert "circle: demo.two -> demo.one -> demo.two (runs for ever)" in planned
    assert "circle: demo.two -> demo.one -> demo.two (runs for ever)" in capsys.readouterr().err


def test_requirements_need_a_python_version(
    registry: OpenWhisk, calibrate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (calibrate / "requirements.txt").write_text("numpy==2.1.0\n")
    assert faasctl("fn", "push", str(calibrate)) == 1
    assert "needs run.python" in capsys.readouterr().err
