"""The rendered manifest: in step with the template, without secrets, and the same that is deployed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from eventflow import policy
from eventflow.errors import FaasError
from faasctl import bundle, environment, strict_yaml
from faasctl.commands.init import command as init
from faasctl.commands.render import wskdeploy_manifest
from faasctl.deploy import manifest, template
from faasctl.deploy.model import Action
from faasctl.environment import variables
from faasctl.htcondor_policy import groups
from faasctl.main import cli

LOCAL = bundle.manifests() / "environments/local.yaml"
PROCESS = {
    "FAAS_PLATFORM_AUTH": "uuid:platform",
    "FAAS_FUNCTIONS_AUTH": "uuid:functions",
    "FAAS_STORAGE_PASSWORD": 'a"b${X}$Y',
    "FAAS_POOL_TOKEN": "pool-token",
    "FAAS_SEAL_KEY": "seal-key",
    "FAAS_SUBMIT_KEY": "submit-key",
    "FAAS_FEED_KEY": "feed-key",
    "FAAS_ADMIN_KEY": "admin-key-of-more-than-32-characters",
}


def actions_of(text: str, values: dict[str, str], folder: Path) -> dict[str, Action]:
    for name in ("filter_event", "mint_tokens", "augment_event", "submit_condor", "submit", "registry", "kafka_feed"):
        (folder / f"{name}.py").touch()
    document = strict_yaml.parse(text.replace(".zip", ".py").encode(), "m.yaml")
    wanted = manifest.desired(document, namespace="guest", base=folder, variables=values)
    return {entity.name: entity for entity in wanted.entities if isinstance(entity, Action)}


def test_the_committed_manifest_is_the_rendered_one() -> None:
    rendered = wskdeploy_manifest(environment.load(LOCAL, look_up=variables.as_wskdeploy))

    assert (bundle.root() / "wskdeploy.yaml").read_text() == rendered, "run: faasctl render --write"


def test_what_is_rendered_for_wskdeploy_is_what_is_deployed(tmp_path: Path) -> None:
    standing = wskdeploy_manifest(environment.load(LOCAL, look_up=variables.as_wskdeploy))
    direct = template.render(environment.load(LOCAL, process=PROCESS), lambda name: f"dist/actions/{name}.zip")

    by_wskdeploy = actions_of(standing.replace("dist/actions/", ""), PROCESS, tmp_path)
    by_faasctl = actions_of(direct.text.replace("dist/actions/", ""), direct.variables, tmp_path)

    assert by_wskdeploy == by_faasctl
    for secret in PROCESS.values():
        assert secret not in direct.text
        assert secret not in repr(direct)
    storages = json.loads(by_faasctl["faas/mint_tokens"].parameters["FAAS_STORAGES"].value)
    assert storages[0]["credentials"]["default"]["basic"]["password"] == PROCESS["FAAS_STORAGE_PASSWORD"]


def test_each_action_holds_what_it_needs_and_nothing_else(tmp_path: Path) -> None:
    direct = template.render(environment.load(LOCAL, process=PROCESS), lambda name: f"{name}.zip")
    actions = actions_of(direct.text, direct.variables, tmp_path)
    holders = {
        secret: {
            name.removeprefix("faas/")
            for name, action in actions.items()
            if any(json.dumps(value)[1:-1] in str(p.value) for p in action.parameters.values())
        }
        for secret, value in PROCESS.items()
    }

    assert holders == {
        "FAAS_PLATFORM_AUTH": set(),
        "FAAS_FUNCTIONS_AUTH": {"filter_event", "submit_condor", "submit", "registry"},
        "FAAS_STORAGE_PASSWORD": {"mint_tokens"},
        "FAAS_POOL_TOKEN": {"submit_condor", "submit"},
        "FAAS_SEAL_KEY": {"mint_tokens", "submit_condor"},
        "FAAS_SUBMIT_KEY": {"mint_tokens", "submit_condor", "submit"},
        "FAAS_FEED_KEY": {"kafka_feed"},
        "FAAS_ADMIN_KEY": {"registry"},
    }
    assert all(p.init for action in actions.values() for p in action.parameters.values())


def test_a_secret_written_into_the_file_cannot_be_rendered(tmp_path: Path) -> None:
    file = tmp_path / "local.yaml"
    file.write_text(LOCAL.read_text().replace("${env:FAAS_POOL_TOKEN}", "inline").replace("../policies", "policies"))
    (tmp_path / "policies").mkdir()
    file.chmod(0o600)

    with pytest.raises(FaasError, match="a secret stands in the environment file"):
        wskdeploy_manifest(environment.load(file, look_up=variables.as_wskdeploy))


def test_a_new_environment_file_loads_once_its_variables_are_set(tmp_path: Path) -> None:
    result = CliRunner().invoke(init, ["site", "--directory", str(tmp_path)])
    assert result.exit_code == 0, result.output

    loaded = environment.load(tmp_path / "site.yaml", process={**PROCESS, "FAAS_KAFKA_PASSWORD": "kafka"})

    assert loaded.name == "site"
    assert loaded.policies == str(tmp_path / "policies-site")
    assert "schedd1" in template.render(loaded, lambda name: f"{name}.zip").text
    again = CliRunner().invoke(init, ["site", "--directory", str(tmp_path)])
    assert isinstance(again.exception, FaasError)


def test_kafkas_administrators_get_a_script_without_secrets() -> None:
    done = CliRunner().invoke(cli, ["render", "--env", "local", "--target", "kafka"])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert next(line for line in lines if "--topic faas.outcomes --partitions" in line).endswith(
        '--replication-factor "$REPLICATION" --config cleanup.policy=delete --config retention.ms=7776000000'
    )
    assert (
        'kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --command-config "$ADMIN" --add'
        ' --allow-principal "User:$FEED_USER" --group /guest/ --resource-pattern-type prefixed --operation Read'
    ) in lines
    assert [line for line in lines if "$STORAGE_USER" in line and "faas." in line] == []
    assert subprocess.run(["sh", "-n"], input=done.output, text=True).returncode == 0


def test_the_policies_are_rendered_for_htcondor() -> None:
    done = CliRunner().invoke(cli, ["render", "--env-file", str(LOCAL), "--target", "htcondor"])
    assert done.exit_code == 0, done.output
    assert 'FaasNamespace =?= "demo" ? 2 : \\' in done.output
    assert "GROUP_NAMES = $(GROUP_NAMES) group_demo" in done.output


def test_a_group_comes_after_the_groups_that_it_is_a_part_of() -> None:
    rules = {"read": ["/a/b"], "write": ["/a/c"]}
    policies = [
        policy.decode({**rules, "namespace": "x", "accounting_group": "g.sub.x", "accounting_share": 0.1}),
        policy.decode({**rules, "namespace": "y", "accounting_group": "g.sub.x", "accounting_share": 0.3}),
        policy.decode({**rules, "namespace": "z"}),
    ]
    assert list(groups(policies).items()) == [("g", None), ("g.sub", None), ("g.sub.x", 0.3)]
