"""Which making of each part a local stack has, and what is said when one is not on the machine."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from eventflow.errors import FaasError
from faasctl.commands.making import choice_options
from faasctl.local import htcondor, kafka, xrootd
from faasctl.local.parts import Choice, check


@click.command()
@choice_options
def tell(choice: Choice) -> None:
    """Prints what was chosen."""
    click.echo(f"{choice.kafka} {choice.storage} {choice.pool}")


def chosen(path: Path, *options: str) -> str:
    return CliRunner().invoke(tell, list(options), env={"PATH": str(path)}).output.strip()


def program(folder: Path, name: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o755)
    return file


def test_the_pool_is_htcondor_where_the_machine_has_it(tmp_path: Path) -> None:
    assert chosen(tmp_path) == "mock dcache process"
    program(tmp_path, "condor_master")
    assert chosen(tmp_path) == "mock dcache htcondor"
    assert chosen(tmp_path, "--pool", "process", "--storage", "xrootd", "--kafka", "apache") == "apache xrootd process"


def test_a_program_is_found_in_its_folder_or_on_the_path(tmp_path: Path) -> None:
    master = program(tmp_path / "usr/sbin", "condor_master")
    assert htcondor.find({"FAASCTL_CONDOR": str(tmp_path)}) == tmp_path / "usr"
    assert htcondor.find({"PATH": str(master.parent)}) == tmp_path / "usr"
    server = program(tmp_path / "usr/bin", "xrootd")
    assert xrootd.find({"FAASCTL_XROOTD": str(tmp_path)}) == server
    assert xrootd.find({"PATH": str(server.parent)}) == server


@pytest.mark.parametrize(
    ("choice", "variable", "name"),
    [
        (Choice(kafka="apache"), kafka.JARS, "Apache Kafka"),
        (Choice(storage="xrootd"), xrootd.XROOTD, "XRootD"),
        (Choice(pool="htcondor"), htcondor.CONDOR, "HTCondor"),
    ],
)
def test_what_is_missing_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: Choice, variable: str, name: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(FaasError, match=f"{name} is not on this machine") as missing:
        check(choice)
    assert variable in missing.value.hint
    monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(FaasError, match=f"{tmp_path} holds no {name}"):
        check(choice)
