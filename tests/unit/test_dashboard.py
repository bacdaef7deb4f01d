"""What dashboard, rules and documentation say of metrics is what the services export."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from faasctl import bundle
from tests.parts.prometheus import promtool
from tests.unit.test_alerts import PAGE, rules
from tests.unit.test_metrics import SERVICES, everything

DASHBOARD: dict[str, Any] = json.loads((bundle.manifests() / "grafana" / "faasctl.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]

SCRAPED = {"instance", "job"}
"""The labels that Prometheus adds."""


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """Each metric's name, as Prometheus has it, with its labels."""
    found: dict[str, set[str]] = {}
    for service in SERVICES:
        for family in text_string_to_metric_families(everything(service)):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


def plain(expression: str) -> str:
    """An expression with Grafana's variables filled in."""
    return expression.replace("$__rate_interval", "5m").replace("$trigger", ".*")


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics of an expression, each with the labels that it is chosen by."""
    for name, matchers in re.findall(r"\b((?:faas|process)_\w+)(?:\{([^}]*)\})?", expression):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))


@pytest.mark.parametrize("expression", [*EXPRESSIONS, *(rule["expr"] for rule in rules)])
def test_an_expression_uses_metrics_and_labels_that_are_exported(
    expression: str, exported: dict[str, set[str]]
) -> None:
    used = dict(selectors(expression))
    assert used
    for name, labels in selectors(expression):
        assert name in exported
        assert labels <= exported[name], name
    has = set().union(*(exported[name] for name in used)) | SCRAPED
    for words in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
        assert {word.strip() for word in words.split(",")} <= has


def test_prometheus_understands_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    recorded = [{"record": f"panel:{n}", "expr": plain(expression)} for n, expression in enumerate(EXPRESSIONS)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    done = subprocess.run([promtool(), "check", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_legend_names_what_its_expression_keeps(exported: dict[str, set[str]]) -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            expression, named = target["expr"], set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            kept = re.findall(r"\bby \(([^)]*)\)", expression)
            has = set(kept[0].split(", ")) if kept else exported[next(selectors(expression))[0]] | SCRAPED
            assert named <= has, panel["title"]


def test_panels_have_places_of_their_own_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not mine & taken, panel["title"]
        taken |= mine
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["title"] and panel["description"] for panel in PANELS)
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}


def test_the_documentation_has_every_metric_with_its_labels(exported: dict[str, set[str]]) -> None:
    written: dict[str, set[str]] = {}
    for names, labels in re.findall(r"^\| (`faas_[^|]*) \|([^|]*)\|", PAGE.read_text(), re.MULTILINE):
        for name in re.findall(r"`(\w+)`", names):
            written[name] = {label.strip() for label in labels.split(",") if label.strip()}
    ours = {
        re.sub(r"_(bucket|sum|count)$", "", name): labels - {"le"}
        for name, labels in exported.items()
        if name.startswith("faas_") and not name.endswith("_created")
    }
    assert written == ours


def test_no_label_is_unbounded(exported: dict[str, set[str]]) -> None:
    labels = set().union(*(labels for name, labels in exported.items() if name.startswith("faas_")))
    allowed = {"trigger", "topic", "partition", "outcome", "reason", "result", "stage", "function", "le"}
    assert labels <= allowed | {"schedd", "state", "credential", "kind", "service", "version"}
