"""The registry over HTTP: what `faasctl fn` asks of the platform's web action, and nothing that needs a key of
OpenWhisk."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import quote

import msgspec
import requests

from eventflow import function as functions
from eventflow.catalogue import Change, Entry
from eventflow.errors import FaasError
from eventflow.function import Function
from eventflow.registrar import PART_BYTES
from faasctl.functions.package import Package

TIMEOUT = (5.0, 70.0)
"""Seconds to connect, and for an answer: OpenWhisk waits 60 for an action."""


class RegistryError(FaasError):
    """The registry said no, or could not be asked. ``status`` is the HTTP status, 0 when there was none."""

    def __init__(self, why: str, *, where: str = "", hint: str = "", status: int = 0) -> None:
        super().__init__(why, where=where, hint=hint)
        self.status = status


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a push did, or would do; ``circles`` are those that the function closes."""

    name: str
    outcome: Literal["created", "updated", "unchanged"]
    version: str | None
    changes: tuple[Change, ...]
    paused: Literal["park", "drop"] | None
    circles: tuple[str, ...]


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """An activation of a light function; times in unix ms."""

    activation: str
    start: int
    end: int | None
    success: bool
    logs: tuple[str, ...]


class Registry:
    """The registry at ``url``, asked with a ``credential``: an id_token of GitLab or the administrator's key.

    ``ca`` is a file with CA certificates, ``None`` for the system's.
    """

    def __init__(self, url: str, credential: str, *, ca: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = ca if ca is not None else True
        self._session.headers["Authorization"] = f"Bearer {credential}"

    def whoami(self) -> dict[str, Any]:
        """Who the platform takes the caller for, where they may push, and the OpenWhisk kind of light functions."""
        return self._ask("GET", "")

    def functions(self, namespace: str | None = None) -> Iterator[Entry]:
        """The functions that the caller may see, by name."""
        after, more = "", True
        while more:
            page = self._ask("GET", "/functions", query={"after": after})
            entries = msgspec.convert(page["functions"], list[Entry])
            yield from (one for one in entries if namespace in (None, one.name.partition(".")[0]))
            after, more = (entries[-1].name if entries else ""), page["more"]

    def function(self, name: str) -> Entry:
        """One function by its full name."""
        return _entry(self._ask("GET", _path(name)))

    def push(
        self,
        function: Function,
        package: Package,
        *,
        plan: bool = False,
        by: str | None = None,
        commit: str | None = None,
    ) -> Answer:
        """Register a function, or say what that would do; ``by`` and ``commit`` count from administrators only."""
        code: dict[str, Any] = {"sha256": package.code}
        if len(package.data) <= PART_BYTES:
            code["data"] = None if plan else base64.b64encode(package.data).decode()
        else:
            code["parts"] = -(-len(package.data) // PART_BYTES)
            for number in range(0 if plan else code["parts"]):
                part = package.data[number * PART_BYTES : (number + 1) * PART_BYTES]
                body = {"sha256": package.code, "data": base64.b64encode(part).decode()}
                self._ask("PUT", _path(function.full_name, "parts", str(number)), body)
        push = {"spec": functions.encode(function), "code": code, "plan": plan, "by": by, "commit": commit}
        return msgspec.convert(self._ask("PUT", _path(function.full_name), push), Answer)

    def remove(self, name: str) -> Entry:
        """Take a function out; returns what it was."""
        return _entry(self._ask("DELETE", _path(name)))

    def pause(self, name: str, *, drop: bool) -> Entry:
        """Pause a function: its events wait, or with ``drop`` are filtered."""
        return _entry(self._ask("POST", _path(name, "pause"), {"drop": drop}))

    def resume(self, name: str) -> Entry:
        """Let a paused function go on."""
        return _entry(self._ask("POST", _path(name, "resume"), {}))

    def activations(self, name: str, since_ms: int) -> list[Activation]:
        """The newest activations of a light function since then, oldest first."""
        answer = self._ask("GET", _path(name, "logs"), query={"since": str(since_ms)})
        return msgspec.convert(answer["activations"], list[Activation])

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        content = None if body is None else msgspec.json.encode(body)
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            answer = self._session.request(
                method,
                self.url + path,
                data=content,
                params=dict(query or {}),
                headers=headers,
                timeout=TIMEOUT,
                allow_redirects=False,
            )
        except requests.exceptions.RequestException as error:
            hint = "is the platform up, and the address right? (--registry, --env)"
            raise RegistryError(f"no answer ({type(error).__name__})", where=self.url, hint=hint) from None
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            hint = "it must be the web action faas/registry of a platform that is deployed"
            raise RegistryError(f"answered HTTP {answer.status_code} without JSON", where=self.url, hint=hint)
        if answer.status_code != 200:
            raise _refusal(answer.status_code, found, self.url)
        return found


def _path(name: str, *more: str) -> str:
    return "/".join(["", "functions", *(quote(part, safe="") for part in (name, *more))])


def _entry(answer: Mapping[str, Any]) -> Entry:
    return msgspec.convert(answer["function"], Entry)


def _refusal(status: int, answer: Mapping[str, Any], url: str) -> RegistryError:
    error = answer.get("error")
    if isinstance(error, dict):
        texts = {name: str(error.get(name) or "") for name in ("why", "where", "hint")}
        return RegistryError(texts["why"], where=texts["where"] or "the registry", hint=texts["hint"], status=status)
    if status == 404:
        hint = "the platform is not deployed there, or the address is wrong: faasctl plan"
        return RegistryError("there is no registry", where=url, hint=hint, status=status)
    if status == 202:
        return RegistryError("did not answer within a minute", where=url, hint="try again", status=status)
    return RegistryError(f"HTTP {status}: {str(error)[:300]}", where=url, status=status)
