"""A small client of OpenWhisk's REST API.

Only what the feed, the deploy and the actions need, with errors that tell an outage from a refusal.
OpenWhisk's answers are those of `core/controller` (RestAPIs.scala, Actions.scala, Triggers.scala); a 429 or a
503 is no failure of the caller's, so it comes as `Unavailable` or `Throttled` and may be asked again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
import requests

from eventflow.clients.pem import pem_file
from eventflow.errors import FaasError

PAGE = 200
"""The most rows OpenWhisk hands out in one list (RestAPIs.scala, `limit=0` means the same)."""


class Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach one namespace: API host, namespace, ``uuid:key``, and the host's CA as PEM text."""

    apihost: str
    namespace: str
    auth: str
    ca: str | None = None

    def __repr__(self) -> str:
        return f"Access({self.apihost!r}, {self.namespace!r})"


def connect(access: Access) -> OpenWhisk:
    """A client for one namespace."""
    ca = pem_file(access.ca) if access.ca is not None else None
    return OpenWhisk(access.apihost, access.auth, namespace=access.namespace, ca=ca)


class OpenWhiskError(FaasError):
    """OpenWhisk answered, and the answer is no. ``status`` is the HTTP status, 0 when there was none."""

    status = 0

    def __init__(self, why: str, *, where: str = "", hint: str = "", status: int = 0) -> None:
        super().__init__(why, where=where, hint=hint)
        self.status = status


class Unauthorized(OpenWhiskError):
    """401 or 403: the key is wrong, or may not do this."""


class NotFound(OpenWhiskError):
    """404: no such entity, action, activation or namespace."""


class Conflict(OpenWhiskError):
    """409: the entity exists already, or somebody else is changing it at this moment."""


class Throttled(OpenWhiskError):
    """429: the namespace's limit of this minute, or of calls in flight, is used up."""


class Unavailable(OpenWhiskError):
    """No answer, or 502, 503, 504 from something before the controller: an outage, to be waited for."""


class NotOpenWhisk(OpenWhiskError):
    """Something answered that does not speak OpenWhisk's API (a proxy's page, another service)."""


