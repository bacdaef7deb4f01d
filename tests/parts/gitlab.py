"""An issuer of id_tokens on loopback, as GitLab is one: OpenID configuration, published keys, signed claims."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AUDIENCE = "https://faas.example.org"


class GitLab:
    """Signs id_tokens with its key; ``asked`` counts how often its keys were fetched, ``away`` makes it answer 503."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid = "key-1"
        self.asked = 0
        self.away = False

    def documents(self) -> dict[str, Any]:
        """What it publishes, by path."""
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {
            "/.well-known/openid-configuration": {"issuer": self.url, "jwks_uri": f"{self.url}/oauth/discovery/keys"},
            "/oauth/discovery/keys": {"keys": [{**public, "kid": self.kid, "use": "sig", "alg": "RS256"}]},
        }

    def rotate(self, kid: str) -> None:
        """Take another key."""
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid = kid

    def claims(self, project: str = "belle/functions", **changes: Any) -> dict[str, Any]:
        """What the id_token of a project's job on its protected default branch says; ``None`` leaves a claim out."""
        now = int(time.time())
        given = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": f"project_path:{project}:ref_type:branch:ref:main",
            "project_path": project,
            "user_login": "anna",
            "ref": "main",
            "ref_type": "branch",
            "ref_protected": "true",
            "sha": "7b05eb3a" * 5,
            "iat": now,
            "nbf": now - 5,
            "exp": now + 300,
        } | changes
        return {name: value for name, value in given.items() if value is not None}

    def id_token(self, project: str = "belle/functions", *, key: Any = None, **changes: Any) -> str:
        """The id_token of such a job."""
        return jwt.encode(self.claims(project, **changes), key or self.key, algorithm="RS256", headers=self._header())

    def confused_token(self) -> str:
        """The claims of a good token, signed as HS256 with the published key for its secret."""
        public = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        signed = self._unsigned("HS256", self.claims())
        return f"{signed}.{_base64(hmac.digest(public, signed.encode(), 'sha256'))}"

    def unsigned_token(self, **changes: Any) -> str:
        """The claims of a good token with the algorithm ``none``."""
        return f"{self._unsigned('none', self.claims(**changes))}."

    def _unsigned(self, algorithm: str, claims: dict[str, Any]) -> str:
        header = {"alg": algorithm, "typ": "JWT", **self._header()}
        return ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))

    def _header(self) -> dict[str, str]:
        return {"kid": self.kid}


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@contextmanager
def gitlab() -> Iterator[GitLab]:
    """Run an issuer on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = issuer.documents().get(self.path)
            issuer.asked += self.path.endswith("keys")
            content = json.dumps(document).encode()
            self.send_response(503 if issuer.away else 200 if document else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = GitLab(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join(5)
