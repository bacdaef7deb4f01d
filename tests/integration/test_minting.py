"""Asking a storage for tokens: as seldom as can be, never twice in vain, and nothing believed unseen."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import trustme
from pymacaroons import Macaroon

from eventflow import minting, policy
from eventflow.batch import DEFERRED, Batch, Item, Origin, Registered, Report
from eventflow.errors import ItemError
from eventflow.event import Data, Event
from eventflow.function import Function, decode
from eventflow.macaroon import caveats, grant, instant
from eventflow.parents import READ, WRITE, Parents
from eventflow.policy import Policy
from eventflow.storages import X509, Basic, Credential, OAuth, Storage
from tests.parts.faulty_storage import FaultyStorage, Handler, Seen, faulty_storage
from tests.parts.issuer import REFRESH, SECRET, Issuer, issuer

HOUR = 3600
RULES = policy.decode(
    {"namespace": "demo", "read": ["/d/in"], "write": ["/d/out"], "max_token_life": "3h", "max_queue": "1h"}
    | {"max_resources": {"runtime": "1h"}}
)
SPEC = {
    "name": "f",
    "namespace": "demo",
    "contact": "c@example.org",
    "when": {"path": "/d/in/*"},
    "run": {"main": "f.py"},
    "write": "/d/out/",
}
Answer = Callable[[Handler, Seen, dict[str, list[str]]], None]


@pytest.fixture
def door() -> Iterator[FaultyStorage]:
    with faulty_storage() as running:
        yield running


@pytest.fixture
def tokens() -> Iterator[Issuer]:
    with issuer() as running:
        yield running


def macaroon(*texts: str) -> str:
    made = Macaroon(location="Optional.empty", identifier="id", key=b"the storage's secret")
    for text in texts:
        made.add_first_party_caveat(text)
    return str(made.serialize())


def as_asked(handler: Handler, seen: Seen, asked: dict[str, list[str]]) -> None:
    """A storage that gives what it was asked for."""
    token = macaroon(f"path:{seen.path}", *asked["caveats"])
    handler.answer(200, {"Content-Type": "application/json"}, json.dumps({"macaroon": token}).encode())


def answering(*answers: Answer) -> Callable[[Handler, Seen], bool]:
    """Answer requests for tokens one after the other, the last again and again; a directory is always there."""
    left = list(answers)

    def fault(handler: Handler, seen: Seen) -> bool:
        if seen.method == "MKCOL":
            handler.answer(405)
            return True
        if seen.method != "POST":
            return False
        asked = json.loads(handler.body())
        (left.pop(0) if len(left) > 1 else left[0])(handler, seen, asked)
        return True

    return fault


def status(code: int, **headers: str) -> Answer:
    def answer(handler: Handler, seen: Seen, asked: dict[str, list[str]]) -> None:
        handler.answer(code, {name.replace("_", "-"): value for name, value in headers.items()})

    return answer


def saying(body: bytes, kind: str = "application/json") -> Answer:
    def answer(handler: Handler, seen: Seen, asked: dict[str, list[str]]) -> None:
        handler.answer(200, {"Content-Type": kind}, body)

    return answer


def giving(*texts: str) -> Answer:
    return saying(json.dumps({"macaroon": macaroon(*texts)}).encode())


def storage(door: FaultyStorage, credential: Credential | None = None, **changes: object) -> Storage:
    return msgspec.structs.replace(
        Storage(
            name="main",
            flavour="dcache",
            prefixes=("/d",),
            read=door.url,
            write=door.url,
            ca=door.ca,
            credentials={"default": credential or Credential(basic=Basic("faas", "pw"))},
        ),
        **changes,
    )


def parents(door: FaultyStorage, *answers: Answer, credential: Credential | None = None, **changes: object) -> Parents:
    door.faults.append(answering(*(answers or (as_asked,))))
    return Parents([storage(door, credential, **changes)], now=time.time)


def refused(held: Parents, path: str = "/d/in/a", activities: frozenset[str] = READ) -> ItemError:
    with pytest.raises(ItemError) as error:
        held.token(path, activities, RULES, time.time() + HOUR)
    assert error.value.destination == "storage:main"
    return error.value


def test_a_thousand_events_ask_twice(door: FaultyStorage) -> None:
    # given a thousand files of one function
    held = parents(door, subnets=("10.0.0.0/8", "2001:db8::/32"))

    # when each gets a token to read and one to write
    until = time.time() + HOUR
    for number in range(1000):
        read = held.token(f"/d/in/{number}", READ, RULES, until)
        write = held.token(f"/d/out/{number}.d/", WRITE, RULES, until)

    # then the storage was asked once for each kind, within the policy's prefixes
    assert [seen.path for seen in door.requests("POST")] == ["/d/in", "/d/out"]
    # and each token is for its own path, its end, and the workers' networks of both families
    assert caveats(read)[-4:] == [
        "path:/999",
        "activity:DOWNLOAD",
        "ip:10.0.0.0/8,2001:db8::/32",
        f"before:{instant(until)}",
    ]
    assert caveats(write)[-4:-2] == ["path:/999.d", "activity:DELETE,UPLOAD"]
    assert not [caveat for caveat in caveats(write) if caveat.startswith("max-upload")]


def test_threads_that_ask_at_once_send_one_request(door: FaultyStorage) -> None:
    held = parents(door)
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        held.token("/d/in/a", READ, RULES, time.time() + HOUR)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(door.requests("POST")) == 1


def test_a_parent_serves_for_half_of_its_life_and_is_renewed_before_it_gets_short(door: FaultyStorage) -> None:
    # given tokens of the longest life that the policy allows
    now = [1_800_000_000.0]
    door.faults.append(answering(as_asked))
    held = Parents([storage(door)], now=lambda: now[0])
    longest = RULES.max_token_life + policy.MARGIN

    # when one is wanted every ten minutes, for as long as a parent lives
    ends = []
    for _ in range(2 * longest // 600):
        token = held.token("/d/in/a", READ, RULES, now[0] + longest)
        ends.append((grant(token).expires or 0) - now[0])
        now[0] += 600

    # then two parents did, and no token is shorter than it was asked for, nor longer
    assert len(door.requests("POST")) == 2
    assert {round(end) for end in ends} == {longest}


def test_each_identity_and_prefix_has_a_parent_of_its_own(door: FaultyStorage) -> None:
    other = msgspec.structs.replace(RULES, namespace="belle", credentials={"main": "belle"})
    wide = msgspec.structs.replace(RULES, read=("/d/in", "/d/in/deep"))
    credentials = {"default": Credential(basic=Basic("a", "x")), "belle": Credential(basic=Basic("b", "y"))}
    held = parents(door, credentials=credentials)
    for rules, path in ((RULES, "/d/in/a"), (other, "/d/in/a"), (wide, "/d/in/deep/a"), (wide, "/d/in/a")):
        held.token(path, READ, rules, time.time() + HOUR)
    assert [seen.path for seen in door.requests("POST")] == ["/d/in", "/d/in", "/d/in/deep"]
    assert len({seen.headers["authorization"] for seen in door.requests("POST")}) == 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (giving("activity:READ_METADATA"), "does not allow DOWNLOAD"),
        (giving("path:/d/elsewhere", "activity:DOWNLOAD"), "for /d/elsewhere instead of /d/in"),
        (giving("path:/d/in/deeper", "activity:DOWNLOAD"), "for /d/in/deeper instead of /d/in"),
        (giving("path:/d/in", "before:soon"), "holds no macaroon"),
        (saying(b"<html>please log in</html>", "text/html"), "with text/html that holds no macaroon"),
        (saying(b'{"macaroon": "MDAnothing"}'), "holds no macaroon"),
        (saying(b'{"macaroon": null}'), "holds no macaroon"),
        (saying(b"[1]"), "holds no macaroon"),
        (status(302, Location="https://login.example.org/"), "HTTP 302"),
        (status(403), "HTTP 403"),
    ],
)
def test_an_answer_that_is_worth_nothing_is_refused_and_says_why(door: FaultyStorage, answer: Answer, why: str) -> None:
    error = refused(parents(door, answer))
    assert (error.code, error.retryable) == ("token_refused", False)
    assert why in str(error)
    assert "MDA" not in str(error)


def test_a_wider_parent_is_narrowed_from_where_it_stands(door: FaultyStorage) -> None:
    """dCache gives a user with a root of their own a macaroon without a path."""
    held = parents(door, giving("root:/pnfs", "activity:DOWNLOAD,READ_METADATA"))
    token = held.token("/d/in/a", READ, RULES, time.time() + HOUR)
    assert "path:/d/in/a" in caveats(token)


def test_tokens_too_short_for_the_job_are_an_error(door: FaultyStorage) -> None:
    short = giving("path:/d/in", "activity:DOWNLOAD", f"before:{instant(time.time() + 600)}")
    error = refused(parents(door, short))
    assert error.code == "token_too_short"
    assert "no tokens of 1.0 hours" in str(error)


def test_a_refused_credential_is_not_tried_again(door: FaultyStorage) -> None:
    # given a storage that does not know the platform
    held = parents(door, status(401))

    # when many items want tokens, then it is asked once: three times 401 would shut the platform's address out
    # and all of them wait until it is changed
    for number in range(5):
        error = refused(held, f"/d/in/{number}")
        assert (error.code, error.retryable, error.destination) == ("credential_refused", True, "storage:main")
    assert len(door.requests("POST")) == 1


def test_a_door_that_throttles_is_waited_for(door: FaultyStorage) -> None:
    held = parents(door, status(429, Retry_After="0"), status(429, Retry_After="1"), as_asked)
    held.token("/d/in/a", READ, RULES, time.time() + HOUR)
    assert len(door.requests("POST")) == 3


def test_a_door_that_goes_on_throttling_is_left_alone(door: FaultyStorage) -> None:
    held = parents(door, status(429, Retry_After="60"))
    for number in range(5):
        error = refused(held, f"/d/in/{number}")
        assert (error.code, error.retryable) == ("throttled", True)
    assert len(door.requests("POST")) == 1


def drip(handler: Handler, seen: Seen, asked: dict[str, list[str]]) -> None:
    """A byte now and then, for longer than anybody waits."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b"{")
        handler.wfile.flush()
        time.sleep(0.05)


def flood(handler: Handler, seen: Seen, asked: dict[str, list[str]]) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 65536)


