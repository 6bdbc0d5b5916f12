"""All dashboards, and all that they ask."""

from __future__ import annotations

import re
from typing import NamedTuple

from observability.dashboards import autoscaling, gateway, languages, models, overview, ray, routing, tenants
from observability.dashboards.panel import Dashboard
from serve.fleet.slo import Slo

_MODULES = (overview, languages, models, routing, autoscaling, gateway, tenants, ray)
_VARIABLE = re.compile(r"\$(\w+)")


class Asked(NamedTuple):
    """One query of one panel, for a Prometheus without Grafana."""

    dashboard: str
    panel: str
    expression: str


def dashboards(slo: Slo | None = None) -> tuple[Dashboard, ...]:
    """All of them, in the order in which they are read."""
    return tuple(module.dashboard(slo or Slo()) for module in _MODULES)


def resolved(text: str, window: str, since: str) -> str:
    """A query with Grafana's variables filled in: rates over `window`, sums over `since`, and everything chosen."""
    windows = {"__rate_interval": window, "__range": since}
    return _VARIABLE.sub(lambda found: windows.get(found[1], ".+"), text)


def queries(slo: Slo | None, window: str, since: str) -> tuple[Asked, ...]:
    """Every query of every panel; `window` and `since` are Prometheus' durations."""
    return tuple(
        Asked(one.name, panel.slug, resolved(query.expr.text, window, since))
        for one in dashboards(slo)
        for panel in one.panels
        for query in panel.queries
    )