class OpenWhisk:
    """One namespace of one OpenWhisk, reached with one key over kept-alive connections.

    ``apihost`` is a URL (a bare host means https); ``auth`` is ``uuid:key``; ``ca`` a file with CA certificates
    or ``None`` for the system's; ``timeout`` in seconds for one answer. Not safe for several threads at once.
    """

    def __init__(
        self, apihost: str, auth: str, *, namespace: str = "_", ca: str | None = None, timeout: float = 70.0
    ) -> None:
        self.apihost = (apihost if "://" in apihost else f"https://{apihost}").rstrip("/")
        self.namespace = namespace
        self.timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False  # REQUESTS_CA_BUNDLE and .netrc would override `ca` and the key
        self._session.verify = ca if ca is not None else True
        user, _, key = auth.partition(":")
        self._session.auth = (user, key)

    def path(self, collection: str, name: str = "") -> str:
        """The API path of an entity: ``path("actions", "faas/filter")``."""
        base = f"/api/v1/namespaces/{quote(self.namespace)}/{collection}"
        return f"{base}/{quote(name, safe='/')}" if name else base

    def get(self, collection: str, name: str = "", /, **query: str | int) -> Any:
        """GET one entity or one page of a list."""
        return self._call("GET", self.path(collection, name), query)

    def put(self, collection: str, name: str, body: Mapping[str, Any], *, overwrite: bool = False) -> Any:
        """Create an entity, or with ``overwrite`` update it; returns the entity as stored."""
        query: dict[str, str | int] = {"overwrite": "true"} if overwrite else {}
        return self._call("PUT", self.path(collection, name), query, body)

    def delete(self, collection: str, name: str, **query: str | int) -> Any:
        """Delete an entity; returns what it was. Raises `NotFound`."""
        return self._call("DELETE", self.path(collection, name), query)

    def post(self, collection: str, name: str, body: Mapping[str, Any], **query: str | int) -> Any:
        """POST to an entity: a rule's state, an action's invocation, a trigger's firing."""
        return self._call("POST", self.path(collection, name), query, body)

    def pages(self, collection: str) -> Iterator[dict[str, Any]]:
        """Every row of a list, page by page."""
        skip = 0
        while True:
            rows = self.get(collection, limit=PAGE, skip=skip)
            yield from rows
            if len(rows) < PAGE:
                return
            skip += PAGE

    def invoke(self, action: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Invoke an action and wait for its result.

        Raises `OpenWhiskError` with the action's own message when it failed, and with ``status`` 202 when it did
        not end within OpenWhisk's wait of 60 s.
        """
        where = f"action {self.namespace}/{action}"
        response = self._send("POST", self.path("actions", action), {"blocking": "true", "result": "true"}, arguments)
        answer = _decode(response, where)
        if response.status_code == 200:
            return dict(answer)
        if response.status_code == 202:
            raise OpenWhiskError(
                "did not end within 60 s; it goes on by itself",
                where=where,
                hint=f"look at activation {answer.get('activationId')}",
                status=202,
            )
        if response.status_code == 502 and "x-openwhisk-activation-id" in response.headers:
            raise OpenWhiskError(f"failed: {_reason(answer)}", where=where, status=502)
        raise self._refusal(response, answer, where)

    def fire(self, trigger: str, payload: bytes) -> str | None:
        """Fire a trigger with a JSON payload; the activation id, or ``None`` when no rule is active (204)."""
        where = f"trigger {self.namespace}/{trigger}"
        response = self._send("POST", self.path("triggers", trigger), {}, payload)
        if response.status_code == 204:
            return None
        answer = _decode(response, where)
        if response.status_code != 202:
            raise self._refusal(response, answer, where)
        return str(answer["activationId"])

    def start(self, action: str, payload: bytes) -> str:
        """Invoke an action without waiting; ``action`` is its whole name (``namespace/package/name``). Returns the
        activation id."""
        namespace, _, name = action.strip("/").partition("/")
        path = f"/api/v1/namespaces/{quote(namespace)}/actions/{quote(name, safe='/')}"
        response = self._send("POST", path, {}, payload)
        answer = _decode(response, f"action {action}")
        if response.status_code != 202:
            raise self._refusal(response, answer, f"action {action}")
        return str(answer["activationId"])

    def about(self) -> dict[str, Any]:
        """What the host says of itself: API paths, limits, runtimes (`GET /`)."""
        return dict(self._call("GET", "/", {}))

    def own_namespace(self) -> str:
        """The namespace that the key belongs to."""
        return str(self._call("GET", "/api/v1/namespaces", {})[0])

    def activation(self, activation_id: str) -> dict[str, Any] | None:
        """An activation's record, or ``None`` while it is not stored yet."""
        try:
            return dict(self.get("activations", activation_id))
        except NotFound:
            return None

    def _call(
        self, method: str, path: str, query: Mapping[str, str | int], body: Mapping[str, Any] | None = None
    ) -> Any:
        where = f"{method} {self.apihost}{path}"
        response = self._send(method, path, query, body)
        answer = _decode(response, where)
        if response.status_code >= 400:
            raise self._refusal(response, answer, where)
        return answer

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int],
        body: Mapping[str, Any] | bytes | None,
    ) -> requests.Response:
        content = body if isinstance(body, bytes | None) else msgspec.json.encode(body)
        try:
            return self._session.request(
                method,
                self.apihost + path,
                params=dict(query),
                headers={"Content-Type": "application/json"},
                timeout=self.timeout,
                allow_redirects=False,
                data=content,
            )
        except requests.exceptions.SSLError as error:
            raise OpenWhiskError(
                f"TLS does not verify: {_innermost(error)}",
                where=self.apihost,
                hint="name the CA that signed the host's certificate as openwhisk.ca in the environment",
            ) from None
        except requests.exceptions.RequestException as error:
            raise Unavailable(f"no answer: {_innermost(error)}", where=self.apihost, hint="is the host up?") from None

    def _refusal(self, response: requests.Response, answer: Any, where: str) -> OpenWhiskError:
        status, reason = response.status_code, _reason(answer)
        if status in (401, 403):
            hint = "check the key (openwhisk.*.auth) and the namespace in the environment"
            return Unauthorized(reason, where=where, hint=hint, status=status)
        kind = {
            404: NotFound,
            409: Conflict,
            429: Throttled,
            502: Unavailable,
            503: Unavailable,
            504: Unavailable,
        }
        return kind.get(status, OpenWhiskError)(f"{reason} (HTTP {status})", where=where, status=status)


def _decode(response: requests.Response, where: str) -> Any:
    if not response.content:
        return {}
    if response.status_code == 200 and response.content == b"OK":  # the answer to a rule's change of state
        return {}
    try:
        return response.json()
    except ValueError:
        if response.status_code in (502, 503, 504):  # an edge proxy's page: the controller itself is away
            raise Unavailable(f"HTTP {response.status_code}", where=where, status=response.status_code) from None
        kind = response.headers.get("Content-Type", "no content type")
        raise NotOpenWhisk(
            f"answered HTTP {response.status_code} with {kind} instead of JSON",
            where=where,
            hint="openwhisk.apihost must name an OpenWhisk API host, not a web page or a login proxy",
            status=response.status_code,
        ) from None


def _reason(answer: Any) -> str:
    if isinstance(answer, dict) and "error" in answer:
        error = answer["error"]
        return error if isinstance(error, str) else str(error)[:500]
    return str(answer)[:500]


def _innermost(error: BaseException) -> str:
    """The part of requests' nested errors that a person can use: the operating system's or OpenSSL's words."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    text = str(reason or error)
    return text.rpartition(">: ")[2] or text
