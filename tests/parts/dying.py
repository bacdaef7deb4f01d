"""A provider that dies, as by kill -9, at one step between poll and commit: `python -m tests.parts.dying STEP TRIGGER
--env-file FILE`. It feeds that trigger alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from faasctl.main import main
from faasfeeds.kafka.following import Follower
from faasfeeds.kafka.intake import Intake
from faasfeeds.kafka.journal import Journal
from faasfeeds.kafka.topic import TopicRegistrations

EXIT = 9

Concerns = Callable[[Any, tuple[Any, ...]], bool]
"""Whether a call of a method, by its object and arguments, is about records."""


def _fires(follower: Any, args: tuple[Any, ...]) -> bool:
    return bool(args[0].messages)


def _reports(follower: Any, args: tuple[Any, ...]) -> bool:
    return bool(args[1].messages)


def _writes(journal: Any, args: tuple[Any, ...]) -> bool:
    return bool(args[0])


def _has_read(intake: Any, args: tuple[Any, ...]) -> bool:
    return any(intake.inboxes.values())


def _has_settled(intake: Any, args: tuple[Any, ...]) -> bool:
    return any(lane.counts["matched"] for lane in intake.lanes.values())


STEPS: dict[str, tuple[type, str, bool, Concerns]] = {
    "records-are-read": (Intake, "poll", True, _has_read),
    "before-the-fire": (Follower, "fire", False, _fires),
    "after-the-fire": (Follower, "fire", True, _fires),
    "before-the-report": (Follower, "report", False, _reports),
    "after-the-report": (Follower, "report", True, _reports),
    "before-the-outcomes": (Journal, "write", False, _writes),
    "after-the-outcomes": (Journal, "write", True, _writes),
    "before-the-commit": (Intake, "commit", False, _has_settled),
    "after-the-commit": (Intake, "commit", True, _has_settled),
}
"""For each step the method, and whether the process dies after it or before."""


def arm(step: str) -> None:
    """Make the process die at a step."""
    kind, name, after, concerns = STEPS[step]
    real = getattr(kind, name)

    def deadly(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not after and concerns(self, args):
            os._exit(EXIT)
        result = real(self, *args, **kwargs)
        if after and concerns(self, args):
            os._exit(EXIT)
        return result

    setattr(kind, name, deadly)


def feed_only(trigger: str) -> None:
    """Let the process see one registration."""
    real = TopicRegistrations.all
    TopicRegistrations.all = lambda self: [one for one in real(self) if one.trigger == trigger]  # type: ignore[method-assign]


if __name__ == "__main__":
    step, trigger, *options = sys.argv[1:]
    arm(step)
    feed_only(trigger)
    main(["feed", "kafka", *options])
