"""What rules need of the query builder: the past, ranges of recorded series, joins, numbers."""

from __future__ import annotations

import promql_parser
import pytest

from observability.metric import Kind, Metric
from observability.promql import absent, recorded, series

pytestmark = pytest.mark.unit

UP = Metric("a_up", Kind.GAUGE, "x", ("model",))
LEADER = Metric("a_leader", Kind.GAUGE, "x")
KEPT = recorded("a:b:rate1h", frozenset(("model",)), frozenset((UP,)))
OWN = '{job="parlance-gateway"}'


@pytest.mark.parametrize(
    ("expression", "text", "labels"),
    [
        (KEPT.over("6h", "avg"), "avg_over_time(a:b:rate1h[6h])", {"model"}),
        (KEPT.by("model").over("6h", "avg"), "avg_over_time(sum by (model) (a:b:rate1h)[6h:])", {"model"}),
        (KEPT.over_until("7d", "6h", "avg"), "avg_over_time(a:b:rate1h[7d] offset 6h)", {"model"}),
        (series(UP).ago("1d").by("model"), f"sum by (model) (a_up{OWN} offset 1d)", {"model"}),
        (
            series(UP).where(series(LEADER).equals(1), "instance").by("model"),
            f"sum by (model) (a_up{OWN} and on (instance) (a_leader{OWN} == 1))",
            {"model"},
        ),
        (
            KEPT.renamed("model", "application", "(.+)-v1"),
            'label_replace(a:b:rate1h, "application", "$1", "model", "(.+)-v1")',
            {"model", "application"},
        ),
        (KEPT.above(series(UP).by().scalar() * 2), f"a:b:rate1h > (scalar(sum (a_up{OWN})) * 2)", {"model"}),
        ((KEPT - 1).absolute(), "abs(a:b:rate1h - 1)", {"model"}),
        (KEPT.or_(KEPT * 0).differs(1), "(a:b:rate1h or (a:b:rate1h * 0)) != 1", {"model"}),
        (absent(UP, model="m"), 'absent(a_up{job="parlance-gateway", model="m"})', {"job", "model"}),
    ],
)
def test_the_text_parses_and_the_labels_are_known(expression: object, text: str, labels: set[str]) -> None:
    assert str(expression) == text
    assert expression.labels == labels  # type: ignore[attr-defined]
    promql_parser.parse(text)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: KEPT.by("model").ago("1d"), "is no selector"),
        (lambda: KEPT.by("model").over_until("1d", "1d", "avg"), "is no selector"),
        (lambda: series(UP).scalar(), "has labels"),
        (lambda: KEPT.where(series(LEADER), "model"), "on model"),
        (lambda: KEPT.renamed("language", "tag"), "no label language"),
    ],
)
def test_what_prometheus_would_refuse_or_misread_cannot_be_written(wrong: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        wrong()  # type: ignore[operator]
