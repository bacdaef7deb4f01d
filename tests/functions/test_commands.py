"""`faasctl fn new|check|test`, as a person types them."""

import json
from pathlib import Path

import pytest

from faasctl import bundle
from faasctl.main import main

CALIBRATE = str(bundle.manifests() / "functions" / "calibrate")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FAASCTL_ENV", raising=False)
    return tmp_path


def faasctl(*arguments: str) -> int:
    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_new_function_is_fine_and_runs(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # given
    (own_folder / "data.bin").write_bytes(b"12345")

    # when
    assert faasctl("fn", "new", "belle.calib-2") == 0
    assert faasctl("fn", "check", "calib-2") == 0
    assert faasctl("fn", "test", "calib-2", "data.bin", "-o", "json") == 0

    # then
    outcome = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert outcome["result"] == {"file": "/pnfs/belle/in/run/data.bin", "bytes": 5}
    assert json.loads((own_folder / "fn-test/data.bin.d/summary.json").read_text()) == outcome["result"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["x"], 64, "NAMESPACE.NAME"),
        (["a.b.c"], 64, "no function's name"),
        (["a.b", "--path", "relative"], 1, "no absolute path"),
        (["a.b", "--path", "/x/{run}/*", "--write", "/x/{nur}"], 1, "captured there: {run}"),
        (["true.null"], 0, ""),
        (["a.b", "--contact", "it's: me # 'x'"], 0, ""),
    ],
)
def test_new_leaves_nothing_behind_when_it_cannot_do_it(
    own_folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, words: str
) -> None:
    assert faasctl("fn", "new", *arguments) == status
    assert words in capsys.readouterr().err
    assert bool(list(own_folder.iterdir())) is (status == 0)


def test_check_names_file_and_line(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # given
    faasctl("fn", "new", "belle.x")
    spec = (own_folder / "x/function.yaml").read_text()
    (own_folder / "x/function.yaml").write_text(spec.replace("retries: 2", "retires: 2"))

    # when
    capsys.readouterr()
    status = faasctl("fn", "check", "x")

    # then
    line = spec.splitlines().index("retries: 2") + 1
    assert status == 1
    assert capsys.readouterr().out == (
        f"error: x/function.yaml:{line}: retires: unknown key 'retires'\n  hint: did you mean 'retries'?\n"
    )


def test_check_keeps_to_a_policy(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = str(bundle.manifests() / "policies" / "demo.yaml")
    assert faasctl("fn", "check", CALIBRATE, "--policy", policy, "-o", "json") == 0
    faasctl("fn", "new", "demo.x")
    capsys.readouterr()
    assert faasctl("fn", "check", "x", "--policy", policy) == 1
    assert "policy demo: read" in capsys.readouterr().out


def test_a_function_is_tried_out_as_a_job_would_run_it(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # given
    (own_folder / "a.csv").write_text("channel,counts\nA,20\n")

    # when
    status = faasctl("fn", "test", CALIBRATE, "a.csv", "--path", "/demo/in/r7/a.csv")

    # then
    assert status == 0
    assert (own_folder / "fn-test/a.csv.d/calibrated.csv").read_text() == "channel,counts,energy\nA,20,6\n"
    result = json.loads((own_folder / "fn-test/a.csv.d/_faas/result.json").read_text())
    assert result["function"] == "demo.calibrate"
    assert "done" in capsys.readouterr().out


def test_a_function_that_fails_shows_why(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own_folder / "a.csv").write_text("no table")
    assert faasctl("fn", "test", CALIBRATE, "a.csv") == 1
    assert "ValueError: there is no column 'counts'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.txt"], "no file called 'a.txt' matches"),
        (["a.txt", "--path", "/demo/out/r1/a.csv"], "does not match"),
        (["empty.csv"], "do not fulfil when.where"),
        (["a.txt", "--input", "c=d"], "inputs of the function: none"),
        (["a.txt", "--event", "a.txt"], "is no event"),
    ],
)
def test_a_file_that_does_not_fire_the_function_says_why(
    own_folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    (own_folder / "a.txt").write_text("x")
    (own_folder / "empty.csv").touch()
    assert faasctl("fn", "test", CALIBRATE, *arguments) != 0
    assert words in "".join(capsys.readouterr())


def test_a_billing_record_can_stand_for_the_event(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # given
    (own_folder / "a.csv").write_text("counts\n20\n")
    record = {
        "version": "1.0",
        "date": "2026-01-01T10:00:00.000Z",
        "msgType": "transfer",
        "cellName": "pool-1",
        "cellDomain": "pools",
        "cellType": "pool",
        "session": "door:1",
        "initiator": "door:1",
        "pnfsid": "000012345678901234567890123456789012",
        "billingPath": "/demo/in/r8/a.csv",
        "transferPath": "/demo/in/r8/a.csv",
        "fileSize": 10,
        "transferSize": 10,
        "storageInfo": "demo:raw@osm",
        "isWrite": "write",
        "isP2p": False,
        "protocolInfo": {"protocol": "Http", "versionMajor": 1, "versionMinor": 1, "port": 0, "host": "192.0.2.1"},
        "status": {"code": 0, "msg": ""},
    }
    (own_folder / "record.json").write_text(json.dumps(record))
    (own_folder / "read.json").write_text(json.dumps({**record, "isP2p": True}))

    # then
    assert faasctl("fn", "test", CALIBRATE, "a.csv", "--event", "record.json", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["result"]["run"] == "r8"
    assert faasctl("fn", "test", CALIBRATE, "a.csv", "--event", "read.json") == 1
    assert "the record is filtered" in capsys.readouterr().err


def test_inputs_and_captures_reach_a_command(own_folder: Path) -> None:
    # given
    folder = own_folder / "join"
    folder.mkdir()
    (folder / "function.yaml").write_text(
        "{name: join, namespace: belle, contact: me, when: {path: '/in/{run}/{file}.txt'},"
        " inputs: {tail: '/tails/{run}'}, write: '/out/{run}',"
        " run: {command: [./join, '{input}', '{inputs.tail}', '{output}/{run}'], env: {SEP: '-'}}}"
    )
    (folder / "join").write_text('#!/bin/sh\n{ cat "$1"; printf "$SEP"; cat "$2"; } > "$3"\n')
    (folder / "join").chmod(0o755)
    (own_folder / "a.txt").write_text("head")
    (own_folder / "t").write_text("tail")

    # when
    status = faasctl("fn", "test", "join", "a.txt", "--path", "/in/r9/a.txt", "--input", "tail=t")

    # then
    assert status == 0
    assert (own_folder / "fn-test/a.txt.d/r9").read_text() == "head-tail"


def test_a_light_function_that_writes_nothing_is_tried_out(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    folder = own_folder / "tally"
    folder.mkdir()
    (folder / "function.yaml").write_text(
        "{name: tally, namespace: demo, contact: me, when: {path: '/demo/in/*.txt'},"
        " run: {backend: openwhisk, main: tally.py}}"
    )
    (folder / "tally.py").write_text(
        "def main(event):\n"
        "    print('looking')\n"
        "    assert event['write'] is None\n"
        "    return {'words': len(open(event['read']['local']).read().split())}\n"
    )
    (own_folder / "a.txt").write_text("three small words")

    # then
    assert faasctl("fn", "check", "tally") == 0
    assert faasctl("fn", "test", "tally", "a.txt") == 0
    out = capsys.readouterr().out
    assert 'result: {"words": 3}' in out
    assert "looking" in out
    assert not (own_folder / "fn-test").exists()
