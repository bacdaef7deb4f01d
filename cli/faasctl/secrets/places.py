"""Where the platform's manifest puts each secret: read off the rendered manifest, so that there is no second list."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from faasctl import strict_yaml
from faasctl.deploy import template
from faasctl.deploy.interpolation import interpolate
from faasctl.environment import Environment, Secret
from faasctl.secrets.inventory import Named

Path = tuple[str | int, ...]
"""The way to a text inside a parameter that is JSON; members of a list go by their ``name``. Empty: all of it."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A text inside an action's parameter that is a secret, and what the environment wants there.

    ``names`` are more than one where the environment has the same text for several.
    """

    action: str
    parameter: str
    path: Path
    names: tuple[str, ...]
    wanted: Secret


def places(env: Environment, several: Sequence[Named]) -> list[Place]:
    """Every place of every secret, in the order of the manifest's actions. Raises `FaasError`."""
    rendered = template.render(env, lambda name: name)
    packages = strict_yaml.parse(rendered.text.encode(), template.TEMPLATE).value["project"]["packages"]
    names = defaultdict(list)
    for one in several:
        for text in one.texts:
            names[text.reveal()].append(one.name)
    marks = {variable: variable for variable in rendered.variables}
    return [
        Place(
            action=f"{package}/{action}",
            parameter=parameter,
            path=path,
            names=tuple(names[rendered.variables[variable]]),
            wanted=Secret(rendered.variables[variable]),
        )
        for package, part in packages.items()
        for action, spec in part["actions"].items()
        for parameter, text in spec["inputs"].items()
        for path, variable in _leaves(tree(interpolate(text, marks, ())))
        if variable in marks
    ]


def tree(text: str) -> Any:
    """What a parameter's text holds: JSON, or the text itself."""
    try:
        return json.loads(text) if text.startswith(("{", "[")) else text
    except ValueError:
        return text


def at(value: Any, path: Path) -> Any:
    """What is there, `None` when nothing is."""
    for step in path:
        key = _key(value, step)
        if key is None:
            return None
        value = value[key]
    return value


def changed(value: Any, path: Path, new: str) -> Any:
    """The value with another text at a place that it has."""
    if not path:
        return new
    key = _key(value, path[0])
    copy = value.copy()
    copy[key] = changed(value[key], path[1:], new)
    return copy


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            name = inner.get("name", index) if isinstance(inner, dict) else index
            yield from _leaves(inner, (*path, name))
    else:
        yield path, value


def _key(value: Any, step: str | int) -> str | int | None:
    """What ``value`` has for a step of a path: a key of a mapping, a position in a list."""
    if isinstance(value, dict):
        return step if step in value else None
    if not isinstance(value, list):
        return None
    if isinstance(step, int):
        return step if step < len(value) else None
    named = (index for index, one in enumerate(value) if isinstance(one, dict) and one.get("name") == step)
    return next(named, None)
