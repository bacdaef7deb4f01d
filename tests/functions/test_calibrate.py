"""The example function calibrate."""

import json
from pathlib import Path

import pytest

from eventflow.function import output_directory
from eventflow.index import Index
from eventflow.policy import check_function, check_paths
from faasctl import bundle
from faasctl.functions.file import load_policy
from tests.functions.example import event, example
from tests.unit.functions import written


def run(tmp_path: Path, text: str) -> Path:
    function, main = example("calibrate")
    source, output = tmp_path / "a.csv", tmp_path / "out"
    source.write_text(text)
    output.mkdir()
    main(event(function, source, output, "/demo/in/r7/a.csv", pedestal=10, gain=0.5))
    return output


def test_counts_become_energies_and_other_columns_are_kept(tmp_path: Path) -> None:
    # when
    output = run(tmp_path, "channel,counts\nA,12\nB,30\n")

    # then
    assert (output / "calibrated.csv").read_text() == "channel,counts,energy\nA,12,1\nB,30,10\n"
    summary = json.loads((output / "summary.json").read_text())
    assert summary == {"run": "r7", "pedestal": 10, "gain": 0.5, "rows": 2, "mean": 5.5, "min": 1, "max": 10}


def test_a_table_without_rows_has_no_mean(tmp_path: Path) -> None:
    output = run(tmp_path, "channel,counts\n")
    assert json.loads((output / "summary.json").read_text())["mean"] is None


@pytest.mark.parametrize(
    ("text", "words"),
    [("channel,count\nA,1\n", "no column 'counts'"), ("", "nothing"), ("counts\n1\nmany\n", "line 3: 'many'")],
)
def test_a_table_that_makes_no_sense_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        run(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "subject", "directory"),
    [
        ("calibrate", "/demo/in/r7/a.csv", "/demo/out/r7/a.csv.d/"),
        ("uncompress", "/demo/compressed/r7/a.tar.xz", "/demo/uncompressed/r7/a.tar.xz.d/"),
    ],
)
def test_examples_fire_and_keep_to_the_policy_of_the_demo(name: str, subject: str, directory: str) -> None:
    # given
    function, _ = example(name)
    policy = load_policy(bundle.manifests() / "policies" / "demo.yaml")

    # when
    (match,) = Index([function]).match(written(subject, size=5))

    # then
    assert output_directory(function, match.captures, subject) == directory
    check_function(policy, function)
    check_paths(policy, read=[subject], write=directory)
