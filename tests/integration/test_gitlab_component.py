"""The GitLab component, rendered and run as a runner would, against a registry that believes the GitLab."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from faasctl import bundle
from tests.parts import gitlab_ci
from tests.parts.gitlab import AUDIENCE, GitLab, gitlab
from tests.parts.registry import Desk, deployed

COMPONENT = bundle.manifests() / "gitlab" / "templates" / "function.yml"
EXAMPLE = bundle.manifests() / "gitlab" / "example"
MAIN = {"CI_COMMIT_BRANCH": "main", "CI_DEFAULT_BRANCH": "main", "CI_PIPELINE_SOURCE": "push"}
MERGE_REQUEST = {"CI_DEFAULT_BRANCH": "main", "CI_PIPELINE_SOURCE": "merge_request_event"}
BRANCH = {**MAIN, "CI_COMMIT_BRANCH": "mine"}


@pytest.fixture(scope="module")
def issuer() -> Iterator[GitLab]:
    with gitlab() as found:
        yield found


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, issuer: GitLab) -> Iterator[Desk]:
    with deployed(tmp_path_factory.mktemp("registry"), issuer) as found:
        yield found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a function from `faasctl fn new`, and a faasctl on the PATH as `before_script` installs it."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    folder = tmp_path / "project"
    folder.mkdir()
    new = ("fn", "new", "belle.count", "--path", "/pnfs/belle/raw/{run}/{name}", "--write", "/pnfs/belle/out/{run}/")
    faasctl(folder, *new)
    (folder / "sample.dat").write_bytes(b"12345")
    return folder


def faasctl(folder: Path, *words: str) -> None:
    subprocess.run(["faasctl", *words], cwd=folder, check=True, capture_output=True)


def jobs_of(project: Path) -> dict[str, dict[str, Any]]:
    """The jobs that the project's .gitlab-ci.yml comes to."""
    (entry,) = yaml.safe_load((project / ".gitlab-ci.yml").read_text())["include"]
    assert entry["component"] == "gitlab.example.org/faas/function@1.0"
    return gitlab_ci.render(COMPONENT, entry["inputs"])


def test_a_project_goes_from_merge_request_to_registry(desk: Desk, issuer: GitLab, project: Path) -> None:
    # given: `fn init-ci` wrote the pipeline, with the addresses of the environment
    component = ("--component", "gitlab.example.org/faas/function@1.0", "--samples", "sample.dat")
    faasctl(project, "fn", "init-ci", *component, "--env-file", str(desk.file))
    jobs = jobs_of(project)

    # when: a merge request
    assert gitlab_ci.pipeline(jobs, MERGE_REQUEST) == ["check: count", "test: count", "plan: count"]
    for name in gitlab_ci.pipeline(jobs, MERGE_REQUEST):
        done = gitlab_ci.run(jobs[name], project, issuer, MERGE_REQUEST, ref_protected="false")
        assert done.returncode == 0, (name, done.stdout, done.stderr)

    # then: its plan is an artifact, and nothing is pushed
    (artifacts,) = jobs["plan: count"]["artifacts"]["paths"]
    assert "belle.count would be created" in (project / artifacts / "plan.txt").read_text()
    assert list(desk.as_administrator().functions()) == []

    # when: it is merged
    assert gitlab_ci.pipeline(jobs, MAIN) == ["check: count", "test: count", "push: count"]
    done = gitlab_ci.run(jobs["push: count"], project, issuer, MAIN, sha="abc123")

    # then
    assert "belle.count 0.0.1 created" in done.stdout, done.stderr
    (entry,) = desk.as_administrator().functions()
    assert (entry.pushed.project, entry.pushed.commit) == ("belle/functions", "abc123")

    # and: the same again changes nothing, also where only a test did
    (project / "count/test_count.py").write_text("")
    again = gitlab_ci.run(jobs["push: count"], project, issuer, MAIN)
    assert "belle.count 0.0.1 unchanged" in again.stdout


def test_another_branch_neither_plans_nor_pushes_and_could_not(desk: Desk, issuer: GitLab, project: Path) -> None:
    faasctl(
        project,
        *("fn", "init-ci", "--component", "gitlab.example.org/faas/function@1.0"),
        *("--registry", desk.url, "--audience", AUDIENCE),
    )
    jobs = jobs_of(project)
    assert gitlab_ci.pipeline(jobs, BRANCH) == ["check: count", "test: count"]

    # when: somebody changes the rules of the push in a branch of their own
    (project / "count/count.py").write_text("def main(event):\n    return {}\n")
    done = gitlab_ci.run(jobs["push: count"], project, issuer, BRANCH, ref="mine", ref_protected="false")

    # then
    assert done.returncode == 1
    assert "from protected branches and tags only" in done.stderr


@pytest.mark.parametrize(
    ("job", "file", "content", "words"),
    [
        ("check", "count.py", "async def main(event): ...\n", "main is async"),
        ("test", "count.py", "def main(event):\n    raise ValueError('broken')\n", "ValueError: broken"),
        ("test", "test_count.py", "import unittest\nclass T(unittest.TestCase):\n  def test(self): 1/0\n", "FAILED"),
        ("plan", "function.yaml", "name: count\n", "missing"),
    ],
)
def test_what_is_wrong_fails_its_job(
    desk: Desk, issuer: GitLab, project: Path, job: str, file: str, content: str, words: str
) -> None:
    # given
    inputs = {"registry": desk.url, "audience": AUDIENCE, "folder": "count", "samples": "sample.dat"}
    jobs = gitlab_ci.render(COMPONENT, inputs)
    (project / "count" / file).write_text(content)

    # when
    done = gitlab_ci.run(jobs[f"{job}: count"], project, issuer, MERGE_REQUEST)

    # then
    assert done.returncode != 0
    assert words in done.stdout + done.stderr


def test_jobs_hold_no_secret_but_their_id_token(project: Path) -> None:
    jobs = gitlab_ci.render(COMPONENT, {"registry": "https://x", "audience": AUDIENCE, "folder": "count"})
    for name, job in jobs.items():
        assert set(job["variables"]) == {"FUNCTION", "SAMPLES", "FAASCTL_REGISTRY"}
        assert ("id_tokens" in job) is name.startswith(("plan", "push"))


def test_the_example_project_is_right(desk: Desk, issuer: GitLab, project: Path) -> None:
    # given
    shutil.copytree(EXAMPLE, project, dirs_exist_ok=True)
    jobs = jobs_of(project)

    # then
    for name in ("check: words", "test: words"):
        done = gitlab_ci.run(jobs[name], project, issuer, BRANCH)
        assert done.returncode == 0, (name, done.stdout, done.stderr)
    assert 'result: {"words": 6}' in done.stdout


def test_init_ci_leaves_a_pipeline_that_is_there_alone(project: Path) -> None:
    (project / ".gitlab-ci.yml").write_text("mine: {script: [true]}\n")
    words = ["faasctl", "fn", "init-ci", "--component", "c@1", "--registry", "https://x", "--audience", "y"]
    done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "add this to it" in done.stderr
    assert "folder: count" in done.stderr
    assert (project / ".gitlab-ci.yml").read_text() == "mine: {script: [true]}\n"
