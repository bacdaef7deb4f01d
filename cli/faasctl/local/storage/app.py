"""The two servers as one ASGI application: the port a request came to tells door from pool."""

from __future__ import annotations

import asyncio
import time

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from faasctl.local.storage import door, pool
from faasctl.local.storage.replies import Refusal
from faasctl.local.storage.service import Service


def application(service: Service) -> ASGIApp:
    """The application that serves ``service``."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        http = Request(scope, receive)
        server = pool if scope["server"][1] == service.pool_port else door
        try:
            answer = await server.answer(service, http)
        except Refusal as refusal:
            answer = refusal.response()
        except ClientDisconnect:
            return
        if isinstance(answer, Response) and answer.status_code >= 300 and "expect" in http.headers:
            # the client will not send the body that it announced, and what it sends next must not be taken for it
            answer.headers["connection"] = "close"
        await answer(scope, receive, send)

    return app


async def chores(service: Service) -> None:
    """Give up on clients that do not come, and clean, until cancelled."""
    cleaned = time.monotonic()
    while True:
        await asyncio.sleep(min(1.0, service.config.redirect_timeout / 4, service.config.cleaner_interval))
        service.give_up()
        if time.monotonic() - cleaned >= service.config.cleaner_interval:
            service.clean()
            cleaned = time.monotonic()
