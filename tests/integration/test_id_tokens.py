"""id_tokens are believed only as their issuer signed them, for this platform, and in time."""

import time
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from eventflow.caller import Unauthenticated
from eventflow.clients.id_tokens import LIFE, MAX_TOKEN, REFRESH, IdTokens, Issuer, IssuerUnavailable
from tests.parts.gitlab import AUDIENCE, GitLab, gitlab


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[GitLab]:
    with gitlab() as found:
        yield found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(issuer: GitLab, clock: Clock) -> IdTokens:
    return IdTokens([Issuer(issuer=issuer.url, audience=AUDIENCE)], clock)


def other_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def test_a_token_of_the_issuer_is_believed(issuer: GitLab, tokens: IdTokens) -> None:
    # when
    claims = tokens.claims(issuer.id_token("belle/functions"))

    # then
    assert (claims["project_path"], claims["user_login"]) == ("belle/functions", "anna")


REFUSED: dict[str, tuple[Callable[[GitLab], str], str]] = {
    "another audience": (
        lambda gitlab: gitlab.id_token(aud="https://elsewhere.example"),
        "it is for another audience than https://faas.example.org",
    ),
    "no audience": (lambda gitlab: gitlab.id_token(aud=None), "lacks the claim aud"),
    "expired": (lambda gitlab: gitlab.id_token(exp=int(time.time()) - 60), "it has expired"),
    "never ends": (lambda gitlab: gitlab.id_token(exp=None), "lacks the claim exp"),
    "not yet": (lambda gitlab: gitlab.id_token(nbf=int(time.time()) + 600), "it is not valid yet"),
    "another key under the same id": (
        lambda gitlab: gitlab.id_token(key=other_key()),
        "its signature is not the issuer's",
    ),
    "HS256 with the public key": (GitLab.confused_token, "it is not signed with RS256 or ES256"),
    "no signature": (GitLab.unsigned_token, "it is not signed with RS256 or ES256"),
    "another issuer": (lambda gitlab: gitlab.id_token(iss="https://gitlab.evil.example"), "not trusted here"),
    "an issuer that is a list": (lambda gitlab: gitlab.unsigned_token(iss=[gitlab.url]), "not trusted here"),
    "no token": (lambda gitlab: "Zm9v", "neither an id_token nor the administrator's key"),
    "not ASCII": (lambda gitlab: "ü.ü.ü", "neither an id_token nor the administrator's key"),
    "endless": (lambda gitlab: "a" * (MAX_TOKEN + 1), "neither an id_token nor the administrator's key"),
    "changed by a bit": (lambda gitlab: _flipped(gitlab.id_token()), "its signature is not the issuer's"),
}


def _flipped(token: str) -> str:
    head, body, signature = token.split(".")
    return f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_said_and_the_token_never(issuer: GitLab, tokens: IdTokens, case: str) -> None:
    # given
    make, words = REFUSED[case]
    token = make(issuer)

    # when
    with pytest.raises(Unauthenticated) as caught:
        tokens.claims(token)

    # then
    assert words in str(caught.value)
    told = f"{caught.value} {caught.value.hint}"
    assert not any(part in told for part in token.split(".") if len(part) > 10)


def test_keys_are_fetched_once(issuer: GitLab, tokens: IdTokens, clock: Clock) -> None:
    for _ in range(3):
        tokens.claims(issuer.id_token())
        clock.now += 60
    assert issuer.asked == 1

    # when: they have grown old
    clock.now += LIFE
    tokens.claims(issuer.id_token())

    # then
    assert issuer.asked == 2


def test_a_new_key_of_the_issuer_is_found(issuer: GitLab, tokens: IdTokens, clock: Clock) -> None:
    # given
    old = issuer.id_token()
    tokens.claims(old)

    # when
    issuer.rotate("key-2")
    clock.now += REFRESH + 1

    # then: its tokens are good, and those of the key that is published no more are not
    assert tokens.claims(issuer.id_token())["user_login"] == "anna"
    with pytest.raises(Unauthenticated, match="a key that its issuer does not publish"):
        tokens.claims(old)


def test_invented_key_ids_do_not_flood_the_issuer(issuer: GitLab, tokens: IdTokens) -> None:
    # given
    tokens.claims(issuer.id_token())

    # when
    for number in range(20):
        issuer.kid = f"invented-{number}"
        with pytest.raises(Unauthenticated):
            tokens.claims(issuer.id_token(key=other_key()))

    # then
    assert issuer.asked == 1


def test_an_issuer_that_is_away_is_no_verdict_on_the_token(issuer: GitLab, tokens: IdTokens) -> None:
    # given
    issuer.away = True

    # then
    with pytest.raises(IssuerUnavailable, match="HTTP 503"):
        tokens.claims(issuer.id_token())

    # and: it is asked again when it is back
    issuer.away = False
    tokens.claims(issuer.id_token())


def test_held_keys_outlive_a_short_absence(issuer: GitLab, tokens: IdTokens) -> None:
    # given
    tokens.claims(issuer.id_token())

    # when
    issuer.away = True

    # then
    tokens.claims(issuer.id_token())


def test_keys_are_never_fetched_in_the_clear_from_elsewhere(issuer: GitLab) -> None:
    # given: an issuer whose keys would come over plain HTTP from another machine
    given = Issuer(issuer=issuer.url, audience=AUDIENCE, jwks="http://gitlab.example/keys")

    # then
    with pytest.raises(IssuerUnavailable, match="over https only"):
        IdTokens([given], Clock()).claims(issuer.id_token())
