"""A pool knows the platform by SciTokens of an issuer: no IDTOKEN is made, and each token lives for minutes."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme

from eventflow.clients.pools import HTCondorAccess
from eventflow.storages import OAuth
from faasctl.local import program
from tests.parts import htcondor
from tests.parts.issuer import SECRET, Issuer, issuer

CONFIG = """
SEC_DEFAULT_AUTHENTICATION_METHODS = FS, IDTOKENS, SCITOKENS
AUTH_SSL_SERVER_CERTFILE = {home}/host.pem
AUTH_SSL_SERVER_KEYFILE = {home}/host.key
AUTH_SSL_SERVER_CAFILE = {home}/ca.pem
CERTIFICATE_MAPFILE = {home}/map
CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS = True
SEC_SCITOKENS_CACHE = {home}/cache
"""

SUBMITTER = """
import json, sys
import msgspec
from eventflow.clients.pools import HTCondorAccess, connect
from eventflow.errors import FaasError
from eventflow.exactly_once import submit_exactly_once
from tests.integration.test_condor import job
import time

pools = connect(msgspec.json.decode(sys.stdin.buffer.read(), type=HTCondorAccess))
(pool,) = pools.values()
said = []
for _ in range(2):
    try:
        (done,) = submit_exactly_once(pool, [job()], now=time.time())
        said.append(done.outcome)
    except FaasError as error:
        said.append(f"{error} ({error.hint})")
print(json.dumps(said))
"""


@dataclass
class Site:
    """A pool, the issuer that it believes, and how the platform reaches it."""

    issuer: Issuer
    access: HTCondorAccess

    def submit(self, **changes: Any) -> list[str]:
        """Submit two jobs from a process of its own, for the bindings keep a session; what became of them."""
        access = msgspec.structs.replace(self.access, **changes)
        done = subprocess.run(
            [sys.executable, "-c", SUBMITTER],
            input=msgspec.json.encode(access),
            capture_output=True,
            cwd=Path(__file__).parents[2],
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        assert SECRET.encode() not in done.stdout + done.stderr
        said: list[str] = json.loads(done.stdout)
        return said


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    home = Path(tempfile.mkdtemp(prefix="sci-", dir="/tmp"))
    home.chmod(0o755)
    try:
        with issuer() as tokens:
            ca = _certificates(home)
            _believe(home, tokens)
            program.hand_over(home, program.account())
            with htcondor.condor(CONFIG.format(home=home)) as pool:
                own = OAuth(token_endpoint=tokens.url, client_id="faas", client_secret=SECRET, ca=tokens.ca)
                yield Site(
                    tokens,
                    HTCondorAccess(collector=pool.collector, schedds=(pool.schedd,), scitoken=own, ca=ca),
                )
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _certificates(home: Path) -> str:
    authority = trustme.CA()
    host = authority.issue_cert("localhost", "127.0.0.1", socket.gethostname(), socket.getfqdn())
    (home / "ca.pem").write_bytes(authority.cert_pem.bytes())
    (home / "host.pem").write_bytes(b"".join(pem.bytes() for pem in host.cert_chain_pems))
    (home / "host.key").write_bytes(host.private_key_pem.bytes())
    (home / "host.key").chmod(0o600)
    return authority.cert_pem.bytes().decode()


def _believe(home: Path, tokens: Issuer) -> None:
    """Map the issuer's subject to the platform's user, and put its keys where the library keeps those it fetched."""
    (home / "map").write_text(f"SCITOKENS {tokens.url},faas {htcondor.IDENTITY}\n")
    (home / "cache/scitokens").mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(home / "cache/scitokens/scitokens_cpp.sqllite")) as kept, kept:
        kept.execute("create table keycache (issuer text unique primary key not null, keys text not null)")
        later = int(time.time()) + 86400
        keys = json.dumps({"jwks": tokens.jwks, "expires": later, "next_update": later})
        kept.execute("insert into keycache values (?, ?)", (tokens.url, keys))


def test_jobs_are_submitted_with_the_issuers_tokens(site: Site) -> None:
    # when two jobs are submitted
    before = len(site.issuer.asked)
    assert site.submit() == ["submitted", "submitted"]

    # then one token was asked for, for nothing but querying and submitting
    assert [form["scope"] for form in site.issuer.asked[before:]] == ["condor:/READ condor:/WRITE"]


def test_a_client_that_the_issuer_refuses_is_an_outage_of_the_pool_and_asked_once(site: Site) -> None:
    assert site.access.scitoken is not None
    before = len(site.issuer.asked)
    said = site.submit(scitoken=msgspec.structs.replace(site.access.scitoken, client_secret="not it"))
    assert len(site.issuer.asked) == before + 1
    assert all("refuses the client faas: invalid_client" in one for one in said)


def test_a_token_that_the_pool_does_not_believe_is_told(site: Site) -> None:
    site.issuer.claims = {"sub": "somebody-else"}
    try:
        said = site.submit()
    finally:
        site.issuer.claims = {}
    assert all("renew the pool's token" in one for one in said), said


def test_a_pool_with_another_ca_is_not_talked_to(site: Site) -> None:
    said = site.submit(ca=trustme.CA().cert_pem.bytes().decode())
    assert "submitted" not in said
