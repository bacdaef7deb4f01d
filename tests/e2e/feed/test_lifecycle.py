"""OpenWhisk's own clients, unmodified, feed a trigger with the parameters of the stock Kafka feed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from faasctl.kafka import registrations
from faasfeeds.kafka.registration import Registration
from tests.contract.test_openwhisk_npm import node
from tests.contract.test_openwhisk_wsk import program, run
from tests.parts import npm
from tests.parts.feed import MORE_TOPICS, Site

TOPIC = MORE_TOPICS[8]


def stock(site: Site) -> dict[str, Any]:
    """The parameters of a trigger of the stock feed."""
    return {"brokers": [site.kafka.server], "topic": TOPIC, "isJSONData": True, "isBinaryKey": False}


def registered(site: Site, trigger: str) -> Registration | None:
    store = registrations(site.platform.env)
    try:
        return store.get(trigger)
    finally:
        store.close()


def test_the_javascript_client_feeds_a_trigger(site: Site) -> None:
    openwhisk, auth = site.platform.env.openwhisk, site.platform.env.openwhisk.platform.auth.reveal()
    variables = {"APIHOST": openwhisk.apihost, "AUTH": auth, "TRIGGER": "by-npm", "STOCK": json.dumps(stock(site))}
    seen = json.loads(node(npm.packages(**npm.OPENWHISK), str(Path(__file__).parent / "feeds.js"), **variables))

    assert seen["created"]["config"]["topics"] == [TOPIC]
    assert seen["read"] == seen["updated"]
    assert seen["read"]["status"] == {"active": True}
    assert seen["read"]["config"] == {**seen["created"]["config"], "batch_records": 7}
    assert seen["deleted"] == {"trigger": "/guest/by-npm"}
    assert registered(site, "/guest/by-npm") is None


def test_wsk_feeds_a_trigger(site: Site, tmp_path: Path) -> None:
    openwhisk, auth = site.platform.env.openwhisk, site.platform.env.openwhisk.platform.auth.reveal()
    wsk = [program("WSK", "wsk"), "--apihost", openwhisk.apihost, "--auth", auth, "-i", "trigger"]
    given = [part for name, value in stock(site).items() for part in ("--param", name, json.dumps(value))]

    run(tmp_path, *wsk, "create", "by-wsk", "--feed", "/guest/faas/kafka_feed", *given)
    held = registered(site, "/guest/by-wsk")
    assert held is not None
    assert held.settings.topics == (TOPIC,)

    run(tmp_path, *wsk, "update", "by-wsk", "--param", "batch_records", "7")
    held = registered(site, "/guest/by-wsk")
    assert held is not None
    assert (held.settings.batch_records, held.settings.topics) == (7, (TOPIC,))
    assert '"batch_records": 7' in run(tmp_path, *wsk, "get", "by-wsk")

    run(tmp_path, *wsk, "delete", "by-wsk")
    assert registered(site, "/guest/by-wsk") is None
