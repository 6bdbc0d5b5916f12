"""The page of all alerts, for people: what each watches, when it fires, who hears of it, where help stands."""

from __future__ import annotations

from observability.rules.render import alerts
from observability.rules.rule import Alert
from serve.fleet.description import Fleet

_HEAD = """# Alerts

<!-- Made by `parlance metrics render`, do not edit. -->

The rules are written as code in `observability/rules` and rendered into `observability/rendered/rules`: files for
Prometheus' `rule_files`, whose `groups` can stand in a PrometheusRule as they are. The bounds below are those of the
default objectives; `parlance metrics render --fleet FILE --out DIR` writes those of a fleet's own (`slo`), without
alerts on what the fleet does not have.

`page` is for a person at once, `ticket` for one in working hours, `info` for nobody: it explains others. Every alert
carries `runbook_url` (its page below; `--runbooks URL` says where they are published) and `dashboard_path` (the panel
that shows it, a path on your Grafana). None fires for a counter that starts anew, and shares need a minimum of events,
so that one failure at night is no page.

Objectives are watched by how fast they burn their budget of a month, in two windows each, after Google's SRE Workbook,
chapter 5: what burns fast pages within minutes, what creeps is a ticket within days, and both end soon after the cause
does. Requests that fail by the client's fault (4xx, 499) are neither good nor bad.
"""

_TITLES = {
    "parlance-objectives": "Objectives",
    "parlance-models": "Models",
    "parlance-engines": "Engines and Ray",
    "parlance-autoscaler": "Autoscaler",
    "parlance-languages": "Languages",
    "parlance-money": "Money",
    "parlance-gateway": "Gateway, scrapes, expiry",
}


def table(fleet: Fleet) -> str:
    """The page as Markdown."""
    groups = alerts(fleet)
    parts = [_HEAD]
    for group, title in _TITLES.items():
        if group in groups:
            rows = "\n".join(_row(alert) for alert in groups[group])
            parts.append(f"## {title}\n\n| alert | severity | when | for |\n|---|---|---|---|\n{rows}\n")
    return "\n".join(parts)


def _row(alert: Alert) -> str:
    link = f"[{alert.name}](../observability/runbooks/{alert.name}.md)"
    return f"| {link} | {alert.severity} | {alert.when} | {alert.hold} |"
