"""The platform's own calls to a storage: asking for macaroons, and making output directories.

`POST` with `application/macaroon-request` is answered alike by dCache (MacaroonRequestHandler) and XRootD
(libXrdMacaroons). The content type must be exactly that: dCache answers a charset parameter with 501.
Three 401 within ten seconds shut a client's address out of a dCache door, so a refused credential is never
tried twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

import msgspec
import requests

from eventflow.clients.pem import pem_file
from eventflow.errors import ItemError
from eventflow.macaroon import Grant, grant, instant
from eventflow.storages import Credential, Storage

TIMEOUT = (5.0, 8.0)
"""Seconds to connect and to wait for an answer; an action has ten in all."""

MKCOL_EXISTS = 405
MKCOL_NO_PARENT = 409


class Minted(msgspec.Struct, frozen=True):
    """A token as a storage issued it. Its repr tells the grant and never the token."""

    token: str
    grant: Grant

    def __repr__(self) -> str:
        return f"Minted({self.grant})"


class StorageClient:
    """One storage, with one of the platform's credentials, over kept-alive connections."""

    def __init__(self, storage: Storage, credential: Credential | None) -> None:
        self.storage = storage
        self.destination = f"storage:{storage.name}"
        self._session = requests.Session()
        self._session.trust_env = False  # REQUESTS_CA_BUNDLE would override the storage's own CA
        self._session.verify = pem_file(storage.ca) if storage.ca is not None else True
        self._refused = False
        if credential is not None and credential.basic is not None:
            self._session.auth = (credential.basic.username, credential.basic.password)
        elif credential is not None and credential.bearer is not None:
            self._session.headers["Authorization"] = f"Bearer {credential.bearer}"
        elif credential is not None and credential.x509 is not None:
            self._session.cert = pem_file(credential.x509.cert, credential.x509.key)

    def mint(self, path: str, activities: Iterable[str], *, door: str, expires: float, now: float) -> Minted:
        """Ask the storage for a token of ``path`` that allows ``activities`` until ``expires`` (unix seconds).

        What comes back is checked: a storage may answer 200 with less than was asked for. Raises `ItemError`:
        ``token_refused`` (not retryable), ``unavailable`` (an outage), ``throttled``.
        """
        wanted = frozenset(activities)
        asked = {
            "caveats": [f"activity:{','.join(sorted(wanted))}", f"before:{instant(expires)}"],
            "validity": f"PT{max(1, int(expires - now))}S",
        }
        answer = self._request(
            "POST",
            door + quote(path),
            msgspec.json.encode(asked),
            {"Content-Type": "application/macaroon-request"},
        )
        if answer.status_code != 200:
            raise self._error(answer, f"would not issue a token for {path}")
        try:
            token = str(answer.json()["macaroon"])
        except (ValueError, KeyError, TypeError):
            raise ItemError(
                f"answered the request for a token with {answer.headers.get('Content-Type', 'nothing')}",
                code="token_refused",
                destination=self.destination,
                where=door,
                hint="the storage's door must have macaroons switched on",
            ) from None
        granted = grant(token)
        missing = wanted - (granted.activities if granted.activities is not None else wanted)
        if missing:
            raise ItemError(
                f"issued a token for {path} that does not allow {', '.join(sorted(missing))}",
                code="token_refused",
                destination=self.destination,
                where=door,
                hint="the platform's identity lacks rights at this path",
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
        if answer.status_code == MKCOL_NO_PARENT and "/" in path.strip("/"):
            self.make_directory(path.rpartition("/")[0], door=door, token=token)
            answer = self._request("MKCOL", door + quote(path), None, headers)
        if answer.status_code not in (200, 201, MKCOL_EXISTS):
            raise self._error(answer, f"would not create the directory {path}")

    def _request(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> requests.Response:
        """Send one request, with the token in ``headers`` if there is one, else with the platform's credential."""
        own = "Authorization" not in headers
        if own and self._refused:
            raise ItemError(
                "the platform's credential was refused before and is not tried again",
                code="token_refused",
                destination=self.destination,
                hint="replace the credential and deploy again",
            )

        def bearer(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers.update(headers)  # last word: the session's own credential must not replace the token
            return request

        try:
            answer = self._session.request(
                method,
                url,
                data=body,
                headers=headers,
                auth=None if own else bearer,
                timeout=TIMEOUT,
                allow_redirects=False,
            )
        except requests.exceptions.SSLError as error:
            raise ItemError(
                f"TLS does not verify: {error.args[0] if error.args else error}",
                code="unavailable",
                retryable=True,
                destination=self.destination,
                where=url,
                hint="name the CA of the door as `ca` of the storage",
            ) from None
        except requests.exceptions.RequestException as error:
            raise ItemError(
                f"no answer ({type(error).__name__})",
                code="unavailable",
                retryable=True,
                destination=self.destination,
                where=url,
            ) from None
        if own and answer.status_code == 401:
            self._refused = True
        return answer

    def _error(self, answer: requests.Response, what: str) -> ItemError:
        status = answer.status_code
        outage = status == 429 or status >= 500
        return ItemError(
            f"{what}: HTTP {status} {(answer.reason or '')[:200]}".rstrip(),
            code="throttled" if status == 429 else "unavailable" if outage else "token_refused",
            retryable=outage,
            destination=self.destination,
        )
