"""A token in words: what it allows, and nothing by which it could be used."""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pymacaroons import Macaroon

from eventflow.errors import FaasError
from faasctl.main import cli
from faasctl.tokens import show

NOW = 1_800_000_000.0


def macaroon(*texts: str, location: str = "Optional.empty") -> Macaroon:
    made = Macaroon(location=location, identifier="OzPgULZD", key=b"secret")
    for text in texts:
        made.add_first_party_caveat(text)
    return made


DCACHE = (
    "iid:xgtrgnfP",
    "id:9811;1999,5063;cmsprod",
    "before:2027-01-15T10:00:00.733754703Z",
    "path:/amsc",
    "max-upload:10",
    "activity:DOWNLOAD,LIST",
    "path:/test/a.root",
    "ip:10.0.0.0/8,2001:db8::/32",
)


def run(text: str, *words: str) -> Result:
    return CliRunner().invoke(cli, ["token", "show", *words], input=text)


def test_every_caveat_is_said_in_words() -> None:
    words = dict(show(macaroon(*DCACHE).serialize(), NOW).says)
    assert words[DCACHE[1]] == "acts for cmsprod (uid;gids;name 9811;1999,5063;cmsprod)"
    assert words[DCACHE[2]] == "good for another 2h 0m"
    assert words[DCACHE[5]] == "may read, list directories"
    assert words[DCACHE[7]] == "only from 10.0.0.0/8 or 2001:db8::/32"
    assert "switches a dCache pool off" in words[DCACHE[4]]


@pytest.mark.parametrize(
    ("caveat", "meaning"),
    [
        ("before:2020-01-01T00:00:00Z", "ended 2571d 8h 0m ago"),
        ("before:soon", "no instant: the token is worth nothing"),
        ("activity:FLY", "may FLY (unknown)"),
        ("weekday:sunday", "unknown: dCache and XRootD refuse the whole token"),
        ("nonsense", "unknown: dCache and XRootD refuse the whole token"),
    ],
)
def test_what_makes_a_token_worthless_is_said(caveat: str, meaning: str) -> None:
    assert dict(show(macaroon(caveat).serialize(), NOW).says) == {caveat: meaning}


@pytest.mark.parametrize("words", [(), ("-o", "json")])
def test_the_signature_is_never_shown(words: tuple[str, ...]) -> None:
    # given a macaroon of every kind of caveat
    made = macaroon(*DCACHE)
    token = made.serialize()

    # when it is shown
    result = run(f"  {token}\n", *words)

    # then no form of the signature, nor the token itself, is in the output
    assert result.exit_code == 0, result.output
    raw = binascii.unhexlify(made.signature)
    for secret in (made.signature, token, *(f(raw).decode() for f in (base64.b64encode, base64.urlsafe_b64encode))):
        assert secret.rstrip("=") not in result.output
    assert "cmsprod" in result.output


def test_a_submit_token_is_told_from_others() -> None:
    made = macaroon("key:e/n.f", "function:n.f", "cpus:1", "memory:2000000000", location="faasctl")
    shown = show(made.serialize(), NOW)
    assert shown.kind == "submit token"
    assert [means for _, means in shown.says] == [
        "for the one job e/n.f",
        "running n.f",
        "with 1 cores",
        "and 2 GB of memory",
    ]


def test_a_jwt_is_shown_without_its_signature() -> None:
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, {"scope": "storage.read:/a", "exp": NOW + 90})]
    text = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, b"signature"))
    shown = show(text, NOW)
    assert shown.kind == "JWT"
    assert dict(shown.says)["scope: storage.read:/a"] == "what it allows, and where"
    assert "c2lnbmF0dXJl" not in str(shown)


@pytest.mark.parametrize("text", ["", "Bearer MDAx", "MDAxMWxvY2F0aW9uIA", "{}", "\0", "a.b.c", "ä"])
def test_what_is_no_token_is_an_error_that_does_not_repeat_it(text: str) -> None:
    with pytest.raises(FaasError, match="neither a macaroon nor a JWT") as refused:
        show(text, NOW)
    assert not text or text not in str(refused.value)


def test_a_token_comes_from_a_file_and_never_as_an_argument(tmp_path: Path) -> None:
    token = macaroon("path:/a").serialize()
    (tmp_path / "token").write_text(token)
    assert CliRunner().invoke(cli, ["token", "show", str(tmp_path / "token")]).exit_code == 0
    refused = CliRunner().invoke(cli, ["token", "show", token])
    assert refused.exit_code != 0
