"""An issuer of access tokens for tests: a token endpoint over https that signs JWTs as told."""

from __future__ import annotations

import base64
import json
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

import jwt
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

SECRET = "the secret of the platform's client"
ANY = "https://wlcg.cern.ch/jwt/v1/any"
"""The audience that every storage takes for its own (WLCG JWT profile)."""

REFRESH = "the refresh token of the platform"


@dataclass
class Issuer:
    """A running issuer. ``asked`` are the forms it got; ``answers`` go out, one each, before it works by itself."""

    ca: str
    url: str = ""
    life: int = 3600
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    asked: list[dict[str, str]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    claims: dict[str, Any] = field(default_factory=dict)

    @property
    def jwks(self) -> dict[str, Any]:
        """Its public key."""
        return {"keys": [{**ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True), "kid": "one", "alg": "ES256"}]}

    def token(self, **claims: Any) -> str:
        """A token as it issues them."""
        now = int(time.time())
        body: dict[str, Any] = {
            "iss": self.url,
            "sub": "faas",
            "aud": "https://wlcg.cern.ch/jwt/v1/any",
            "wlcg.ver": "1.0",
        }
        body |= {"iat": now, "nbf": now, "exp": now + self.life, "jti": str(time.time_ns())}
        return jwt.encode({**body, **self.claims, **claims}, self.key, algorithm="ES256", headers={"kid": "one"})

    def answer(self, authorization: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """What a request is answered with."""
        self.asked.append(form)
        if self.answers:
            return self.answers.pop(0)
        if authorization != "Basic " + base64.b64encode(f"faas:{SECRET}".encode()).decode():
            return 401, {"error": "invalid_client", "error_description": f"{authorization} is wrong"}
        if form["grant_type"] == "refresh_token" and form.get("refresh_token") != REFRESH:
            return 400, {"error": "invalid_grant"}
        claims = {"scope": form.get("scope", "")} | ({"aud": form["audience"]} if "audience" in form else {})
        return 200, {"access_token": self.token(**claims), "token_type": "Bearer", "expires_in": self.life}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        status, said = self.server.issuer.answer(self.headers.get("Authorization", ""), form)
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    issuer: Issuer
    context: ssl.SSLContext

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        return self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address


@contextmanager
def issuer() -> Iterator[Issuer]:
    """An issuer with a CA of its own on a free port."""
    authority = trustme.CA()
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(server.context)
        server.issuer = Issuer(ca=authority.cert_pem.bytes().decode())
        server.issuer.url = f"https://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield server.issuer
        finally:
            server.shutdown()