@pytest.mark.parametrize("answer", [drip, flood, status(503)], ids=["drips", "floods", "503"])
def test_a_storage_in_trouble_is_an_outage_and_asked_once_per_batch(door: FaultyStorage, answer: Answer) -> None:
    held = parents(door, answer)
    for number in range(3):
        error = refused(held, f"/d/in/{number}")
        assert (error.code, error.retryable) == ("unavailable", True)
    assert len(door.requests("POST")) == 1


def test_a_ca_that_does_not_verify_is_never_passed_over(door: FaultyStorage) -> None:
    error = refused(parents(door, ca=trustme.CA().cert_pem.bytes().decode()))
    assert "TLS does not verify" in str(error)
    assert error.hint == "name the CA of the door as `ca` of the storage"
    assert not door.seen


def test_a_certificate_that_ended_is_told_from_a_server_that_does_not_verify(door: FaultyStorage) -> None:
    # given a door that asks for a certificate, and a platform whose own ended yesterday
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    days = [datetime.now(UTC) - timedelta(days=number) for number in (2, 1)]
    own = authority.issue_cert("faas@example.org", not_before=days[0], not_after=days[1])
    proxy = own.private_key_and_cert_chain_pem.bytes().decode()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with contextlib.suppress(ssl.SSLError, OSError):
                context.wrap_socket(connection, server_side=True)
            connection.close()

        server = threading.Thread(target=serve)
        server.start()

        # when a token is wanted
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        ca = authority.cert_pem.bytes().decode()
        error = refused(parents(door, credential=Credential(x509=X509(proxy)), read=url, write=url, ca=ca))
        server.join()

    # then it is said whose certificate it is
    assert "refuses the platform's certificate" in str(error)
    assert error.hint == "renew the certificate or proxy, and: faasctl secret rotate"


