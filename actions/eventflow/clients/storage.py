"""The platform's own calls to a storage: asking for macaroons, and making output directories.

`POST` with `application/macaroon-request` is answered alike by dCache (MacaroonRequestHandler) and XRootD
(libXrdMacaroons). The content type must be exactly that: dCache answers a charset parameter with 501.
Three 401 within ten seconds shut a client's address out of a dCache door, so a refused credential is never
tried twice; a door that throttles (429) is waited for, and one that is away is left alone for a moment, so that
a batch does not spend its time on it once per item.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from urllib.parse import quote

import msgspec
import requests

from eventflow.clients.bounded import read
from eventflow.clients.oauth import Issuer
from eventflow.clients.pem import pem_file
from eventflow.errors import ItemError
from eventflow.event import covers
from eventflow.macaroon import Grant, MacaroonError, grant, instant
from eventflow.storages import Credential, Storage
from eventflow.wlcg import claims

TIMEOUT = (2.0, 4.0)
"""Seconds to connect and to wait for an answer; an action has ten in all."""

PATIENCE = 4.0
"""Seconds that a door's 429 is waited for within one request."""

REST = 5.0
"""Seconds for which a door that did not answer is not asked again."""

AWAY = frozenset({429, 502, 503, 504})
"""Answers that speak of the door and not of the path: dCache answers 500 for trouble with one path, too."""

MKCOL_EXISTS = 405
MKCOL_NO_PARENT = 409


class Minted(msgspec.Struct, frozen=True):
    """A token as a storage issued it. Its repr tells the grant and never the token."""

    token: str
    grant: Grant

    def __repr__(self) -> str:
        return f"Minted({self.grant})"


class Answer(msgspec.Struct, frozen=True):
    """What a door answered, read whole."""

    status: int
    reason: str
    kind: str
    body: bytes


