"""Grafana's JSON of a dashboard, made with Grafana's own SDK; the same dashboard gives the same bytes.

Needs grafana-foundation-sdk, which only those have who render: nothing that runs imports this module.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard as grafana
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from observability.dashboards.draw import drawn, row
from observability.dashboards.links import dashboard_path
from observability.dashboards.panel import Dashboard, Panel, Variable

# The data source that is chosen at the dashboard's top.
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
# Rows are numbered above the panels, whose numbers come from their slugs.
FIRST_ROW = 100_000


def build(dashboard: Dashboard, alerts: Mapping[str, Sequence[str]], runbooks: str) -> str:
    """The JSON text. `alerts` are the names of those that link to a panel, by its slug; `runbooks` is the folder or the
    address of their pages."""
    builder = (
        grafana.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.description)
        .tags(list(dashboard.tags))
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time(dashboard.since, "now")
        .refresh(dashboard.refresh)
        .timezone("browser")
        .link(
            grafana.DashboardLink("Parlance")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(list(dashboard.tags))
            .icon("external link")
            .as_dropdown(True)
            .keep_time(True)
            .include_vars(True)
            .tooltip("The other dashboards of the fleet")
        )
        .with_variable(
            grafana.DatasourceVariable("datasource")
            .label("Data source")
            .description("The Prometheus that scrapes the fleet.")
            .type("prometheus")
        )
    )
    for variable in dashboard.variables:
        builder.with_variable(_variable(variable))
    if dashboard.name != "overview":
        overview = grafana.DashboardLink("Overview").type(models.DashboardLinkType.LINK).url(dashboard_path("overview"))
        builder.link(overview.icon("dashboard").keep_time(True))
    for number, (titled, y, placed) in enumerate(dashboard.layout(), start=1):
        builder.with_row(row(titled.title, FIRST_ROW + number, y))
        for one in placed:
            panel = drawn(one.panel, SOURCE).id(one.panel.id)
            panel.grid_pos(models.GridPos(x=one.x, y=one.y, w=one.panel.width, h=one.panel.height))
            _point_to_runbooks(panel, one.panel, alerts.get(one.panel.slug, ()), runbooks)
            builder.with_panel(panel)
    return json.dumps(builder.build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _variable(variable: Variable) -> grafana.QueryVariable:
    return (
        grafana.QueryVariable(variable.name)
        .label(variable.title)
        .description(variable.description)
        .query(variable.query)
        .datasource(SOURCE)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )


def _point_to_runbooks(builder: Any, panel: Panel, alerts: Sequence[str], runbooks: str) -> None:
    """Links to the runbooks of the alerts that lead here; where they are a folder and no address, their paths."""
    if not alerts:
        return
    pages = {alert: f"{runbooks.rstrip('/')}/{alert}.md" for alert in alerts}
    if "://" in runbooks:
        links = [grafana.DashboardLink(f"Runbook: {alert}").url(url).target_blank(True) for alert, url in pages.items()]
        builder.links([link.type(models.DashboardLinkType.LINK) for link in links])
        return
    named = ", ".join(f"`{path}`" for path in pages.values())
    builder.description(f"{panel.description}\n\nAlerts lead here; their runbooks: {named}.")
