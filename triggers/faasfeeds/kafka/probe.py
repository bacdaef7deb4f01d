"""Before the first batch: does this site store activations? Where it does not, nobody can know what becomes of one."""

from __future__ import annotations

import logging
import threading
import time

from eventflow.batch import SCHEMA, Delivery
from eventflow.errors import FaasError
from faasfeeds.kafka.following import BatchFailed, Follower, Outage, Vanished

log = logging.getLogger(__name__)

PATIENCE_S = 20.0
LONGEST_PAUSE_S = 5.0

TURN_S = 1.0

_ONE_AT_A_TIME = threading.Lock()
"""The feeds of a provider begin together: so many cold containers at once would all be too slow to start."""


class NotStored(FaasError):
    """The site does not store activations."""


def probe(follower: Follower, trigger: str, stop: threading.Event) -> None:
    """Fire an empty batch and follow it, as soon as OpenWhisk takes one; returns early when ``stop`` is set.

    Raises `NotStored`.
    """
    pause = 0.1
    complained = False
    while not stop.is_set():
        try:
            if _once(follower):
                return
        except Outage as error:
            if not complained:
                hint = f" ({error.hint})" if error.hint else ""
                log.warning("%s: waiting for OpenWhisk: %s%s", trigger, error, hint, extra={"trigger": trigger})
            complained = True
            stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
        except Vanished as error:
            if stop.is_set():
                return
            raise NotStored(
                f"{error}: the feed could not know what becomes of a batch, and does not run",
                where=f"trigger {trigger}",
                hint="OpenWhisk must store every activation: store-non-blocking-result-level STORE_ALWAYS",
            ) from None
        except BatchFailed as error:  # stored it was; what is the matter shows with the first batch
            log.warning("%s: the pipeline refuses an empty batch: %s", trigger, error, extra={"trigger": trigger})
            return


def _once(follower: Follower) -> bool:
    """Fire an empty batch and follow it; False while it is another feed's turn."""
    if not _ONE_AT_A_TIME.acquire(timeout=TURN_S):
        return False
    try:
        empty = Delivery(schema=SCHEMA, deadline=int((time.time() + PATIENCE_S) * 1000), messages=())
        for started in follower.fire(empty):
            if started.activation:
                follower.report(started.activation, empty)
    finally:
        _ONE_AT_A_TIME.release()
    return True
