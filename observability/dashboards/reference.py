"""The page of the dashboards for people: each panel, what it shows and what to do with it."""

from __future__ import annotations

from observability.dashboards.every import dashboards
from observability.dashboards.links import panel_id
from observability.dashboards.panel import Dashboard, Panel
from observability.dashboards.rendering import leading_here
from observability.rules import DEFAULT_FLEET
from serve.fleet import load

_INTRO = """# Dashboards

Eight dashboards for Grafana, made from the objects that export the metrics ({panels} panels, {queries} queries). This
page is made by `parlance dashboards reference`, the dashboards by `parlance metrics render`, both for the default
objectives.

**Getting them into Grafana**: import the files of `observability/rendered/dashboards`, or put them into a folder that
is provisioned. The data source is chosen at the top of each. `parlance metrics render --fleet FILE --out DIR` makes
them for a fleet of other objectives, and `--runbooks URL` turns the runbooks' paths into links. The burn rates need
the recording rules of `observability/rendered/rules`. They were checked against the types of Grafana's SDK (schema
version {schema}) and the rules of grafana's dashboard-linter, not imported into a running Grafana.

**Without a Grafana**: `parlance dashboards picture overview --prometheus http://127.0.0.1:9090 --out overview.png`
draws the same panels from the same queries.

**How to read them.** Figures of several workers are put together as [metrics.md](metrics.md) says. Where nothing
happened there is nothing to divide by: such a panel has no sample then, draws its line on over gaps of up to an hour,
and says in words what has not happened ("no traffic"). "no data" stands only where there always is some: look at
*Targets that answer scrapes* on Ray and nodes. Alerts link to the panel that shows them; a panel's description names
their runbooks."""

SCHEMA_VERSION = 36  # what Grafana's SDK writes; a test holds it


def markdown() -> str:
    """The whole page."""
    made, leading = dashboards(), leading_here(load(DEFAULT_FLEET))
    panels = [panel for one in made for panel in one.panels]
    intro = _INTRO.format(
        panels=len(panels), queries=sum(len(panel.queries) for panel in panels), schema=SCHEMA_VERSION
    )
    parts = [intro]
    parts += [_dashboard(one, leading.get(one.name, {})) for one in made]
    return "\n\n".join(parts) + "\n"


def _dashboard(dashboard: Dashboard, leading: dict[str, list[str]]) -> str:
    chosen = ", ".join(variable.title.lower() for variable in dashboard.variables)
    head = f"## {dashboard.title.removeprefix('Parlance / ')}\n\n{dashboard.description} `/d/{dashboard.uid}`; " + (
        f"chosen at the top: {chosen}."
    )
    rows = [
        f"| {_cell(row.title if number == 0 else '')} | **{_cell(panel.title)}** | {_cell(_words(panel, leading))} |"
        for row in dashboard.rows
        for number, panel in enumerate(row.panels)
    ]
    return "\n".join([head, "", "| | panel | what it says, and what to do |", "|---|---|---|", *rows])


def _words(panel: Panel, leading: dict[str, list[str]]) -> str:
    alerts = leading.get(panel.slug, [])
    links = ", ".join(f"[{alert}](../observability/runbooks/{alert}.md)" for alert in alerts)
    return panel.description + (f" Alerts: {links}." if links else "") + f" (`panel-{panel_id(panel.slug)}`)"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
