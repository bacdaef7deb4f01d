"""Enough of GitLab's pipelines to run a component as a runner would: inputs, extends, rules, id_tokens, scripts."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.parts.gitlab import GitLab

HIDDEN = "."
RULE = re.compile(r'\$(\w+) == (?:\$(\w+)|"(\w+)")')


def render(component: Path, inputs: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The jobs of a component with its inputs filled in; an input that is unknown or missing is an error, as there."""
    header, body = component.read_text().split("\n---\n")
    known: dict[str, Any] = yaml.safe_load(header)["spec"]["inputs"]
    assert inputs.keys() <= known.keys(), f"unknown inputs: {inputs.keys() - known.keys()}"
    missing = {name for name, each in known.items() if "default" not in each} - inputs.keys()
    assert not missing, f"missing inputs: {missing}"
    values = {name: inputs.get(name, each.get("default")) for name, each in known.items()}
    text = re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", lambda found: str(values[found[1]]), body)
    jobs: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return {
        name: {**jobs.get(job.get("extends", ""), {}), **job}
        for name, job in jobs.items()
        if not name.startswith(HIDDEN)
    }


def pipeline(jobs: Mapping[str, dict[str, Any]], variables: Mapping[str, str]) -> list[str]:
    """The names of the jobs that a pipeline with these variables has."""
    return [name for name, job in jobs.items() if all(_holds(rule["if"], variables) for rule in job.get("rules", ()))]


def _holds(rule: str, variables: Mapping[str, str]) -> bool:
    found = RULE.fullmatch(rule)
    assert found is not None, rule
    right = variables.get(found[2]) if found[2] else found[3]
    return variables.get(found[1]) is not None and variables.get(found[1]) == right


def run(
    job: Mapping[str, Any], project: Path, gitlab: GitLab, variables: Mapping[str, str], **claims: Any
) -> subprocess.CompletedProcess[str]:
    """Run a job's script in the project's folder, with id_tokens made for whom the job says; ``claims`` are the
    pipeline's."""
    tokens = {name: gitlab.id_token(aud=each["aud"], **claims) for name, each in job.get("id_tokens", {}).items()}
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(project),
        "CI": "true",
        **{name: str(value) for name, value in job.get("variables", {}).items()},
        **variables,
        **tokens,
    }
    script = "set -eo pipefail\n" + "\n".join(job["script"])
    return subprocess.run(["bash", "-c", script], cwd=project, env=environment, capture_output=True, text=True)
