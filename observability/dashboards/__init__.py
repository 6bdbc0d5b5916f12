"""Grafana's dashboards as code: panels over the catalogue's metrics.

Importing this package imports no dashboard: rules link to panels (`links`), and panels read recorded rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from observability.dashboards.every import Asked
    from observability.dashboards.panel import Dashboard
    from serve.fleet.description import Fleet
    from serve.fleet.slo import Slo


def dashboards(slo: Slo | None = None) -> tuple[Dashboard, ...]:
    """All dashboards for these objectives, the defaults if none are given."""
    from observability.dashboards import every

    return every.dashboards(slo)


def queries(slo: Slo | None = None, window: str = "1m", since: str = "1h") -> tuple[Asked, ...]:
    """Every query of every panel as a Prometheus without Grafana takes it: rates over `window`, sums over `since`, and
    everything chosen."""
    from observability.dashboards import every

    return every.queries(slo, window, since)


def render(fleet: Fleet | None = None, runbooks: str | None = None) -> dict[str, str]:
    """File names and texts: Grafana's JSON of every dashboard for a fleet's objectives, and the exceptions from
    grafana's dashboard-linter with their reasons. `runbooks` is where the alerts' pages are published. Raises
    LocalError without grafana-foundation-sdk."""
    from observability.dashboards import rendering

    return rendering.render(fleet, runbooks)
