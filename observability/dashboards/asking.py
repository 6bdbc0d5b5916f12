"""The forms in which panels ask: sums over workers, shares that are silent where nothing happened, quantiles.

Each query is held to the job and the instances that are chosen at the dashboard's top. Several workers of a gateway
export the same metrics: counters and gauges of amounts are summed, gauges of states take the largest (or, where all
workers learn on their own, the mean).

Where nothing happened there is nothing to divide by. Prometheus would give NaN, which looks like an outage; here a
denominator of 0 leaves no sample at all (`per`), a quantile of no observations neither (`at_least(0)` drops NaN), lines
are drawn on over such gaps (`Panel.sparse`), and a panel without any sample says in words what has not happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from observability.dashboards.panel import Query
from observability.metric import Metric
from observability.promql import (
    PANEL,
    Expr,
    Matches,
    aggregate,
    increase,
    like,
    now,
    quantile,
    quantile_of,
    rate,
    series,
)

# Matchers of what is chosen at the dashboard's top.
CHOSEN: dict[str, Any] = {"job": like("$job"), "instance": like("$instance")}
MODEL: dict[str, Any] = {"model": like("$model")}
LANGUAGE: dict[str, Any] = {"language": like("$language")}
TENANT: dict[str, Any] = {"tenant": like("$tenant")}
ENGINE: dict[str, Any] = {"model_name": like("$model")}

# The dashboard's whole time range, for figures that sum it up.
RANGE = "$__range"
HOUR_S = 3600
QUANTILES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))


def _chosen(matchers: Mapping[str, str | Matches]) -> dict[str, Any]:
    return {**CHOSEN, **matchers}


def each_second(metric: Metric, *by: str, suffix: str = "", **matchers: str | Matches) -> Expr:
    """Increase a second of a counter (or of a histogram's `_count` or `_sum`), summed by labels over workers."""
    return rate(metric, PANEL, suffix, **_chosen(matchers)).by(*by)


def in_range(metric: Metric, *by: str, suffix: str = "", **matchers: str | Matches) -> Expr:
    """Increase of a counter over the dashboard's range, summed by labels over workers."""
    return increase(metric, RANGE, suffix, **_chosen(matchers)).by(*by)


def seen(metric: Metric, *by: str, **matchers: str | Matches) -> Expr:
    """`each_second`, without the series that did not move in the dashboard's range."""
    return only_seen(each_second(metric, *by, **_chosen(matchers)), metric, *by, **matchers)


def busiest(count: int, metric: Metric, *by: str, **matchers: str | Matches) -> Expr:
    """`each_second` of the series that moved most in the dashboard's range: the same ones at every step."""
    most = increase(metric, RANGE, at_end=True, **_chosen(matchers)).by(*by).top(count)
    return each_second(metric, *by, **_chosen(matchers)).and_(most)


def counted(metric: Metric, *by: str, **matchers: str | Matches) -> Expr:
    """How often something happened in the dashboard's range, in whole numbers, summed by labels over workers."""
    return in_range(metric, *by, **_chosen(matchers)).rounded()


def only_seen(expr: Expr, metric: Metric, *by: str, **matchers: str | Matches) -> Expr:
    """An expression by labels, without the series for which a counter did not move in the dashboard's range."""
    return expr.and_(increase(metric, RANGE, at_end=True, **_chosen(matchers)).by(*by).above(0))


def amount(metric: Metric, *by: str, **matchers: str | Matches) -> Expr:
    """A gauge of which every worker has its own part: the sum."""
    return aggregate("sum", series(metric, **_chosen(matchers)), *by)


def largest(metric: Metric, *by: str, **matchers: str | Matches) -> Expr:
    """A gauge that every worker tells of the same thing: the largest."""
    return aggregate("max", series(metric, **_chosen(matchers)), *by)


def count(metric: Metric, *by: str, **matchers: str | Matches) -> Expr:
    """How many series a gauge has, by labels."""
    return aggregate("count", series(metric, **_chosen(matchers)), *by)


def average(metric: Metric, *by: str, **matchers: str | Matches) -> Expr:
    """A gauge that every worker learns on its own: the mean."""
    return aggregate("avg", series(metric, **_chosen(matchers)), *by)


def age(metric: Metric, *by: str, **matchers: str | Matches) -> Expr:
    """Seconds since a timestamp; of several workers' the oldest."""
    return now() - aggregate("min", series(metric, **_chosen(matchers)), *by)


def left(metric: Metric, *by: str, **matchers: str | Matches) -> Expr:
    """Seconds until a timestamp; of several workers' the next."""
    return aggregate("min", series(metric, **_chosen(matchers)), *by) - now()


def percentile(q: float, metric: Metric, *by: str, **matchers: str | Matches) -> Expr:
    """A quantile of a histogram by labels; no sample where there were no observations."""
    return quantile(q, metric, *by, **_chosen(matchers)).at_least(0)


def percentile_in_range(q: float, metric: Metric, *by: str, **matchers: str | Matches) -> Expr:
    """A quantile of what a histogram observed in the dashboard's range, by labels."""
    return quantile_of(q, in_range(metric, *by, "le", suffix="_bucket", **matchers)).at_least(0)


def percentiles(metric: Metric, **matchers: str | Matches) -> tuple[Query, ...]:
    """Median, 95th and 99th percentile over everything that is chosen."""
    return tuple(Query(percentile(q, metric, **_chosen(matchers)), name, exemplars=True) for q, name in QUANTILES)


def in_time(bound_s: float, metric: Metric, *by: str) -> Expr:
    """Share of a histogram's observations in the dashboard's range that were within the bound. Raises ValueError where
    that is no bucket: between two of them nobody knows."""
    if bound_s not in metric.buckets:
        raise ValueError(f"{metric.name} has no bucket {bound_s}: one of {metric.buckets}")
    within = in_range(metric, *by, suffix="_bucket", le=repr(float(bound_s)))
    return within.per(in_range(metric, *by, suffix="_count"))


def buckets(metric: Metric, **matchers: str | Matches) -> Expr:
    """Observations a second by bucket, for a heat map."""
    return rate(metric, PANEL, "_bucket", **_chosen(matchers)).by("le")
