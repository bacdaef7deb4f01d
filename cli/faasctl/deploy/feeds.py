"""The lifecycle of a trigger's feed (OpenWhisk docs/feeds.md), so that no feed is left without its trigger."""

from __future__ import annotations

from typing import Any

from eventflow.clients.openwhisk import NotFound, OpenWhiskError
from faasctl.deploy.model import Feed
from faasctl.deploy.session import Session


def created(session: Session, trigger: str, feed: Feed) -> None:
    """Tell the feed of a new trigger. Where it knows the name already, as after a deploy that was killed, it is told
    to forget it first: not every feed takes CREATE twice."""
    refusal = _refusal(session, feed, "CREATE", trigger)
    if refusal is not None:
        _forget_and_create(session, trigger, feed, refusal)


def updated(session: Session, trigger: str, feed: Feed) -> None:
    """Tell the feed of new inputs.

    A feed that cannot change them (the stock Kafka feed's topic) is told to forget the trigger and to learn it anew.
    When it refuses UPDATE and CREATE for one reason, the inputs are at fault, and what it knows is left as it is.
    """
    first = _refusal(session, feed, "UPDATE", trigger)
    if first is None:
        return
    second = _refusal(session, feed, "CREATE", trigger)
    if second is None:
        return
    if second.why == first.why:
        raise first
    _forget_and_create(session, trigger, feed, second)


def deleted(session: Session, trigger: str, feed: str) -> bool:
    """Tell a feed, by its action's whole name, to forget a trigger; ``False`` when the action itself is gone."""
    try:
        _invoke(session, feed, "DELETE", trigger, {})
    except NotFound:
        return False
    return True


def _forget_and_create(session: Session, trigger: str, feed: Feed, refusal: OpenWhiskError) -> None:
    if _refusal(session, Feed(action=feed.action), "DELETE", trigger) is not None:
        raise refusal
    again = _refusal(session, feed, "CREATE", trigger)
    if again is not None:
        raise again


def _refusal(session: Session, feed: Feed, event: str, trigger: str) -> OpenWhiskError | None:
    """Why the feed action itself says no, if it does. That it cannot be asked is raised: it may say yes later."""
    try:
        _invoke(session, feed.action, event, trigger, {name: p.value for name, p in feed.parameters.items()})
    except OpenWhiskError as error:
        if type(error) is OpenWhiskError and error.status == 502:
            return error
        raise
    return None


def _invoke(session: Session, action: str, event: str, trigger: str, inputs: dict[str, Any]) -> None:
    _, space, name = action.split("/", 2)
    arguments = {
        **inputs,
        "lifecycleEvent": event,
        "triggerName": f"/{session.namespace}/{trigger}",
        "authKey": session.auth,
    }
    session.call(lambda client: client.invoke(name, arguments), namespace=space)
