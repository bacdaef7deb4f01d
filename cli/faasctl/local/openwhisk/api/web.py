"""Web actions (core/controller/WebActions.scala)."""

from __future__ import annotations

from faasctl.local.openwhisk.errors import no_route
from faasctl.local.openwhisk.host import Host
from faasctl.local.openwhisk.http import Call, Reply


async def answer(host: Host, call: Call, segments: tuple[str, ...]) -> Reply:
    raise no_route()
