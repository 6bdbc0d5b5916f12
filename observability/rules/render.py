"""Rules as text: files for Prometheus' `rule_files`, whose `groups` are also a PrometheusRule's `spec.groups`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from observability.dashboards.links import panel_path
from observability.metric import Exporter
from observability.rules import (
    alerts_autoscaler,
    alerts_engines,
    alerts_gateway,
    alerts_languages,
    burn,
    money,
    slis,
)
from observability.rules.rule import Alert, Recording
from serve.fleet.description import Fleet

# Where the runbooks are: their folder in this repository. Whoever publishes them says where (`--runbooks URL`).
RUNBOOKS = "observability/runbooks"

_HEADER = "# Made by `parlance metrics render`, do not edit.\n"

Group = tuple[str, Sequence[Recording | Alert]]


def recordings(fleet: Fleet) -> dict[str, tuple[Recording, ...]]:
    """Recording rules by group."""
    return {"parlance-slis": slis.recordings(fleet.slo), "parlance-costs": money.recordings()}


def alerts(fleet: Fleet) -> dict[str, tuple[Alert, ...]]:
    """Alerts by group. What the fleet does not have is not watched: engines, Ray and the autoscaler, where all its
    models are others' endpoints."""
    clusters = {model.cluster for model in fleet.models if model.engine is not None}
    jobs = (Exporter.GATEWAY, *((Exporter.AUTOSCALER, Exporter.RAY, Exporter.HAPROXY) if clusters else ()))
    groups = {
        "parlance-objectives": burn.alerts(fleet.slo),
        "parlance-models": alerts_engines.models(),
        "parlance-gateway": alerts_gateway.alerts(jobs),
        "parlance-money": money.alerts(),
        "parlance-languages": alerts_languages.alerts(),
    }
    if clusters:
        scaling = fleet.autoscaling
        groups["parlance-engines"] = alerts_engines.engines(len(clusters))
        groups["parlance-autoscaler"] = alerts_autoscaler.alerts(scaling.interval_s, scaling.stale_after_s)
    return groups


def render(fleet: Fleet, runbooks: str = RUNBOOKS) -> dict[str, str]:
    """File names and texts: the recording rules, and the alerts, whose `runbook_url` begins with `runbooks`."""
    return {
        "recordings.yaml": _file(
            {name: [_recording(rule) for rule in rules] for name, rules in recordings(fleet).items()}
        ),
        "alerts.yaml": _file(
            {name: [_alert(rule, runbooks) for rule in rules] for name, rules in alerts(fleet).items()}
        ),
    }


def _file(groups: dict[str, list[dict[str, Any]]]) -> str:
    content = {"groups": [{"name": name, "rules": rules} for name, rules in groups.items()]}
    return _HEADER + yaml.safe_dump(content, sort_keys=False, width=10_000, allow_unicode=True)


def _recording(rule: Recording) -> dict[str, Any]:
    return {"record": rule.name, "expr": rule.expr.text}


def _alert(rule: Alert, runbooks: str) -> dict[str, Any]:
    return {
        "alert": rule.name,
        "expr": rule.expr.text,
        "for": rule.hold,
        "labels": {"severity": rule.severity.value, **rule.labels},
        "annotations": {
            "summary": rule.summary,
            "description": rule.description,
            "runbook_url": f"{runbooks.rstrip('/')}/{rule.name}.md",
            "dashboard_path": panel_path(*rule.panel),
        },
    }
