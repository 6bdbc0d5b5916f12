"""Queries are built from catalogue entries: what they say parses, and what does not exist cannot be asked for."""

from __future__ import annotations

import promql_parser
import pytest

from observability.metric import Exporter, Kind, Metric
from observability.promql import (
    Matches,
    absent,
    aggregate,
    increase,
    like,
    mean,
    now,
    quantile,
    quantile_of,
    rate,
    recorded,
    series,
    share_within,
    slope,
    timestamp,
    unlike,
)

pytestmark = pytest.mark.unit

REQUESTS = Metric("a_requests_total", Kind.COUNTER, "x", ("model", "status"))
WAIT = Metric("a_wait_seconds", Kind.HISTOGRAM, "x", ("model",), (0.5, 1.0, 2.0))
UP = Metric("a_up", Kind.GAUGE, "x", ("model",))
FOREIGN = Metric("ray_b", Kind.GAUGE, "x", ("model_name",), exporter=Exporter.RAY)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (rate(REQUESTS, "5m"), 'rate(a_requests_total{job="parlance-gateway"}[5m])'),
        (
            rate(REQUESTS, "5m", status=like("5..")).by("model") / rate(REQUESTS, "5m").by("model"),
            'sum by (model) (rate(a_requests_total{job="parlance-gateway", status=~"5.."}[5m])) / '
            'sum by (model) (rate(a_requests_total{job="parlance-gateway"}[5m]))',
        ),
        (
            quantile(0.99, WAIT, "model", window="1h"),
            'histogram_quantile(0.99, sum by (model, le) (rate(a_wait_seconds_bucket{job="parlance-gateway"}[1h])))',
        ),
        (series(FOREIGN, model_name=unlike("x")), 'ray_b{model_name!~"x"}'),
        (1 - rate(REQUESTS, "5m").by(), '1 - sum (rate(a_requests_total{job="parlance-gateway"}[5m]))'),
        (
            (series(UP).by("model") + 1) * 2,
            '(sum by (model) (a_up{job="parlance-gateway"}) + 1) * 2',
        ),
        (absent(UP, model="m"), 'absent(a_up{job="parlance-gateway", model="m"})'),
        (
            increase(REQUESTS, "1d").by().or_zero(),
            'sum (increase(a_requests_total{job="parlance-gateway"}[1d])) or vector(0)',
        ),
        (recorded("a:b:rate5m", frozenset(("model",)), frozenset(), model="x"), 'a:b:rate5m{model="x"}'),
        (
            rate(REQUESTS, "5m").by().per(rate(WAIT, "5m", "_count").by()),
            'sum (rate(a_requests_total{job="parlance-gateway"}[5m])) / '
            '(sum (rate(a_wait_seconds_count{job="parlance-gateway"}[5m])) > 0)',
        ),
        (now() - aggregate("min", series(UP), "model"), 'time() - min by (model) (a_up{job="parlance-gateway"})'),
        (
            quantile(0.5, WAIT, window="1h").at_least(0),
            'histogram_quantile(0.5, sum by (le) (rate(a_wait_seconds_bucket{job="parlance-gateway"}[1h]))) >= 0',
        ),
        (
            increase(REQUESTS, "1h", at_end=True).by("model").rounded(),
            'round(sum by (model) (increase(a_requests_total{job="parlance-gateway"}[1h] @ end())))',
        ),
        (series(UP, model='quo"te\\'), 'a_up{job="parlance-gateway", model="quo\\"te\\\\"}'),
    ],
)  # fmt: skip
def test_the_text_is_what_a_person_would_write(expression: object, text: str) -> None:
    assert str(expression) == text
    promql_parser.parse(text)


@pytest.mark.parametrize(
    "expression",
    [
        mean(WAIT, "model", window="5m"),
        share_within(1.0, WAIT, "model", window="5m"),
        series(UP).over("10m", "max").above(0),
        series(UP).top(3).unless(series(UP).below(1)),
        aggregate("max", series(UP), "model").and_(series(UP).by("model").equals(1)),
    ],
)
def test_every_operation_parses(expression: object) -> None:
    promql_parser.parse(str(expression))


def test_the_labels_of_the_result_are_known() -> None:
    assert rate(REQUESTS, "5m").by("model").labels == {"model"}
    assert quantile(0.5, WAIT, "model", window="5m").labels == {"model"}
    assert (series(UP).by("model") / series(UP).by("model")).metrics == {UP}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: rate(REQUESTS, "5m", modle="x"), "no label modle"),
        (lambda: rate(REQUESTS, "5m").by("language"), "sum by language"),
        (lambda: rate(UP, "5m"), "takes a counter"),
        (lambda: rate(WAIT, "5m"), "takes a counter"),
        (lambda: series(UP, "_bucket"), "only histograms"),
        (lambda: share_within(0.7, WAIT, window="5m"), "no bucket 0.7"),
        (lambda: series(UP).by("model") / series(UP).by(), "only equal labels"),
        (lambda: Matches("=", "x"), "no matcher"),
        (lambda: quantile_of(0.5, series(UP)), "no label le"),
        (lambda: recorded("a", frozenset(), frozenset(), model="x"), "no label model"),
    ],
)
def test_what_does_not_exist_cannot_be_asked_for(wrong: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        wrong()  # type: ignore[operator]


def test_when_a_series_was_sampled_and_how_it_changes() -> None:
    gauge = UP
    assert str(timestamp(gauge).by("model")) == ('sum by (model) (timestamp(a_up{job="parlance-gateway"}))')
    assert str(slope(gauge, "60s")) == 'deriv(a_up{job="parlance-gateway"}[60s])'
    with pytest.raises(ValueError, match="takes a gauge"):
        slope(REQUESTS, "60s")