def test_a_slow_storage_leaves_the_rest_of_a_batch_for_later(door: FaultyStorage) -> None:
    # given a batch of three, and a clock by which the first takes the time of all
    held = parents(door)
    ticks = iter([0.0, 0.0, *[minting.BUDGET + 1] * 10])
    began = time.time()
    registered = Registered(spec=SPEC, version="0.0.1", code="sha256:00")
    items = tuple(
        Item(
            origin=Origin("t", 0, number),
            function="demo.f",
            event=Event(
                id=f"e{number}",
                source="s",
                type="storage.written",
                subject=f"/d/in/{number}",
                time="",
                data=Data(path=f"/d/in/{number}"),
            ),
        )
        for number in range(3)
    )
    batch = Batch(schema=1, deadline=0, functions={"demo.f": registered}, work=items, report=Report(items=3))

    # when the batch is minted
    done = minting.run(
        batch,
        policies={"demo": RULES},
        parents=held,
        seal_key=os.urandom(32),
        submit_key=os.urandom(32),
        now=lambda: began + next(ticks),
    )

    # then the first went on, and the others are delivered again at once
    assert [item.event.id for item in done.work] == ["e0"]
    assert [failure.code for failure in done.report.failed] == [DEFERRED] * 2
    assert done.report.minted == 2
    assert done.report.imbalance()[1] == 1


