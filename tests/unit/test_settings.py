"""An action's settings: init-only from faasctl, ordinary parameters from wskdeploy."""

from __future__ import annotations

import pytest

from eventflow.errors import FaasError
from eventflow.settings import adopt, setting


def test_settings_that_come_as_arguments_are_taken_out_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAAS_TEXT", "")  # so that it is put back
    monkeypatch.delenv("FAAS_TEXT")
    monkeypatch.setenv("FAAS_GIVEN", '{"from": "init"}')

    rest = adopt({"messages": [], "FAAS_TEXT": "key", "FAAS_GIVEN": {"from": "caller"}})

    assert rest == {"messages": []}
    assert setting("FAAS_TEXT", str) == "key"
    assert setting("FAAS_GIVEN", dict[str, str]) == {"from": "init"}


def test_an_argument_that_is_no_text_is_taken_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAAS_LIST", "")
    monkeypatch.delenv("FAAS_LIST")

    adopt({"FAAS_LIST": [1, 2]})

    assert setting("FAAS_LIST", list[int]) == [1, 2]


def test_a_missing_or_wrong_setting_names_itself_and_not_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAAS_NONE", raising=False)
    monkeypatch.setenv("FAAS_WRONG", '"s3cret"')

    with pytest.raises(FaasError, match="FAAS_NONE is missing"):
        setting("FAAS_NONE", str)
    with pytest.raises(FaasError, match="FAAS_WRONG is wrong") as caught:
        setting("FAAS_WRONG", list[int])
    assert "s3cret" not in str(caught.value)
