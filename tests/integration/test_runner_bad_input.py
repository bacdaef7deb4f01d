"""What can be wrong with a job's input, its function and its output: each has its exit code and its words."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_runner import CONTENT, INPUT, OUTPUT, Sandbox
from tests.parts.faulty_storage import FaultyStorage, Handler, Seen, faulty_storage


@pytest.fixture
def storage() -> Iterator[FaultyStorage]:
    with faulty_storage() as storage:
        storage.files[INPUT] = CONTENT
        yield storage


@pytest.fixture
def sandbox(tmp_path: Path, storage: FaultyStorage) -> Sandbox:
    found = Sandbox(tmp_path, storage)
    storage.pnfsids[INPUT] = found.event()["read"]["pnfsid"]
    return found


def writes(code: str) -> dict[str, str | bytes]:
    """A function that does ``code`` with the output directory ``out``."""
    return {"f.py": f"import os\ndef main(event):\n    out = event['write']['local']\n    {code}\n"}


def always_corrupt(handler: Handler, seen: Seen) -> bool:
    if seen.method != "GET" or seen.at != "pool":
        return False
    handler.answer(200, body=b"x" + CONTENT[1:])
    return True


def test_a_checksum_that_never_matches(sandbox: Sandbox, storage: FaultyStorage) -> None:
    storage.faults.append(always_corrupt)
    ran = sandbox.run(sandbox.event(), patience=5)
    assert (ran.code, ran.event["reason"]) == (11, f"{INPUT} came with a wrong adler32 3 times")


def test_an_empty_input_where_size_was_promised(sandbox: Sandbox, storage: FaultyStorage) -> None:
    storage.files[INPUT] = b""
    ran = sandbox.run(sandbox.event())
    assert (ran.code, ran.event["reason"]) == (13, f"{INPUT} has 0 bytes, not {len(CONTENT)}")


def test_a_disk_that_takes_no_more(sandbox: Sandbox) -> None:
    """Given a limit below the input's size, which the kernel enforces as it does a full disk's."""
    ran = sandbox.run(sandbox.event(), command=["prlimit", f"--fsize={len(CONTENT) // 2}", sys.executable])
    assert (ran.code, ran.event["reason"]) == (11, "the sandbox: File too large")


def test_a_disk_that_takes_no_output(sandbox: Sandbox) -> None:
    sandbox.archive(writes("open(out + '/x', 'wb').write(b'x' * 2_000_000)"))
    ran = sandbox.run(sandbox.event(), command=["prlimit", "--fsize=1000000", sys.executable])
    assert ran.code == 20
    assert ran.event["reason"] == "the function ended with exit code 1: OSError: [Errno 27] File too large"


@pytest.mark.parametrize("name", ["a b%2F#?.txt", "ü\N{SNOWMAN}", "-rf", "line\nbreak", "back\\slash", "'\"$(x)"])
def test_an_output_name_with_odd_characters(sandbox: Sandbox, storage: FaultyStorage, name: str) -> None:
    sandbox.archive(writes(f"open(os.path.join(out, {name!r}), 'w').write('x')"))
    ran = sandbox.run(sandbox.event())
    assert (ran.code, ran.event["reason"]) == (0, None)
    assert storage.files[OUTPUT + name] == b"x"
    assert [one["path"] for one in ran.event["outputs"]] == [OUTPUT + name]


def test_a_function_that_writes_nothing(sandbox: Sandbox, storage: FaultyStorage) -> None:
    sandbox.archive(writes("return {}"))
    ran = sandbox.run(sandbox.event())
    assert (ran.code, ran.event["reason"], ran.event["outputs"]) == (0, "the function wrote no file", [])
    assert json.loads(storage.files[OUTPUT + "_faas/result.json"])["reason"] == "the function wrote no file"


def test_ten_thousand_outputs(sandbox: Sandbox, storage: FaultyStorage) -> None:
    sandbox.archive(writes("[open('%s/%d' % (out, n), 'w').close() for n in range(10_000)]"))
    ran = sandbox.run(sandbox.event())
    assert ran.code == 20
    assert ran.event["reason"] == "the function wrote more than 5000 files: pack them into an archive"
    assert [path for path in storage.files if path.startswith(OUTPUT) and "/_faas/" not in path] == []


def test_a_function_over_its_runtime(sandbox: Sandbox) -> None:
    sandbox.archive(writes("import time; time.sleep(60)"))
    ran = sandbox.run(sandbox.event(exec__runtime=1))
    assert (ran.code, ran.event["reason"]) == (20, "the function ran longer than 1 s")


def test_a_file_that_appears_five_seconds_after_its_event(sandbox: Sandbox, storage: FaultyStorage) -> None:
    content = storage.files.pop(INPUT)
    late = threading.Timer(5, lambda: storage.files.update({INPUT: content}))
    late.start()
    ran = sandbox.run(sandbox.event(), patience=30)
    late.join()
    assert (ran.code, ran.event["reason"]) == (0, None)
    assert storage.files[OUTPUT + "copy"] == content
