"""Reading ``function.yaml`` and policy files, with errors that say file and line."""

from __future__ import annotations

from pathlib import Path

from eventflow import function, policy
from eventflow.function import Function
from eventflow.policy import Policy
from eventflow.spec import SpecError
from faasctl import strict_yaml

FILE_NAME = "function.yaml"
SCHEMA_NAME = ".function.schema.json"
"""The JSON schema that editors check `function.yaml` by, beside it."""


def load(path: Path) -> Function:
    """The function in a folder or in a YAML file; `YamlError` and `SpecError` name file and line."""
    document = strict_yaml.read(path / FILE_NAME if path.is_dir() else path)
    try:
        return function.decode(document.value)
    except SpecError as error:
        raise document.located(error) from None


def load_policy(path: Path) -> Policy:
    """The policy in a YAML file; `YamlError` and `SpecError` name file and line."""
    document = strict_yaml.read(path)
    try:
        return policy.decode(document.value)
    except SpecError as error:
        raise document.located(error) from None
