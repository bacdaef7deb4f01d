"""A job's course, from the words of HTCondor's event log."""

from __future__ import annotations

from faasctl.watching import Moment, moments_of

LOG = """\
000 (007.000.000) 2026-07-20 08:11:12.345Z Job submitted from host: <127.0.0.1:1>
...
012 (007.000.000) 2026-07-20 08:11:12.350Z Job was held.
\tSpooling input data files
\tCode 16 Subcode 0
...
000 (070.000.000) 2026-07-20 08:11:12.900Z Job submitted from host: <127.0.0.1:1>
...
013 (007.000.000) 2026-07-20 08:11:13.000Z Job was released.
...
001 (007.000.000) 2026-07-20 08:11:14.500Z Job executing on host: <127.0.0.1:1>
...
006 (007.000.000) 2026-07-20 08:11:14.600Z Image size of job updated: 1
...
005 (007.000.000) 2026-07-20 08:11:15.250Z Job terminated.
...
"""
MORNING = 1784535072.0  # 2026-07-20T08:11:12Z


def test_a_job_waits_for_its_input_and_runs() -> None:
    """Times are in UTC with their fractions; the hold while the input is spooled is no moment."""
    assert moments_of("7.0", LOG) == (
        Moment("submitted", MORNING + 0.345),
        Moment("idle", MORNING + 1, "has its input"),
        Moment("running", MORNING + 2.5),
        Moment("completed", MORNING + 3.25),
    )


def test_jobs_are_told_apart_by_their_whole_id() -> None:
    assert [one.state for one in moments_of("70.0", LOG)] == ["submitted"]
    assert moments_of("7.1", LOG) == ()


def test_a_later_hold_is_a_moment() -> None:
    held = "012 (007.000.000) 2026-07-20 08:11:16.000Z Job was held.\n...\n"
    assert moments_of("7.0", LOG + held)[-1] == Moment("held", MORNING + 4)