class StorageClient:
    """One storage, with one of the platform's credentials, over kept-alive connections."""

    def __init__(self, storage: Storage, credential: Credential | None) -> None:
        self.storage = storage
        self.destination = f"storage:{storage.name}"
        self._session = requests.Session()
        self._session.trust_env = False  # REQUESTS_CA_BUNDLE would override the storage's own CA
        self._session.verify = pem_file(storage.ca) if storage.ca is not None else True
        self._refused = False
        self._away: tuple[float, ItemError] | None = None
        self._bearer: str | None = None
        self._issuer: Issuer | None = None
        if credential is None:
            return
        if credential.basic is not None:
            self._session.auth = (credential.basic.username, credential.basic.password)
        elif credential.bearer is not None:
            self._bearer = credential.bearer
        elif credential.oidc is not None:
            self._issuer = Issuer(credential.oidc, destination=self.destination)
        elif credential.x509 is not None:
            self._session.cert = pem_file(*filter(None, (credential.x509.cert, credential.x509.key)))

    def mint(self, path: str, activities: Iterable[str], *, door: str, expires: float, now: float) -> Minted:
        """Ask the storage for a token of ``path`` that allows ``activities`` until ``expires`` (unix seconds).

        What comes back is checked: a storage may answer 200 with less than was asked for. Raises `ItemError`:
        ``token_refused`` (not retryable), ``credential_refused`` (it waits for a person), ``unavailable`` (an outage),
        ``throttled``.
        """
        wanted = frozenset(activities)
        listed = [f"activity:{','.join(sorted(wanted))}"]
        if self.storage.flavour == "dcache":
            # XRootD makes this caveat of the validity, cut to its longest; one beyond that kills the token.
            listed.append(f"before:{instant(expires)}")
        asked = {"caveats": listed, "validity": f"PT{max(1, int(expires - now))}S"}
        answer = self._request(
            "POST",
            door + quote(path),
            msgspec.json.encode(asked),
            {"Content-Type": "application/macaroon-request"},
        )
        if answer.status != 200:
            raise self._error(answer, f"would not issue a token for {path}")
        try:
            token = str(msgspec.json.decode(answer.body)["macaroon"])
            granted = grant(token)
        except (ValueError, KeyError, TypeError, MacaroonError):
            raise self._useless(
                f"answered the request for a token with {answer.kind or 'nothing'} that holds no macaroon",
                door,
                "the storage's door must have macaroons switched on",
            ) from None
        missing = wanted - (granted.activities if granted.activities is not None else wanted)
        if missing:
            raise self._useless(
                f"issued a token for {path} that does not allow {', '.join(sorted(missing))}",
                door,
                "the platform's identity lacks rights at this path",
            )
        if granted.path is not None and not covers(granted.path, path.rstrip("/") or "/"):
            raise self._useless(
                f"issued a token for {granted.path[:200]} instead of {path}",
                door,
                "the platform's identity is confined to another path",
            )
        return Minted(token=token, grant=granted)

    def make_directory(self, path: str, *, door: str, token: str | None = None) -> None:
        """Create a directory and its missing parents; one that is there already is fine.

        With ``token``, a macaroon with UPLOAD, which dCache lets create directories under its path (#4269); without,
        with the platform's own credential.
        """
        path = path.rstrip("/")
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        answer = self._request("MKCOL", door + quote(path), None, headers)
        if answer.status == MKCOL_NO_PARENT and "/" in path.strip("/"):
            self.make_directory(path.rpartition("/")[0], door=door, token=token)
            answer = self._request("MKCOL", door + quote(path), None, headers)
        if answer.status not in (200, 201, MKCOL_EXISTS):
            raise self._error(answer, f"would not create the directory {path}")

    def _request(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        """Send one request, with the token in ``headers`` if there is one, else with the platform's credential."""
        if self._away is not None and time.monotonic() < self._away[0]:
            raise self._away[1]
        own = "Authorization" not in headers
        headers = headers | self._own() if own else headers
        try:
            answer = self._patiently(method, url, body, headers)
        except ItemError as error:
            self._away = (time.monotonic() + REST, error)
            raise
        self._away = None
        if answer.status in AWAY:
            self._away = (time.monotonic() + REST, self._error(answer, "cannot work now"))
        if own and answer.status == 401:
            self._refused = True
        return answer

    def _own(self) -> dict[str, str]:
        """The header of the platform's own credential, where it is one; raises `ItemError` when it is no good."""
        if self._refused:
            raise self._own_refused("the platform's credential was refused before and is not tried again")
        if self._issuer is not None:
            return {"Authorization": f"Bearer {self._issuer.token()}"}
        if self._bearer is None:
            return {}
        end = claims(self._bearer).get("exp")
        if isinstance(end, int | float) and end < time.time():
            raise self._own_refused(f"the platform's bearer token ended at {instant(end)}")
        return {"Authorization": f"Bearer {self._bearer}"}

    def _patiently(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        """As `_once`, and again after a 429 for as long as `PATIENCE` lasts."""
        until = time.monotonic() + PATIENCE
        while True:
            answer, pause = self._once(method, url, body, headers)
            if answer.status != 429 or time.monotonic() + pause > until:
                return answer
            time.sleep(pause)

    def _once(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> tuple[Answer, float]:
        """One request, and the seconds that its answer asks to wait."""

        def bearer(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers.update(headers)  # last word: the session's own password must not replace the token
            return request

        try:
            with self._session.request(
                method,
                url,
                data=body,
                headers=headers,
                auth=bearer if "Authorization" in headers else None,
                timeout=TIMEOUT,
                allow_redirects=False,
                stream=True,
            ) as answer:
                content = read(answer)
        except requests.exceptions.SSLError as error:
            raise self._tls(str(error), url) from None
        except requests.exceptions.RequestException as error:
            if "alert" in str(error):
                raise self._tls(str(error), url) from None
            raise ItemError(
                f"no answer ({type(error).__name__})",
                code="unavailable",
                retryable=True,
                destination=self.destination,
                where=url,
            ) from None
        kind = answer.headers.get("Content-Type", "")
        return Answer(answer.status_code, answer.reason or "", kind[:60], content), _pause(answer)

    def _tls(self, said: str, url: str) -> ItemError:
        """Who refuses whom. In TLS 1.3 a client's certificate is judged after the handshake, and the connection may
        have ended before the storage's alert is read."""
        if "CERTIFICATE_VERIFY_FAILED" in said and "alert" not in said:
            why, hint = f"TLS does not verify: {said[-300:]}", "name the CA of the door as `ca` of the storage"
        elif self._session.cert is not None:
            why = f"the connection fails, or the storage refuses the platform's certificate: {said[-200:]}"
            hint = "renew the certificate or proxy, and: faasctl secret rotate"
        else:
            why, hint = f"TLS fails: {said[-300:]}", "is it the right port of the storage?"
        return ItemError(why, code="unavailable", retryable=True, destination=self.destination, where=url, hint=hint)

    def _own_refused(self, why: str) -> ItemError:
        """All that need this credential would fail alike, so they wait until it is changed."""
        hint = "give the environment a good one, and: faasctl secret rotate"
        return ItemError(why, code="credential_refused", retryable=True, destination=self.destination, hint=hint)

    def _useless(self, why: str, where: str, hint: str) -> ItemError:
        return ItemError(why, code="token_refused", destination=self.destination, where=where, hint=hint)

    def _error(self, answer: Answer, what: str) -> ItemError:
        if answer.status == 401 and self._refused:
            return self._own_refused(f"{what}: HTTP 401 {answer.reason[:200]}".rstrip())
        outage = answer.status == 429 or answer.status >= 500
        return ItemError(
            f"{what}: HTTP {answer.status} {answer.reason[:200]}".rstrip(),
            code="throttled" if answer.status == 429 else "unavailable" if outage else "token_refused",
            retryable=outage,
            destination=self.destination,
        )


def _pause(answer: requests.Response) -> float:
    """The seconds of ``Retry-After``; dCache may say 0, and then means a moment."""
    text = answer.headers.get("Retry-After", "")
    return max(0.2, float(text)) if text.isdecimal() and len(text) < 6 else 1.0