def oauth(tokens: Issuer, **changes: object) -> OAuth:
    access = OAuth(
        token_endpoint=tokens.url, client_id="faas", client_secret=SECRET, grant="client_credentials", ca=tokens.ca
    )
    return msgspec.structs.replace(access, **changes)


def test_an_oidc_client_logs_in_with_fresh_access_tokens(door: FaultyStorage, tokens: Issuer) -> None:
    # given a client with a refresh token, whose access tokens are short
    tokens.life = 30
    held = parents(door, credential=Credential(oidc=oauth(tokens, grant="refresh_token", token=REFRESH)))

    # when tokens to read and to write are wanted
    held.token("/d/in/a", READ, RULES, time.time() + HOUR)
    held.token("/d/out/a/", WRITE, RULES, time.time() + HOUR)

    # then each request had an access token that was still good, and the storage saw nothing else
    assert {form["grant_type"] for form in tokens.asked} == {"refresh_token"}
    assert len(tokens.asked) == 3
    assert all(seen.headers["authorization"].startswith("Bearer ey") for seen in door.requests("POST"))


def test_an_access_token_is_kept_while_it_lasts(door: FaultyStorage, tokens: Issuer) -> None:
    held = parents(door, credential=Credential(oidc=oauth(tokens)))
    held.token("/d/in/a", READ, RULES, time.time() + HOUR)
    held.token("/d/out/a/", WRITE, RULES, time.time() + HOUR)
    assert len(tokens.asked) == 1


@pytest.mark.parametrize(
    "wrong", [{"client_secret": "not it"}, {"grant": "refresh_token", "token": "not it"}], ids=["client", "refresh"]
)
def test_a_refused_client_is_not_tried_again_and_not_quoted(
    door: FaultyStorage, tokens: Issuer, wrong: dict[str, str]
) -> None:
    held = parents(door, credential=Credential(oidc=oauth(tokens, **wrong)))
    for number in range(3):
        error = refused(held, f"/d/in/{number}")
        assert (error.code, error.retryable) == ("credential_refused", True)
        assert "refuses the client faas: invalid_" in str(error)
        assert "not it" not in str(error)
        assert "Basic" not in str(error)
    assert len(tokens.asked) == 1
    assert not door.seen


