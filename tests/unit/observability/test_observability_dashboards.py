"""Dashboards: what they ask exists, what they say is whole, and the committed files are what the code makes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard as GrafanaDashboard

from observability import dashboards, foreign, metrics, prometheus_metrics
from observability.autoscaler_metrics import AUTOSCALER
from observability.dashboards.asking import age, busiest, in_time, left, percentile, seen
from observability.dashboards.every import Asked, resolved
from observability.dashboards.links import PANELS, dashboard_path, panel_id, panel_path, uid
from observability.dashboards.panel import COLUMNS, Dashboard, Panel, Query, Row, Scale, Variable
from observability.dashboards.panel import Kind as Drawn
from observability.dashboards.reference import SCHEMA_VERSION, markdown
from observability.dashboards.rendering import EXCEPTIONS, leading_here
from observability.metric import Kind
from observability.promql import TARGET, rate, series
from observability.rules import DEFAULT_FLEET
from observability.rules.slis import INDICATORS
from serve.cli import COMMANDS
from serve.fleet import load
from serve.fleet.slo import Slo
from tests.support.promql_tree import matchers, walk

pytestmark = pytest.mark.unit

DOCS = Path(dashboards.__file__).parents[2] / "docs"
RENDERED = Path(dashboards.__file__).parents[1] / "rendered" / "dashboards"
ALL = dashboards.dashboards()
FILES = dashboards.render()
PANELS_OF_ALL = [(one, panel) for one in ALL for panel in one.panels]
ASKED = dashboards.queries()
CATALOGUE = {one.name: one for one in (*metrics.GATEWAY, *AUTOSCALER, *foreign.ALL, *prometheus_metrics.PROMETHEUS)}
RECORDED = {"fleet:" + indicator.bad for indicator in INDICATORS}

# Metrics of ours that no panel shows, and why.
NOT_SHOWN: dict[str, str] = {}


def name(value: object) -> str:
    if isinstance(value, Asked):
        return f"{value.dashboard}-{value.panel}"
    return getattr(value, "slug", None) or getattr(value, "name", "")


def test_committed_files_are_what_the_code_makes() -> None:
    assert {path.name for path in RENDERED.iterdir()} == set(FILES), "run `parlance metrics render`"
    for file, text in FILES.items():
        assert (RENDERED / file).read_text(encoding="utf-8") == text, f"{file}: run `parlance metrics render`"


@pytest.mark.parametrize("dashboard", ALL, ids=name)
def test_links_know_every_panel(dashboard: Dashboard) -> None:
    assert tuple(panel.slug for panel in dashboard.panels) == PANELS[dashboard.name]


def test_there_is_a_dashboard_for_every_name() -> None:
    assert [one.name for one in ALL] == list(PANELS)
    assert len({one.title for one in ALL}) == len(ALL)


@pytest.mark.parametrize("dashboard", ALL, ids=name)
def test_panels_have_numbers_and_titles_of_their_own(dashboard: Dashboard) -> None:
    assert len({panel.id for panel in dashboard.panels}) == len(dashboard.panels)
    assert len({panel.title for panel in dashboard.panels}) == len(dashboard.panels)


def test_a_panels_number_never_changes() -> None:
    """Alerts that were sent link to it."""
    assert panel_path("overview", "availability") == "/d/parlance-overview?viewPanel=panel-10050"


@pytest.mark.parametrize("wrong", [lambda: uid("x"), lambda: dashboard_path("x"), lambda: panel_path("ray", "x")])
def test_what_is_not_there_has_no_path(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"no dashboard|no panel"):
        wrong()


@pytest.mark.parametrize("dashboard", ALL, ids=name)
def test_panels_stand_on_the_grid_and_on_no_other(dashboard: Dashboard) -> None:
    taken: set[tuple[int, int]] = set()
    rendered = json.loads(FILES[f"{dashboard.uid}.json"])
    for panel in rendered["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= COLUMNS
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in rendered["panels"]}) == len(rendered["panels"])


@pytest.mark.parametrize("dashboard", ALL, ids=name)
def test_every_line_of_panels_is_full(dashboard: Dashboard) -> None:
    for row, _, placed in dashboard.layout():
        for y in {one.y for one in placed}:
            assert sum(one.panel.width for one in placed if one.y == y) == COLUMNS, f"{row.title}, line at {y}"


@pytest.mark.parametrize("asked", ASKED, ids=name)
def test_a_query_parses_and_names_what_is_catalogued(asked: Asked) -> None:
    assert "$" not in asked.expression
    found = [node for node, _ in walk(asked.expression) if isinstance(node, promql_parser.VectorSelector)]
    assert found
    for selector in found:
        if ":" in selector.name:
            assert selector.name.rsplit(":", 1)[0] in RECORDED
            continue
        base = re.sub(r"_(bucket|count|sum)$", "", selector.name)
        metric = CATALOGUE.get(selector.name) or CATALOGUE[base]
        known = {*metric.labels, *TARGET, "le"}
        assert set(matchers(selector)) <= known


@pytest.mark.parametrize(("_dashboard", "panel"), PANELS_OF_ALL, ids=name)
def test_a_panel_says_what_it_shows_and_what_to_do(_dashboard: Dashboard, panel: Panel) -> None:
    assert panel.description.endswith(".")
    assert len(panel.description.split()) >= 8
    assert panel.title[0].isupper()
    assert panel.unit in Scale


@pytest.mark.parametrize(("_dashboard", "panel"), PANELS_OF_ALL, ids=name)
def test_what_a_panel_sends_one_to_exists(_dashboard: Dashboard, panel: Panel) -> None:
    """Settings of the fleet's description, commands, pages, and panels' and dashboards' names in words."""
    fields = set(re.findall(r"\b(?:routing|gateway|engine)\.[a-z_.]+[a-z]", panel.description)) - {
        "gateway.md",
        "routing.md",
    }
    reference = (DOCS / "fleet.md").read_text(encoding="utf-8")
    for field in fields:
        assert f"`{field.rsplit('.', 1)[1]}`" in reference, field
    for command in re.findall(r"`parlance ([a-z]+)", panel.description):
        assert command in COMMANDS
    for page in re.findall(r"docs/([a-z]+\.md)", panel.description):
        assert (DOCS / page).is_file()


