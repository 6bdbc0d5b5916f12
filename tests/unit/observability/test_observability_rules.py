"""Rules as they are rendered: deterministic, committed, of a fleet's own objectives, over what is catalogued only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from observability import autoscaler_metrics, foreign, metrics, prometheus_metrics
from observability.dashboards import links
from observability.metric import Exporter, Kind, Metric
from observability.promql import TARGET, series
from observability.rules import DEFAULT_FLEET, RUNBOOKS, render, table
from observability.rules.burn import BURNS, WORST_SHARE, bound
from observability.rules.render import alerts, recordings
from observability.rules.rule import Alert, Recording, Severity
from observability.rules.slis import errors, itl_slow, ttft_slow
from serve.fleet import Fleet, load
from serve.fleet.slo import Slo
from tests.support.promql import selectors

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
RENDERED = ROOT / "observability" / "rendered" / "rules"
FLEET = load(DEFAULT_FLEET)
ALERTS = [alert for group in alerts(FLEET).values() for alert in group]
RECORDINGS = [rule for group in recordings(FLEET).values() for rule in group]
RULES: list[Alert | Recording] = [*RECORDINGS, *ALERTS]


def _id(rule: Alert | Recording) -> str:
    if isinstance(rule, Recording):
        return rule.name
    return "-".join((rule.name, rule.severity, *rule.labels.values()))


def test_the_committed_files_are_what_the_code_says() -> None:
    files = render(FLEET)
    assert sorted(files) == sorted(path.name for path in RENDERED.iterdir())
    for name, text in files.items():
        assert (RENDERED / name).read_text(encoding="utf-8") == text, f"{name}: run `make render`"
    assert (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8") == table(FLEET), (
        "docs/alerts.md: run `make render`"
    )


def test_rendering_twice_gives_the_same() -> None:
    assert render(load(DEFAULT_FLEET)) == render(FLEET)


def test_the_files_have_only_what_a_prometheus_rule_may_have() -> None:
    names = []
    for text in render(FLEET).values():
        content = yaml.safe_load(text)
        assert set(content) == {"groups"}  # a PrometheusRule's spec
        for group in content["groups"]:
            names.append(group["name"])
            for rule in group["rules"]:
                assert set(rule) in ({"record", "expr"}, {"alert", "expr", "for", "labels", "annotations"})
                assert all(isinstance(value, str) for value in _leaves(rule))
    assert len(set(names)) == len(names), "a PrometheusRule has each group once"


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _leaves(each)
    else:
        yield value


@pytest.mark.parametrize("rule", RULES, ids=_id)
def test_an_expression_reads_what_is_catalogued_and_no_other_label(rule: Alert | Recording) -> None:
    promql_parser.parse(rule.expr.text)
    known = {r.name: r for r in RECORDINGS}
    catalogue = _catalogue()
    for name, labels in selectors(rule.expr.text):
        if name in known:
            assert labels <= set(known[name].expr.labels or ()), f"{name} by {labels}"
            assert {m.name for m in known[name].expr.metrics} <= {m.name for m in rule.expr.metrics}
        else:
            metric, suffixed = catalogue[name]
            assert metric in rule.expr.metrics
            assert labels <= {*metric.labels, *TARGET, *({"le"} if suffixed == "_bucket" else ())}, name


def test_grouping_is_by_labels_that_the_series_have() -> None:
    """The walk itself finds what it should: a wrong label in `by`, in `on` and in a matcher."""
    text = 'sum by (nowhere) (rate(parlance_requests_total{wrong="x"}[5m])) and on (neither) parlance_model_healthy'
    assert dict(selectors(text)) == {
        "parlance_requests_total": {"nowhere", "wrong", "neither"},
        "parlance_model_healthy": {"neither"},
    }


def _catalogue() -> dict[str, tuple[Metric, str]]:
    every = (
        *metrics.GATEWAY,
        *autoscaler_metrics.AUTOSCALER,
        *foreign.ALL,
        *prometheus_metrics.PROMETHEUS,
    )
    names: dict[str, tuple[Metric, str]] = {}
    for metric in every:
        if metric.kind is Kind.HISTOGRAM:
            names |= {metric.name + suffix: (metric, suffix) for suffix in ("_bucket", "_count", "_sum")}
        else:
            names[metric.name] = (metric, "")
    return names


@pytest.mark.parametrize("alert", ALERTS, ids=_id)
def test_an_alert_says_whom_it_concerns_and_where_to_look(alert: Alert) -> None:
    assert alert.expr.labels is not None
    # What makes one alert another is said: nobody shall look for the model in the labels.
    for label in alert.expr.labels - {"job"} if alert.name != "ParlanceTargetDown" else alert.expr.labels:
        assert f"$labels.{label} }}}}" in alert.summary, label
    dashboard, panel = alert.panel
    assert links.panel_path(dashboard, panel).startswith("/d/parlance-")
    assert (ROOT / RUNBOOKS / f"{alert.name}.md").is_file()
    assert re.fullmatch(r"\d+[mh]", alert.hold)


def test_rules_of_one_name_differ_in_their_labels() -> None:
    keys = [(alert.name, alert.severity, *sorted(alert.labels.items())) for alert in ALERTS]
    assert len(set(keys)) == len(keys)


def test_a_text_cannot_name_a_label_that_the_result_does_not_have() -> None:
    expr = series(metrics.HEALTHY).by("model").equals(0)
    with pytest.raises(ValueError, match="language is no label"):
        Alert("X", Severity.PAGE, expr, "1m", "x", "{{ $labels.language }}", "x", ("models", "healthy"))


def test_a_recording_is_named_by_level_metric_and_operations() -> None:
    with pytest.raises(ValueError, match="level:metric:operations"):
        Recording("requests", series(metrics.HEALTHY))


def test_the_names_that_panels_read_are_recorded() -> None:
    names = {rule.name for rule in RECORDINGS}
    for indicator in (errors, ttft_slow, itl_slow):
        assert {indicator(window).text for window in ("5m", "30m", "1h", "6h")} <= names
        assert {indicator(window, by_model=True).text for window in ("5m", "1h")} <= names
        with pytest.raises(ValueError, match="is not recorded"):
            indicator("6h", by_model=True)


def test_a_fleet_with_other_objectives_has_its_own_rules() -> None:
    own = FLEET.model_copy(update={"slo": Slo(availability=0.999, ttft_s=1.0, itl_s=0.05, attainment=0.95)})
    text = render(own)
    assert 'le="1.0"' in text["recordings.yaml"]
    assert 'le="0.05"' in text["recordings.yaml"]
    assert 'le="2.5"' not in text["recordings.yaml"]
    assert "ratio_rate1h > 0.0144" in text["alerts.yaml"]  # 14.4 times a thousandth
    assert "ratio_rate1h > 0.72" in text["alerts.yaml"]  # 14.4 times a twentieth


@pytest.mark.parametrize("burn", BURNS)
@pytest.mark.parametrize("budget", [0.001, 0.01, 0.1, 0.3, 0.49])
def test_every_bound_can_be_passed(burn: Any, budget: float) -> None:
    assert budget <= bound(burn.factor, budget) <= WORST_SHARE


def test_what_a_fleet_does_not_have_is_not_watched() -> None:
    upstream = {"base_url": "https://elsewhere.example"}
    outside = _outside(FLEET, upstream)
    own = {alert.name for alert in ALERTS}
    theirs = {alert.name for group in alerts(outside).values() for alert in group}
    assert theirs < own
    assert {"ParlanceRayHeadDown", "ParlanceAutoscalerStopped", "ParlanceScrapeMissing"} <= own - theirs
    assert {"ParlanceEngineDown", "ParlanceGatewayDown", "ParlanceAvailabilityBurn"} <= theirs
    assert "ray_" not in render(outside)["alerts.yaml"]


def _outside(fleet: Fleet, upstream: dict[str, str]) -> Fleet:
    """The same models, all run by others."""
    models = tuple(model.model_copy(update={"engine": None, "cluster": None}) for model in fleet.models)
    return fleet.model_copy(update={"models": models})


def test_two_clusters_have_two_heads() -> None:
    first, *others = FLEET.models
    two = FLEET.model_copy(update={"models": (first.model_copy(update={"cluster": "second"}), *others)})
    (head,) = (alert for group in alerts(two).values() for alert in group if alert.name == "ParlanceRayHeadDown")
    assert head.expr.text.endswith("< 2")
    assert "of 2 Ray heads" in head.summary


def test_runbooks_are_linked_where_they_are_published() -> None:
    text = render(FLEET, "https://runbooks.example/parlance/")["alerts.yaml"]
    urls = re.findall(r"runbook_url: (.*)", text)
    assert urls
    assert all(re.fullmatch(r"https://runbooks\.example/parlance/Parlance\w+\.md", url) for url in urls)


def test_the_scrape_jobs_are_the_exporters() -> None:
    (down,) = (alert for alert in ALERTS if alert.name == "ParlanceTargetDown")
    jobs = (Exporter.GATEWAY, Exporter.AUTOSCALER, Exporter.RAY, Exporter.HAPROXY)
    assert "|".join(job.value for job in jobs) in down.expr.text
