"""The OpenWhisk host's small rules: JSON with spray's words, JSON as Go writes it, rates, names, web answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasctl.local.openwhisk import spray
from faasctl.local.openwhisk.api.projection import project
from faasctl.local.openwhisk.bodies import is_base64
from faasctl.local.openwhisk.errors import ApiError
from faasctl.local.openwhisk.names import check_segment, parse_full_name
from faasctl.local.openwhisk.runtime.go_json import marshal
from faasctl.local.openwhisk.settings import Settings
from faasctl.local.openwhisk.throttle import Rate, Throttle

Json = Any
NUMBERS = st.integers(-(2**900), 2**900) | st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_valid_json_is_taken(value: Json) -> None:
    """Whatever json writes is read back, by the fast parser and by the one that finds the words."""
    text = json.dumps(value)

    assert spray.decode(text.encode()) == value
    spray.Grammar(text).check()


@given(VALUES, st.data())
def test_json_that_was_cut_is_refused(value: Json, data: st.DataObject) -> None:
    """Any proper prefix of an object is refused, and the text points into it."""
    text = json.dumps({"key": value})
    cut = data.draw(st.integers(0, len(text) - 1))

    with pytest.raises(ApiError) as refused:
        spray.decode(text[:cut].encode())

    assert refused.value.status == 400
    assert refused.value.text.startswith("The request content was malformed:\nUnexpected end-of-input at input index ")


POINTED = '\n{"a" 1}\n     ^\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{1}", "Unexpected character '1' at input index 1 (line 1, position 2), expected '\"':\n{1}\n ^\n"),
        (
            '{"a" 1}',
            "Unexpected character '1' at input index 5 (line 1, position 6), expected ':':\n{\"a\" 1}\n     ^\n",
        ),
        ("[1 2]", "Unexpected character '2' at input index 3 (line 1, position 4), expected ']':\n[1 2]\n   ^\n"),
        ("{}\nx", "Unexpected character 'x' at input index 3 (line 2, position 1), expected end-of-input:\nx\n^\n"),
        ('"\t"', "Unexpected character '\\u0009' at input index 1 (line 1, position 2), expected '\"':\n\"?\"\n ^\n"),
        ("-", "Unexpected end-of-input at input index 1 (line 1, position 2), expected DIGIT:\n-\n ^\n"),
    ],
)
def test_what_is_wrong_is_pointed_at(text: str, why: str) -> None:
    with pytest.raises(ApiError) as refused:
        spray.decode(text.encode())

    assert refused.value.text == f"The request content was malformed:\n{why}"


def test_json_too_deep_is_refused_and_not_a_crash() -> None:
    with pytest.raises(ApiError) as refused:
        spray.decode(b"[" * 100_000)

    assert refused.value.status == 400


@given(VALUES)
def test_go_writes_what_json_reads(value: Json) -> None:
    """Numbers become floats on the way, as in Go."""
    assert json.loads(marshal(value), parse_int=float) == json.loads(json.dumps(value), parse_int=float)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e21, "1e+21"), (1e20, "100000000000000000000"), (1e-7, "1e-7"), (1e-6, "0.000001"), (1.5e300, "1.5e+300")],
)
def test_go_writes_numbers_with_an_exponent_only_when_they_are_far_off(value: float, text: str) -> None:
    assert marshal(value) == text


def test_a_rate_begins_anew_with_the_minute() -> None:
    """Given two allowed a minute, when a third comes, then it is refused until the clock's minute ends."""
    now = 59.0
    rate = Rate(2, lambda: now)
    rate.check("guest")
    rate.check("guest")

    with pytest.raises(ApiError):
        rate.check("guest")
    rate.check("other")
    now = 60.0
    rate.check("guest")


def test_there_is_an_end_to_what_waits_even_without_throttles() -> None:
    throttle = Throttle(Settings(throttled=False, most_in_flight=2))
    throttle.in_flight.update({"guest": 1, "other": 1})

    with pytest.raises(ApiError) as refused:
        throttle.check_invocation("guest")

    assert (refused.value.status, refused.value.text) == (429, "System is overloaded, try again later.")


@pytest.mark.parametrize("name", ["a", "_a", "a b", "a@", "A-b.c@d&e", "x" * 256, "0"])
def test_names_that_are_allowed(name: str) -> None:
    assert check_segment(name) == name


@pytest.mark.parametrize("name", ["", " a", "a ", "-a", ".a", "a/b", "a$", "é", "x" * 257, "a\n"])
def test_names_that_are_not(name: str) -> None:
    with pytest.raises(ApiError):
        check_segment(name)


def test_full_names_know_their_own_namespace() -> None:
    assert str(parse_full_name("/_/pkg/act", "guest")) == "guest/pkg/act"
    assert str(parse_full_name({"path": "ns/pkg", "name": "act"}, "guest")) == "ns/pkg/act"
    with pytest.raises(ApiError):
        parse_full_name("act", "guest")


@pytest.mark.parametrize("code", ["abcd", "UEsDBA==", " abcd\n"])
def test_what_looks_like_base64_is_taken_for_binary(code: str) -> None:
    assert is_base64(code)


@pytest.mark.parametrize("code", ["", "def", "a b c", "def main(args): return args"])
def test_what_does_not_is_taken_for_text(code: str) -> None:
    assert not is_base64(code)


@pytest.mark.parametrize(
    ("result", "status", "body", "kind"),
    [
        ({"body": "x"}, 200, b"x", "text/html; charset=UTF-8"),
        ({"statusCode": "201", "body": {"a": 1}}, 201, b'{"a":1}', "application/json"),
        ({"body": "eA==", "headers": {"content-type": "image/png"}}, 200, b"x", "image/png"),
        ({"body": "eA==", "headers": {"content-type": "text/plain"}}, 200, b"eA==", "text/plain; charset=UTF-8"),
        (
            {"body": [1], "headers": {"content-type": "application/a+json"}},
            200,
            b"[1]",
            "application/a+json; charset=UTF-8",
        ),
    ],
)
def test_a_result_becomes_an_http_answer(result: Json, status: int, body: bytes, kind: str) -> None:
    reply = project(".http", result, {})

    assert (reply.status, reply.content(), reply.content_type) == (status, body, kind)


@pytest.mark.parametrize(
    "result",
    [
        "text",
        {"statusCode": "x"},
        {"statusCode": 200.5},
        {"statusCode": 12345},
        {"headers": "x"},
        {"headers": {"a": {"b": 1}}},
        {"headers": {"a": "b\r\nset-cookie: c"}},
        {"body": "not base64", "headers": {"content-type": "image/png"}},
        {"body": {"a": 1}, "headers": {"content-type": "text/plain"}},
    ],
)
def test_a_result_that_is_no_http_answer_is_the_callers_400(result: Json) -> None:
    """Header injection included."""
    with pytest.raises(ApiError) as refused:
        project(".http", result, {})

    assert refused.value.status == 400


def test_headers_may_stand_several_times_but_not_be_the_servers() -> None:
    reply = project(".http", {"headers": {"set-cookie": ["a=1", "b=2"], "content-length": "9"}}, {})

    assert [tuple(header) for header in reply.more_headers] == [("set-cookie", "a=1"), ("set-cookie", "b=2")]
    assert reply.status == 204