def test_the_committed_page_is_what_the_code_makes() -> None:
    assert (DOCS / "dashboards.md").read_text(encoding="utf-8") == markdown(), "run `make docs`"


@pytest.mark.parametrize(("dashboard", "panel"), PANELS_OF_ALL, ids=name)
def test_only_variables_that_the_dashboard_has_are_used(dashboard: Dashboard, panel: Panel) -> None:
    known = {variable.name for variable in dashboard.variables} | {"__rate_interval", "__range"}
    for query in panel.queries:
        assert set(re.findall(r"\$(\w+)", query.expr.text)) <= known


@pytest.mark.parametrize("dashboard", ALL, ids=name)
def test_every_variable_is_used(dashboard: Dashboard) -> None:
    text = " ".join(query.expr.text for panel in dashboard.panels for query in panel.queries)
    for variable in dashboard.variables:
        assert f"${variable.name}" in text
        assert all(variable.label in (*metric.labels, *TARGET) for metric in variable.metrics)


def test_every_metric_of_ours_is_shown() -> None:
    shown = {metric.name for _, panel in PANELS_OF_ALL for metric in panel.metrics}
    ours = {metric.name for metric in (*metrics.GATEWAY, *AUTOSCALER)}
    assert ours - shown == set(NOT_SHOWN)


