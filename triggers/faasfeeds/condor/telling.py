"""What there is to tell of a schedd's jobs: pure decisions about one look at it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from eventflow.batch import key_parts
from eventflow.watching import Watched
from faasfeeds import outcomes
from faasfeeds.condor.ledger import Jobs
from faasfeeds.outcomes import Outcome

UNKNOWN_S = 60.0
"""Seconds for which the end of a job is kept back whose submission the outcomes do not tell of yet."""

RENEWED = "renewed"
"""The code of a job that expired and whose event goes through minting again."""

MOST_RENEWALS = 3
"""How often that is done for an event and a function: a queue that never gets to them needs a person."""

LOST_S = 900.0
"""Seconds after its submission from which on a job that nobody knows counts as lost."""


def tell(rows: Iterable[Watched], jobs: Jobs, now: float) -> list[Outcome]:
    """The outcomes of those jobs that ended or are held and were not told of, the oldest first."""
    told = []
    for row in sorted(rows, key=lambda row: row.since):
        word = row.word
        if word is None or jobs.is_told(row.schedd, row.id):
            continue
        if word == "held" and jobs.is_hold_told(row.schedd, row.id, row.entered):
            continue
        submitted = jobs.submitted(row.schedd, row.id)
        if submitted is None and now - row.since < UNKNOWN_S:
            continue
        told.append(outcomes.of_job(row, word, submitted, now=now))
    return told


def missing(pending: Mapping[str, Outcome], rows: Iterable[Watched]) -> list[str]:
    """The ids of jobs that should be in the queue, or have ended, and were not among what was seen."""
    seen = {row.id for row in rows}
    return [job for job in pending if job not in seen]


def lost(pending: Mapping[str, Outcome], ids: Iterable[str], now: float) -> list[Outcome]:
    """The outcomes of jobs that neither the queue nor the history knows any more, after a while."""
    return [
        msgspec.structs.replace(
            pending[job],
            outcome="removed",
            time=outcomes.utc(now),
            stage="job",
            code="lost",
            why="neither the queue nor the history of its schedd knows it any more",
        )
        for job in ids
        if now - pending[job].time_ms / 1000 > LOST_S
    ]


def is_dead(one: Outcome) -> bool:
    """Whether nothing more becomes of the item by itself, and nobody wanted it so: it goes to the dead letters."""
    if one.outcome == "expired":
        return one.code != RENEWED
    return one.outcome == "failed" or (one.outcome == "removed" and one.code == "lost")


def may_be_renewed(one: Outcome) -> bool:
    """Whether a job waited longer than its tokens live, and its event may have new ones and another job."""
    return one.outcome == "expired" and key_parts(one.key)[2] < MOST_RENEWALS


def renewed(one: Outcome) -> Outcome:
    """The outcome of such a job once its event is on its way again."""
    return msgspec.structs.replace(one, code=RENEWED)
