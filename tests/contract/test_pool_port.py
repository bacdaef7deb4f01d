"""What every pool promises, held by the local process pool and by a real HTCondor alike."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import msgspec
import pytest

from eventflow.clients import condor
from eventflow.clients.pools import Schedd
from eventflow.clients.process_pool import ProcessPool
from eventflow.exactly_once import Pool, PoolRefused, QueuedJob, Submitted, submit_exactly_once
from eventflow.function import Limits, Resources
from tests.parts import htcondor
from tests.parts.faulty_storage import TOKEN, FaultyStorage, faulty_storage
from tests.parts.jobs import job
from tests.parts.process_pool import process_pool

REQUIREMENTS = """
SUBMIT_REQUIREMENT_NAMES = CpuCap
SUBMIT_REQUIREMENT_CpuCap = RequestCpus <= 8
SUBMIT_REQUIREMENT_CpuCap_REASON = strcat("at most 8 cpus, not ", string(RequestCpus))
"""


@dataclass
class Part:
    """A running pool: how to connect to it, and everything that it shows of a job."""

    connect: Callable[[], Schedd]
    shows: Callable[[str], str]
    starts: Callable[[str], int]


@pytest.fixture(scope="module", params=["process", "htcondor"])
def part(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    with ExitStack() as stack:
        if request.param == "process":
            directory = tmp_path_factory.mktemp("pool")
            first = stack.enter_context(process_pool(directory, "--slots", "8"))
            token = (directory / "token").read_text()
            yield Part(
                lambda: ProcessPool(first.url, token),
                lambda id: json.dumps(first.show(id)),
                lambda id: first.show(id)["starts"],
            )
            return
        pool = stack.enter_context(htcondor.condor(REQUIREMENTS))
        token = pool.token()
        yield Part(
            lambda: condor.schedds(pool.collector, token, [pool.schedd])[pool.schedd],
            lambda id: pool.run("condor_q", "-long", id),
            lambda id: int(pool.run("condor_q", id, "-af", "NumJobStarts")),
        )


@pytest.fixture
def pool(part: Part) -> Schedd:
    return part.connect()


@pytest.fixture(scope="module")
def storage() -> Iterator[FaultyStorage]:
    with faulty_storage() as storage:
        storage.files["/data/raw/f"] = b"raw data" * 1000
        yield storage


@pytest.fixture
def keys() -> list[str]:
    return [f"{uuid.uuid4()}/ns.f" for _ in range(3)]


def state_of(pool: Pool, key: str) -> str | None:
    rows = pool.lookup([key])
    assert len(rows) <= 1
    return rows[0].state if rows else None


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_a_job_waits_until_it_has_its_input(pool: Pool, storage: FaultyStorage, keys: list[str]) -> None:
    jobs = [job(key, storage) for key in keys]
    ids = pool.submit(jobs)
    rows = {row.key: row for row in pool.lookup(keys)}
    assert [rows[key].id for key in keys] == ids
    assert {row.state for row in rows.values()} == {"spooling"}
    assert all(abs(row.since - time.time()) < 5 for row in rows.values())

    assert pool.spool(dict(zip(ids, jobs, strict=True))) == ids
    assert "spooling" not in {row.state for row in pool.lookup(keys)}


def test_a_withdrawn_job_is_gone_and_takes_no_input(pool: Pool, storage: FaultyStorage, keys: list[str]) -> None:
    jobs = [job(key, storage) for key in keys]
    ids = pool.submit(jobs)
    pool.withdraw(ids, "lost")
    assert pool.lookup(keys) == []
    assert pool.spool(dict(zip(ids, jobs, strict=True))) == []
    assert pool.lookup(keys) == []


def test_a_job_that_has_its_input_cannot_be_withdrawn(pool: Pool, storage: FaultyStorage, keys: list[str]) -> None:
    one = job(keys[0], storage)
    ids = pool.submit([one])
    pool.spool({ids[0]: one})
    pool.withdraw(ids, "too late")
    assert state_of(pool, keys[0]) in ("idle", "running", "completed")


def test_what_is_lost_in_a_bulk_is_not_spooled(pool: Pool, storage: FaultyStorage, keys: list[str]) -> None:
    jobs = [job(key, storage) for key in keys]
    ids = pool.submit(jobs)
    pool.withdraw(ids[1:2], "lost")
    taken = pool.spool({ids[0]: jobs[0], ids[2]: jobs[2]})
    assert ids[1] not in taken
    assert sorted(row.id for row in pool.lookup(keys)) == sorted(taken)


def test_a_removed_job_is_still_known(pool: Pool, storage: FaultyStorage, keys: list[str]) -> None:
    one = job(keys[0], storage, "import time\ndef main(event): time.sleep(60)")
    (result,) = submit_exactly_once(pool, [one], now=time.time())
    pool.remove([result.id or ""], "cancelled")
    until(lambda: state_of(pool, keys[0]) == "removed")
    assert submit_exactly_once(pool, [one], now=time.time())[0].outcome == "duplicate"


def test_waiting_jobs_of_a_function_are_counted(pool: Pool, storage: FaultyStorage, keys: list[str]) -> None:
    function = f"ns.f{uuid.uuid4().hex[:8]}"
    jobs = [job(key, storage, function=function, limits=Limits(max_idle=2)) for key in keys]
    pool.submit(jobs[:2])
    assert len(pool.lookup([], [function])) == 2
    assert submit_exactly_once(pool, jobs[2:], now=time.time())[0].outcome == "over_limit"


def test_a_refusal_tells_the_pools_own_reason(pool: Pool, storage: FaultyStorage, keys: list[str]) -> None:
    with pytest.raises(PoolRefused, match="9"):
        pool.submit([job(keys[0], storage, resources=Resources(cpus=9))])
    assert pool.lookup(keys) == []


def test_odd_characters_in_a_key_stay_what_they_are(pool: Pool, storage: FaultyStorage) -> None:
    key = f"{uuid.uuid4()}/\"$(HOME) $ENV(PATH) \\ a,b {{x}} \n ü'#2"
    one = msgspec.structs.replace(job("odd", storage), key=key)
    (result,) = submit_exactly_once(pool, [one], now=time.time())
    assert result.outcome == "submitted"
    assert [row.key for row in pool.lookup([key])] == [key]
    assert pool.lookup([key.upper()]) == []


def test_a_job_runs_and_shows_no_token(part: Part, pool: Pool, storage: FaultyStorage, keys: list[str]) -> None:
    (result,) = submit_exactly_once(pool, [job(keys[0], storage, retries=2)], now=time.time())
    assert TOKEN not in part.shows(result.id or "")
    until(lambda: state_of(pool, keys[0]) == "completed")
    report = json.loads(storage.files[f"/data/out/{keys[0]}.d/_faas/result.json"])
    assert (report["exit"], report["result"]) == (0, {"copied": True}), report
    assert storage.files[f"/data/out/{keys[0]}.d/copy"] == storage.files["/data/raw/f"]
    shown = part.shows(result.id or "")
    assert keys[0] in shown
    assert TOKEN not in shown
    assert storage.ca not in shown


@pytest.mark.parametrize(("exit", "starts"), [(11, 3), (31, 3), (20, 1), (0, 1)])
def test_only_trouble_that_may_pass_starts_a_job_again(
    part: Part, pool: Pool, storage: FaultyStorage, keys: list[str], exit: int, starts: int
) -> None:
    one = job(keys[0], storage, retries=2)
    one.files["runner.py"] = f"import sys\nopen('result.json', 'w').write('{{}}')\nsys.exit({exit})\n".encode()
    (result,) = submit_exactly_once(pool, [one], now=time.time())
    until(lambda: state_of(pool, keys[0]) == "completed")
    assert part.starts(result.id or "") == starts


@pytest.mark.parametrize("parts", [[slice(8), slice(4, 12), slice(12)], [slice(1)] * 50], ids=["overlapping", "fifty"])
def test_submitters_at_once_make_one_job_per_key(parts: list[slice], part: Part, storage: FaultyStorage) -> None:
    keys = [f"{uuid.uuid4()}/ns.f" for _ in range(max(one.stop for one in parts))]
    batches = [keys[one] for one in parts]
    start = threading.Barrier(len(batches))
    said: list[list[Submitted]] = [[] for _ in batches]

    def submitter(number: int) -> None:
        pool = part.connect()
        start.wait()
        for _ in range(100):
            jobs = [job(key, storage) for key in batches[number]]
            said[number] += submit_exactly_once(pool, jobs, now=time.time())
            if {result.outcome for result in said[number][-len(jobs) :]} <= {"submitted", "duplicate"}:
                return
            time.sleep(0.05)

    threads = [threading.Thread(target=submitter, args=(number,)) for number in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    submitted = [result.key for results in said for result in results if result.outcome == "submitted"]
    assert sorted(submitted) == sorted(keys)
    rows: list[QueuedJob] = part.connect().lookup(keys)
    assert sorted(row.key for row in rows) == sorted(keys)
    assert "spooling" not in {row.state for row in rows}


@pytest.mark.parametrize(("exit", "word"), [(0, "completed"), (20, "failed")])
def test_an_end_is_told_with_its_exit_code_and_its_times(
    pool: Schedd, storage: FaultyStorage, keys: list[str], exit: int, word: str
) -> None:
    one = job(keys[0], storage)
    one.files["runner.py"] = f"import sys\nopen('result.json', 'w').write('{{}}')\nsys.exit({exit})\n".encode()
    (result,) = submit_exactly_once(pool, [one], now=time.time())
    until(lambda: state_of(pool, keys[0]) == "completed")
    (row,) = (row for row in pool.watch(60) if row.key == keys[0])
    assert (row.word, row.exit, row.id, row.schedd) == (word, exit, result.id, result.schedd)
    assert (row.function, row.version, row.origin, row.starts) == ("ns.f", "0.0.1", "billing/0/17", 1)
    assert row.started is not None
    assert row.queued <= row.started <= row.entered + 1
    assert abs(row.since - time.time()) < 60
    assert (row.bytes_in, row.bytes_out) == (None, None)  # it was not the runner
    assert pool.recall([row.id, "999999.0"])[0].key == keys[0]


def test_only_what_ended_lately_is_watched_and_all_that_has_not(
    pool: Schedd, storage: FaultyStorage, keys: list[str]
) -> None:
    slow = "import time\ndef main(event): time.sleep(60)"
    quick = job(keys[0], storage)
    results = submit_exactly_once(pool, [quick, job(keys[1], storage, slow)], now=time.time())
    until(lambda: state_of(pool, keys[0]) == "completed")
    time.sleep(2.5)  # the schedd's clock counts whole seconds
    states = {row.key: row.word for row in pool.watch(1) if row.key in keys}
    assert states == {keys[1]: None}
    (ended,) = pool.recall([results[0].id or ""])
    size = len(storage.files["/data/raw/f"])
    assert (ended.bytes_in, ended.bytes_out) == (size, size)
    pool.remove([results[1].id or ""], "cancelled by a test")
    until(lambda: state_of(pool, keys[1]) == "removed")
    (row,) = (row for row in pool.watch(60) if row.key == keys[1])
    assert row.word == "removed"
    assert "cancelled by a test" in (row.reason or "")


def test_a_job_that_could_not_start_in_time_is_expired(
    part: Part, pool: Schedd, storage: FaultyStorage, keys: list[str]
) -> None:
    whole = Resources(cpus=8, memory=30 * 2**30)
    one = job(keys[0], storage, expires=time.time() + 4, resources=whole)
    blocker = job(keys[1], storage, "import time\ndef main(event): time.sleep(60)", resources=whole)
    (first,) = submit_exactly_once(pool, [blocker], now=time.time())
    until(lambda: state_of(pool, keys[1]) == "running")
    submit_exactly_once(pool, [one], now=time.time())
    until(lambda: state_of(pool, keys[0]) in ("removed", "completed"))
    (row,) = (row for row in pool.watch(60) if row.key == keys[0])
    pool.remove([first.id or ""], "over")
    assert row.word == "expired", (row, part.shows(row.id))


def test_a_job_without_its_input_is_not_watched(pool: Schedd, storage: FaultyStorage, keys: list[str]) -> None:
    ids = pool.submit([job(keys[0], storage)])
    assert [row for row in pool.watch(None) if row.key == keys[0]] == []
    pool.withdraw(ids, "over")