def _may_be_nan(expression: str) -> list[str]:
    """What may be NaN in a result: a quotient whose denominator may be 0, and a quantile of no observations, unless a
    comparison around it drops NaN."""
    found = []
    for node, parents in walk(expression):
        kept = any(isinstance(one, promql_parser.BinaryExpr) and str(one.op) in (">=", ">") for one in parents)
        if isinstance(node, promql_parser.BinaryExpr) and str(node.op) == "/":
            below = node.rhs.expr if isinstance(node.rhs, promql_parser.ParenExpr) else node.rhs
            positive = isinstance(below, promql_parser.BinaryExpr) and str(below.op) == ">" and below.rhs.val == 0
            if not (kept or positive or isinstance(below, promql_parser.NumberLiteral)):
                found.append(node.prettify())
        if isinstance(node, promql_parser.Call) and node.func.name == "histogram_quantile" and not kept:
            found.append(node.prettify())
    return found


def test_what_may_be_nan_is_seen() -> None:
    assert len(_may_be_nan("a / b + a / (b > 0) + a / 2 + (a / b >= 0)")) == 1
    assert len(_may_be_nan("histogram_quantile(0.9, a) + (histogram_quantile(0.9, a) >= 0)")) == 1


@pytest.mark.parametrize("asked", ASKED, ids=name)
def test_where_nothing_happened_there_is_no_sample_and_no_nan(asked: Asked) -> None:
    """NaN is drawn as a hole, which looks like an outage."""
    assert _may_be_nan(asked.expression) == []


@pytest.mark.parametrize("asked", ASKED, ids=name)
def test_several_workers_make_one_figure_as_the_catalogue_says(asked: Asked) -> None:
    """Each worker has open requests of its own, and all of them tell of the same budget."""
    for node, parents in walk(asked.expression):
        if not isinstance(node, promql_parser.VectorSelector) or node.name not in CATALOGUE:
            continue
        metric = CATALOGUE[node.name]
        if metric.kind is Kind.GAUGE and (said := re.search(r"Of several workers: (\w+)", metric.help)):
            assert str(parents[-1].op) == said[1], asked.expression


@pytest.mark.parametrize("asked", ASKED, ids=name)
def test_no_sum_of_a_histogram_that_ray_exports_is_asked_for(asked: Asked) -> None:
    """Ray puts observations at the middle of their bucket: a thousand zeros up to 1 add up to 500."""
    assert not re.search(r"\bray_\w+_sum\b", asked.expression)


def test_thresholds_are_the_fleets_objectives() -> None:
    slo = Slo(availability=0.9, ttft_s=5.0, itl_s=0.05, attainment=0.95)
    overview, languages = dashboards.dashboards(slo)[:2]
    assert overview.panel("availability").thresholds[0].value == 0.9
    assert overview.panel("ttft").thresholds == languages.panel("ttft").thresholds
    assert overview.panel("ttft").thresholds[0].value == 5
    assert overview.panel("itl-in-time").thresholds[0].value == 0.95
    assert 'le="5.0"' in overview.panel("ttft-in-time").queries[0].expr.text
    assert overview.panel("burn-errors").queries[0].expr.text.endswith("/ 0.1")


def test_grafanas_own_types_read_what_was_rendered() -> None:
    for file, text in FILES.items():
        if not file.endswith(".json"):
            continue
        read = GrafanaDashboard.from_json(json.loads(text))
        assert read.uid == file.removesuffix(".json")
        assert read.schema_version == GrafanaDashboard().schema_version == SCHEMA_VERSION
        assert len(read.panels or []) > len(PANELS[file.removesuffix(".json").removeprefix("parlance-")])


def test_alerts_lead_to_panels_that_name_their_runbooks() -> None:
    leading = leading_here(load(DEFAULT_FLEET))
    assert leading
    rendered = dashboards.render(runbooks="https://example.org/runbooks/")
    for one, panels in leading.items():
        for slug, alerts in panels.items():
            linked = _panel(rendered, one, slug)["links"]
            assert [link["url"] for link in linked] == [f"https://example.org/runbooks/{name}.md" for name in alerts]
            assert all(f"/{name}.md" in _panel(FILES, one, slug)["description"] for name in alerts)


def _panel(rendered: dict[str, str], dashboard: str, slug: str) -> Any:
    panels = json.loads(rendered[f"{uid(dashboard)}.json"])["panels"]
    return next(panel for panel in panels if panel["id"] == panel_id(slug))


