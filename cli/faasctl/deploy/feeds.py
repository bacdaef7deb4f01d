"""The lifecycle of a trigger's feed (OpenWhisk docs/feeds.md), so that no feed is left without its trigger."""

from __future__ import annotations

from typing import Any

from eventflow.clients.openwhisk import NotFound, OpenWhiskError
from faasctl.deploy.model import Feed
from faasctl.deploy.session import Session


def created(session: Session, trigger: str, feed: Feed) -> None:
    """Tell the feed of a new trigger. Where it knows the name already, as after a deploy that was killed, it is told
    to forget it first: not every feed takes CREATE twice."""
    try:
        _invoke(session, feed.action, "CREATE", trigger, _inputs(feed))
    except NotFound:
        raise
    except OpenWhiskError as first:
        try:
            _invoke(session, feed.action, "DELETE", trigger, {})
        except OpenWhiskError:
            raise first from None
        _invoke(session, feed.action, "CREATE", trigger, _inputs(feed))


def updated(session: Session, trigger: str, feed: Feed, now: str | None) -> None:
    """Tell the feed of new inputs; a feed that cannot change them (the stock Kafka feed's topic) is told to forget the
    trigger and learn it anew. ``now`` is the feed that fed the trigger so far."""
    if now is not None and now != feed.action:
        deleted(session, trigger, now)
    if now == feed.action:
        try:
            _invoke(session, feed.action, "UPDATE", trigger, _inputs(feed))
        except NotFound:
            raise
        except OpenWhiskError:
            created(session, trigger, feed)
        return
    created(session, trigger, feed)


def deleted(session: Session, trigger: str, feed: str) -> bool:
    """Tell a feed to forget a trigger; ``False`` when the feed action itself is gone."""
    try:
        _invoke(session, feed, "DELETE", trigger, {})
    except NotFound:
        return False
    return True


def _invoke(session: Session, action: str, event: str, trigger: str, inputs: dict[str, Any]) -> None:
    _, space, name = action.split("/", 2)
    arguments = {
        **inputs,
        "lifecycleEvent": event,
        "triggerName": f"/{session.namespace}/{trigger}",
        "authKey": session.auth,
    }

    session.call(lambda client: client.invoke(name, arguments), namespace=space)


def _inputs(feed: Feed) -> dict[str, Any]:
    return {name: parameter.value for name, parameter in feed.parameters.items()}
