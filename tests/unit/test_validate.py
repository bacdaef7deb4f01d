"""`faasctl validate`: what is written is checked, without secrets and without a host."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eventflow.errors import FaasError
from faasctl import bundle
from faasctl.commands.validate import command

LOCAL = bundle.manifests() / "environments/local.yaml"


def validate(*words: str) -> Result:
    return CliRunner().invoke(command, list(words), env={"FAAS_SEAL_KEY": None})


def test_an_environment_is_checked_with_its_policies_and_the_platforms_manifest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FAAS_SEAL_KEY", raising=False)

    result = validate("--env-file", str(LOCAL))

    assert result.exit_code == 0, result.output
    assert "environment local: 1 storage, 1 topic" in result.output
    assert "policies: demo" in result.output
    assert "1 sequence, 1 trigger, 1 rule" in result.output


def test_a_bad_policy_is_found(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/belle.yaml").write_text("namespace: belle\nread: [/]\nwrite: []\n")
    file = tmp_path / "local.yaml"
    file.write_text(LOCAL.read_text().replace("../policies", "policies"))

    result = validate("--env-file", str(file))

    assert isinstance(result.exception, FaasError)
    assert "belle.yaml:2" in str(result.exception)


def test_a_manifest_is_checked_without_knowing_where_it_goes(tmp_path: Path) -> None:
    file = tmp_path / "manifest.yaml"
    file.write_text(
        'packages: {p: {actions: {a: {code: "x", runtime: python}, b: {docker: x}}, sequences: {s: {actions: a}}}}'
    )

    assert validate("--manifest", str(file)).output == f"{file}: 1 package, 2 actions, 1 sequence\n"

    file.write_text("packages: {p: {sequences: {s: {actions: missing}}}}")
    assert "there is no action /_/p/missing" in str(validate("--manifest", str(file)).exception)
