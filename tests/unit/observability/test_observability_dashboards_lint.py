"""The rules of grafana's dashboard-linter, on the rendered files: one test a rule, under the linter's own name.

The linter is a Go program that is not installed here. These are the rules of its rule set and of its documentation, on
all panels instead of the kinds that it knows; what may be passed over stands in the committed `.lint`, with reasons.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from observability import dashboards
from tests.support.promql_tree import matchers, walk

pytestmark = pytest.mark.unit

RENDERED = Path(dashboards.__file__).parents[1] / "rendered" / "dashboards"
FILES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RENDERED.glob("*.json"))}
EXCLUSIONS = yaml.safe_load((RENDERED / ".lint").read_text(encoding="utf-8"))["exclusions"]
ALL = pytest.mark.parametrize("dashboard", FILES.values(), ids=FILES)

# Of the linter's list of units, which is Grafana's: those that ours may be.
UNITS = {"short", "none", "reqps", "cps", "s", "currencyUSD", "percentunit", "percent", "bytes"}
# An odd length, so that a window that was written out cannot be taken for Grafana's.
RATE_INTERVAL = "6h31m"


def panels(dashboard: Any, rule: str = "") -> Iterator[Any]:
    """Panels that ask something, without those that the rule passes over."""
    passed = {(entry["dashboard"], entry["panel"]) for entry in EXCLUSIONS.get(rule, {}).get("entries", ())}
    for panel in dashboard["panels"]:
        if panel["type"] != "row" and (dashboard["title"], panel["title"]) not in passed:
            yield panel


def queries(dashboard: Any, rule: str = "") -> Iterator[tuple[str, str]]:
    """Title and query of each target, with Grafana's own variables filled in and the dashboard's left alone."""
    for panel in panels(dashboard, rule):
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", RATE_INTERVAL).replace("$__range", "1h")
            yield panel["title"], text


def variables(dashboard: Any, kind: str) -> list[Any]:
    return [one for one in dashboard["templating"]["list"] if one["type"] == kind]


def variable(dashboard: Any, name: str) -> Any:
    return next(one for one in dashboard["templating"]["list"] if one["name"] == name)


@ALL
def test_template_datasource_rule(dashboard: Any) -> None:
    (source,) = variables(dashboard, "datasource")
    assert (source["name"], source["label"], source["query"]) == ("datasource", "Data source", "prometheus")


@ALL
@pytest.mark.parametrize("name", ["job", "instance"])
def test_template_job_rule_and_template_instance_rule(dashboard: Any, name: str) -> None:
    one = variable(dashboard, name)
    assert one["datasource"]["uid"] == "${datasource}"
    assert one["type"] == "query"
    assert one["label"] == name.capitalize()
    assert one["multi"] is True
    assert one["allValue"] == ".+"


@ALL
def test_template_label_promql_rule(dashboard: Any) -> None:
    for one in variables(dashboard, "query"):
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", one["query"])
        assert found, one["query"]
        promql_parser.parse(found[1])


@ALL
def test_template_on_time_change_reload_rule(dashboard: Any) -> None:
    assert all(one["refresh"] == 2 for one in variables(dashboard, "query"))


@ALL
def test_panel_datasource_rule(dashboard: Any) -> None:
    for panel in panels(dashboard):
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


@ALL
def test_panel_title_description_rule(dashboard: Any) -> None:
    assert all(panel["title"] and panel["description"] for panel in panels(dashboard))


@ALL
def test_panel_units_rule(dashboard: Any) -> None:
    for panel in panels(dashboard):
        config = panel["fieldConfig"]
        assert config["defaults"]["unit"] in UNITS, panel["title"]
        overridden = [one for override in config["overrides"] for one in override["properties"] if one["id"] == "unit"]
        assert all(one["value"] in UNITS for one in overridden)


@ALL
def test_panel_no_targets_rule(dashboard: Any) -> None:
    assert all(panel["targets"] for panel in panels(dashboard))


@ALL
def test_target_promql_rule(dashboard: Any) -> None:
    for _title, query in queries(dashboard):
        promql_parser.parse(query)


@ALL
def test_target_rate_interval_rule(dashboard: Any) -> None:
    for title, query in queries(dashboard):
        for node, parents in walk(query):
            if isinstance(node, promql_parser.MatrixSelector) and parents[-1].func.name in ("rate", "irate"):
                assert node.range == timedelta(hours=6, minutes=31), f"{title}: {query}"


@ALL
@pytest.mark.parametrize("label", ["job", "instance"])
def test_target_job_rule_and_target_instance_rule(dashboard: Any, label: str) -> None:
    for title, query in queries(dashboard, f"target-{label}-rule"):
        for node, _parents in walk(query):
            if isinstance(node, promql_parser.VectorSelector):
                assert matchers(node).get(label) == (promql_parser.MatchOp.Re, f"${label}"), f"{title}: {query}"


@ALL
def test_target_counter_agg_rule(dashboard: Any) -> None:
    """vLLM's histogram iteration_tokens_total ends as counters do; its _sum and _count are what is asked for."""
    for title, query in queries(dashboard, "target-counter-agg-rule"):
        for node, parents in walk(query):
            if isinstance(node, promql_parser.VectorSelector) and (node.name or "").endswith("_total"):
                assert isinstance(parents[-1], promql_parser.MatrixSelector), f"{title}: {query}"
                assert parents[-2].func.name in ("rate", "irate", "increase"), f"{title}: {query}"


@ALL
def test_uneditable_dashboard_rule(dashboard: Any) -> None:
    assert dashboard["editable"] is False


def test_what_is_passed_over_exists_and_has_a_reason() -> None:
    titles = {(one["title"], panel["title"]) for one in FILES.values() for panel in one["panels"]}
    for rule, excluded in EXCLUSIONS.items():
        assert rule in ("target-job-rule", "target-instance-rule", "target-counter-agg-rule")
        assert excluded["reason"].endswith(".")
        assert {(entry["dashboard"], entry["panel"]) for entry in excluded["entries"]} <= titles


def test_a_query_that_breaks_a_rule_is_found() -> None:
    """The walk sees what the rules look at: a window written out, a missing matcher, a bare counter."""
    nodes = list(walk('sum(rate(a_total{job=~"$job"}[5m])) / b_total'))
    (matrix,) = [node for node, _ in nodes if isinstance(node, promql_parser.MatrixSelector)]
    assert matrix.range == timedelta(minutes=5)
    found = {node.name: (matchers(node), parents[-1]) for node, parents in nodes if hasattr(node, "matchers")}
    assert set(found["a_total"][0]) == {"job"}
    assert found["b_total"][0] == {}
    assert isinstance(found["b_total"][1], promql_parser.BinaryExpr)