def test_a_bare_bearer_that_ended_is_not_even_sent(door: FaultyStorage, tokens: Issuer) -> None:
    ended = tokens.token(exp=int(time.time()) - 10)
    error = refused(parents(door, credential=Credential(bearer=ended)))
    assert "bearer token ended at" in str(error)
    assert (error.code, error.retryable) == ("credential_refused", True)
    assert "faasctl secret rotate" in error.hint
    assert not door.seen


def test_where_the_site_has_an_issuer_each_job_gets_its_own_tokens(door: FaultyStorage, tokens: Issuer) -> None:
    # given an issuer of storage tokens
    held = parents(door, credential=Credential(jwt=oauth(tokens, audience="https://door.example.org")))

    # when a job's tokens are wanted
    held.make_directory("/d/out/a b.d/", RULES, time.time() + 60)
    held.token("/d/in/a", READ, RULES, time.time() + 60)
    held.token("/d/out/a b.d/", WRITE, RULES, time.time() + 60)

    # then the issuer is asked for exactly these paths and this storage, and the storage for nothing
    assert [form["scope"] for form in tokens.asked] == [
        "storage.read:/d/in/a",
        "storage.modify:/d/out/a%20b.d storage.create:/d/out/a%20b.d",
    ]
    assert {form["audience"] for form in tokens.asked} == {"https://door.example.org"}
    assert not door.seen


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"scope": ""}, "without storage.read:/d/in/a"),
        ({"scope": "storage.read:/d/in"}, "without storage.read:/d/in/a"),
        ({"scope": "storage.read:/d/in/a storage.read:/"}, "also allows storage.read:/"),
        ({"aud": "https://other.example.org"}, "not for https://door.example.org"),
        ({"exp": 4}, "issues no tokens of"),
        ({"exp": None}, "without an end"),
    ],
)
def test_an_issuer_that_gives_something_else_is_refused(
    door: FaultyStorage, tokens: Issuer, claims: dict[str, object], why: str
) -> None:
    said = {"scope": "storage.read:/d/in/a", "aud": "https://door.example.org", **claims}
    token = tokens.token(**said)
    tokens.answers = [(200, {"access_token": token, "expires_in": 3600})]
    held = parents(door, credential=Credential(jwt=oauth(tokens, audience="https://door.example.org")))
    error = refused(held)
    assert why in str(error)
    assert token not in str(error)


def test_the_policy_is_asked_before_an_issuer_is(door: FaultyStorage, tokens: Issuer) -> None:
    held = parents(door, credential=Credential(jwt=oauth(tokens)))
    with pytest.raises(ItemError, match="does not cover"):
        held.token("/d/private/a", READ, RULES, time.time() + 60)
    assert not tokens.asked


def spec(runtime: str = "1h") -> Function:
    return decode({**SPEC, "resources": {"runtime": 3600 if runtime == "1h" else 20 * HOUR}})


def rules(**changes: object) -> Policy:
    return policy.decode(
        {"namespace": "demo", "read": ["/d/in"], "write": ["/d/out"], "max_token_life": "40h", **changes}
        | {"max_resources": {"runtime": "20h"}}
    )


def test_push_refuses_what_the_storage_cannot_cover(door: FaultyStorage) -> None:
    # given XRootD, whose tokens live for a day, and a queue of twelve hours
    site = storage(door, flavour="xrootd")

    # then a function of an hour is fine, and one of twenty is refused with what to do
    policy.check_storages(rules(), spec(), [site])
    with pytest.raises(policy.PolicyError, match="storage main issues none beyond") as error:
        policy.check_storages(rules(), spec("20h"), [site])
    assert "lower resources.runtime" in error.value.hint

    # and dCache, or a site with a limit of its own, may cover it
    policy.check_storages(
        rules(), spec("20h"), [storage(door), storage(door, flavour="xrootd", max_token_life=200_000)]
    )
    # and a storage elsewhere is not asked
    policy.check_storages(rules(), spec("20h"), [storage(door, flavour="xrootd", prefixes=("/other",))])
