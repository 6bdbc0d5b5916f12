"""A case: series over virtual time, and what an alert makes of them, as promtool's own test files say it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from observability.metric import Exporter, Metric
from observability.rules.rule import Alert

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d+)([smhd])")


@dataclass(frozen=True)
class Input:
    """A series and its samples in promtool's notation: `0+10x60 _x5 stale`, one an interval."""

    series: str
    values: str


@dataclass(frozen=True)
class Expected:
    """An alert that fires: its labels (severity and the rule's own included) and its summary, letter for letter."""

    labels: dict[str, str]
    summary: str


@dataclass(frozen=True)
class Case:
    """`why` says what the series stand for."""

    alert: str
    why: str
    inputs: tuple[Input, ...]
    interval: str = field(default="1m", kw_only=True)


@dataclass(frozen=True)
class Fires(Case):
    """The condition holds from `since` on, and the alert fires when it has held for the rule's `for`: not before.

    `fires` is what must be firing then under this name, all of it; the first is the one whose beginning is watched.
    """

    since: str
    fires: tuple[Expected, ...]


@dataclass(frozen=True)
class Quiet(Case):
    """At these moments the alert neither fires nor waits to; with `labels`, that of these labels."""

    at: tuple[str, ...]
    labels: dict[str, str] = field(default_factory=dict)


def given(metric: Metric, values: str, suffix: str = "", **labels: str) -> Input:
    """A series of a catalogued metric on worker a. Raises ValueError for labels that it does not have, or lacks."""
    assert not suffix or suffix in ("_bucket", "_count", "_sum")
    wanted = {*metric.labels, *(("le",) if suffix == "_bucket" else ())}
    own = metric.exporter in (Exporter.GATEWAY, Exporter.AUTOSCALER)
    have = set(labels) - {"job", "instance"}
    if have - wanted or (own and wanted - have):
        raise ValueError(f"{metric.name}{suffix} has {sorted(wanted)}, not {sorted(have)}")
    everything = {"job": metric.exporter.value, "instance": "a:1", **labels}
    inside = ", ".join(f'{name}="{value}"' for name, value in everything.items())
    return Input(f"{metric.name}{suffix}{{{inside}}}", values)


def seconds(duration: str) -> int:
    """`1h30m` in seconds. Raises ValueError for anything else."""
    if not re.fullmatch(f"({_DURATION.pattern})+", duration):
        raise ValueError(f"{duration!r} is no duration such as 1h30m")
    return sum(int(number) * _UNITS[unit] for number, unit in _DURATION.findall(duration))


def rule_of(alert: str, expected: dict[str, str], rules: Sequence[Alert]) -> Alert:
    """The rule that makes an alert with these labels. Raises ValueError when it is none, or several."""
    own = [
        r for r in rules if r.name == alert and {"severity": r.severity.value, **r.labels}.items() <= expected.items()
    ]
    if len(own) != 1:
        raise ValueError(f"{len(own)} rules make {alert} with {expected}")
    return own[0]


def promtool_test(case: Case, rules: Sequence[Alert], annotations: dict[int, dict[str, str]]) -> dict[str, Any]:
    """The case as an entry of `tests:` of promtool's file. `annotations` are the rendered ones by id of the rule."""
    test: dict[str, Any] = {
        "name": f"{case.alert}: {case.why}",
        "interval": case.interval,
        "input_series": [{"series": i.series, "values": i.values} for i in case.inputs],
        "alert_rule_test": [],
        "promql_expr_test": [],
    }
    if isinstance(case, Quiet):
        for at in case.at:
            if not case.labels:
                test["alert_rule_test"].append({"alertname": case.alert, "eval_time": at, "exp_alerts": []})
            test["promql_expr_test"].append(_alerts(case.alert, case.labels, at, 0))
        return test
    assert isinstance(case, Fires)
    watched = case.fires[0].labels
    since, step, hold = seconds(case.since), seconds(case.interval), seconds(rule_of(case.alert, watched, rules).hold)
    assert hold % step == 0
    if since:
        test["promql_expr_test"].append(_alerts(case.alert, watched, f"{since - step}s", 0))
    if hold:
        last = f"{since + hold - step}s"
        test["promql_expr_test"].append(_alerts(case.alert, watched, f"{since}s", 1, "pending"))
        test["promql_expr_test"].append(_alerts(case.alert, watched, last, 1, "pending"))
        test["promql_expr_test"].append(_alerts(case.alert, watched, last, 0, "firing"))
    test["alert_rule_test"].append(
        {
            "alertname": case.alert,
            "eval_time": f"{since + hold}s",
            "exp_alerts": [_fired(case.alert, e, rules, annotations) for e in case.fires],
        }
    )
    return test


def _fired(
    alert: str, expected: Expected, rules: Sequence[Alert], annotations: dict[int, dict[str, str]]
) -> dict[str, Any]:
    texts = annotations[id(rule_of(alert, expected.labels, rules))]
    description = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda m: expected.labels[m.group(1)], texts["description"])
    return {
        "exp_labels": expected.labels,
        "exp_annotations": {**texts, "summary": expected.summary, "description": description},
    }


def _alerts(alert: str, labels: dict[str, str], at: str, count: int, state: str = "") -> dict[str, Any]:
    matchers = {"alertname": alert, **labels, **({"alertstate": state} if state else {})}
    inside = ", ".join(f'{name}="{value}"' for name, value in matchers.items())
    samples = [{"labels": "{}", "value": count}] if count else []
    return {"expr": f"count(ALERTS{{{inside}}})", "eval_time": at, "exp_samples": samples}
