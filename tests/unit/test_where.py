"""Conditions on an event's data."""

from typing import Any

import pytest

from eventflow.event import Data
from eventflow.spec import SpecError, key_text
from eventflow.where import compile_where

DATA = Data(
    path="/pnfs/a.root",
    size=10,
    storage_class="belle:raw",
    principal={"username": "Anna", "uid": 0, "gids": [100, 200], "origin": ["10.1.2.3", "2001:db8::1"]},
    extra={"checked": True, "quality": 0.5, "nested": {"deep": ["a"]}},
)


def holds(where: dict[str, Any]) -> bool:
    return all(condition.holds(condition.value(DATA)) for condition in compile_where(where))


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"size": [10]},
        {"size": [9, 10.0]},
        {"size": [{"numeric": [">", 9]}]},
        {"size": [{"numeric": [">=", 10, "<", 11]}]},
        {"size": [{"numeric": ["=", 10]}], "storage_class": ["belle:raw"]},
        {"storage_class": [{"prefix": "belle:"}]},
        {"storage_class": ["x", {"suffix": ":raw"}]},
        {"storage_class": [{"wildcard": "b*:*w"}]},
        {"storage_class": [{"equals-ignore-case": "BELLE:RAW"}]},
        {"storage_class": [{"anything-but": ["belle:mc", "x"]}]},
        {"storage_class": [{"anything-but": {"prefix": "atlas:"}}]},
        {"pnfsid": [{"exists": False}]},
        {"size": [{"exists": True}]},
        {"principal": {"username": ["Anna"], "gids": [200]}},
        {"principal": {"uid": [0]}},
        {"principal": {"origin": [{"cidr": "10.1.0.0/16"}]}},
        {"principal": {"origin": [{"cidr": "2001:db8::/32"}]}},
        {"principal": {"gids": [{"anything-but": [300]}]}},
        {"checked": [True]},
        {"extra": {"quality": [0.5]}},
        {"nested": {"deep": ["a"]}},
    ],
)
def test_what_holds(where: dict[str, Any]) -> None:
    assert holds(where)


@pytest.mark.parametrize(
    "where",
    [
        {"size": ["10"]},
        {"size": [True]},
        {"size": [{"numeric": ["<", 10]}]},
        {"size": [10], "storage_class": ["belle:mc"]},
        {"storage_class": [{"numeric": [">", 0]}]},
        {"storage_class": [{"anything-but": "belle:raw"}]},
        {"storage_class": [{"anything-but": {"prefix": ["x", "belle:"]}}]},
        {"pnfsid": [{"anything-but": "x"}]},
        {"pnfsid": [{"exists": True}]},
        {"principal": {"gids": [{"anything-but": [100]}]}},
        {"principal": {"uid": [False]}},
        {"principal": {"username": {"first": ["Anna"]}}},
        {"principal": {"origin": [{"cidr": "10.2.0.0/16"}]}},
        {"principal": {"username": [{"cidr": "10.2.0.0/16"}]}},
        {"checked": [1]},
        {"absent": {"a": {"b": ["c"]}}},
    ],
)
def test_what_does_not_hold(where: dict[str, Any]) -> None:
    assert not holds(where)


@pytest.mark.parametrize(
    ("where", "key"),
    [
        ({"size": 10}, "size"),
        ({"size": []}, "size"),
        ({"size": {}}, "size"),
        ({"size": [None]}, "size[0]"),
        ({"size": [[1]]}, "size[0]"),
        ({"size": [{}]}, "size[0]"),
        ({"size": [{"prefix": "a", "suffix": "b"}]}, "size[0]"),
        ({"size": [{"greater": 1}]}, "size[0].greater"),
        ({"size": [{"numeric": [">", "1"]}]}, "size[0].numeric"),
        ({"size": [{"numeric": [">"]}]}, "size[0].numeric"),
        ({"size": [{"numeric": ["!=", 1]}]}, "size[0].numeric"),
        ({"size": [{"numeric": [[], 1]}]}, "size[0].numeric"),
        ({"size": [1, {"exists": "yes"}]}, "size[1].exists"),
        ({"a": [{"prefix": 5}]}, "a[0].prefix"),
        ({"a": [{"prefix": ""}]}, "a[0].prefix"),
        ({"a": [{"wildcard": "a**b"}]}, "a[0].wildcard"),
        ({"a": [{"cidr": "10.0.0.1/8"}]}, "a[0].cidr"),
        ({"a": [{"anything-but": []}]}, "a[0].anything-but"),
        ({"a": [{"anything-but": {"numeric": [">", 1]}}]}, "a[0].anything-but"),
        ({"a": {"b": {"c": {"d": {"e": {"f": [1]}}}}}}, "a.b.c.d.e"),
    ],
)
def test_a_condition_that_makes_no_sense_is_named(where: dict[str, Any], key: str) -> None:
    with pytest.raises(SpecError) as caught:
        compile_where(where, ())
    assert key_text(caught.value.key) == key