def test_exceptions_name_panels_that_exist() -> None:
    for passed in EXCEPTIONS.values():
        assert all(slug in PANELS[dashboard] for dashboard, slug in passed)


def test_variables_become_windows_and_everything() -> None:
    text = 'rate(a{job=~"$job"}[$__rate_interval]) / increase(b{model=~"$model"}[$__range] @ end())'
    assert resolved(text, "1m", "2h") == 'rate(a{job=~".+"}[1m]) / increase(b{model=~".+"}[2h] @ end())'


def test_a_variable_asks_for_values_of_a_label() -> None:
    one = Variable("instance", (metrics.BUILD,), "instance", "Instance", "x", ("job",))
    assert one.query == 'label_values(parlance_build_info{job=~"$job"}, instance)'
    several = Variable("job", (foreign.VLLM_RUNNING, metrics.BUILD), "job", "Job", "x")
    assert several.query == 'label_values({__name__=~"parlance_build_info|ray_vllm_num_requests_running"}, job)'


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (age(metrics.INPUT_TIME, "input"), "time() - min by (input) (parlance_input_timestamp_seconds{"),
        (left(metrics.KEY_EXPIRY, "tenant"), "min by (tenant) (parlance_key_expiry_timestamp_seconds{"),
        (percentile(0.9, metrics.TTFT), "histogram_quantile(0.9, sum by (le) (rate("),
        (busiest(3, metrics.REQUESTS, "model"), "sum by (model) (rate("),
        (seen(metrics.ERRORS, "code"), "sum by (code) (rate("),
    ],
)
def test_forms_of_asking(expression: Any, text: str) -> None:
    assert expression.text.startswith(text)
    promql_parser.parse(resolved(expression.text, "1m", "1h"))


def _query(legend: str = "x") -> Query:
    return Query(rate(metrics.REQUESTS).by("model"), legend)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: _query("{{language}}"), "names .'language'."),
        (lambda: Panel("x", "X", "x", ()), "asks something"),
        (lambda: Panel("x", "X", "x", (_query(),), width=25), "25 columns"),
        (lambda: Panel("x", "X", "x", (_query(),), Drawn.TABLE), "have a key"),
        (lambda: Panel("x", "X", "x", (_query(), Query(series(metrics.BUDGET), "b"))), "several units"),
        (lambda: ALL[0].panel("x"), "no panel 'x'"),
        (lambda: in_time(0.7, metrics.TTFT), "no bucket 0.7"),
    ],
)
def test_what_is_wrong_is_said(wrong: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        wrong()


def test_lines_wrap_at_the_right_edge() -> None:
    panels = tuple(Panel(f"p{n}", "X", "x", (_query(),), width=10, height=n) for n in (3, 5, 4))
    rows = (Row("one", panels), Row("two", panels[:1]))
    dashboard = Dashboard("ray", "x", "x", (), rows)
    first, second = dashboard.layout()
    assert [(one.x, one.y) for one in first[2]] == [(0, 1), (10, 1), (0, 6)]
    assert second[1] == 10


def test_only_lines_that_have_no_sample_where_nothing_happened_bridge_gaps() -> None:
    overview = ALL[0]
    assert overview.panel("ttft").sparse
    assert overview.panel("cost-per-1000-words").sparse
    assert not overview.panel("requests-by-model").sparse
    assert not overview.panel("errors").sparse
    spans = {slug: _panel(FILES, "overview", slug)["fieldConfig"]["defaults"]["custom"] for slug in ("ttft", "errors")}
    assert spans["ttft"]["spanNulls"] == 3_600_000
    assert not spans["errors"]["spanNulls"]


def test_legends_take_the_labels_of_a_series() -> None:
    query = Query(rate(metrics.REJECTIONS).by("model", "code"), "{{model}}: {{code}}")
    assert query.name({"model": "m", "code": "c"}) == "m: c"
