"""Foreign metrics exist: name, type and labels as the pinned versions of Ray, vLLM and HAProxy exported them."""

from __future__ import annotations

import pytest

from observability import foreign, metrics, recording
from observability.metric import Exporter, Metric
from observability.recording import COLUMNS, Recorded, parse_exposition, render

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("metric", foreign.ALL, ids=lambda metric: metric.name)
def test_a_foreign_metric_was_recorded_with_its_labels(metric: Metric) -> None:
    recorded = recording.load(metric.exporter)[metric.name]
    assert recorded.kind == metric.kind
    assert set(metric.labels) <= recorded.labels


def test_names_are_unique() -> None:
    names = [metric.name for metric in (*metrics.GATEWAY, *foreign.ALL)]
    assert len(names) == len(set(names))


def test_an_exposition_becomes_names_types_and_labels() -> None:
    text = """
# TYPE a_total counter
a_total{x="1",y="2"} 3
a_total{x="1"} 3
# TYPE b gauge
b 1
# TYPE c histogram
c_bucket{le="1"} 1
c_bucket{le="+Inf"} 1
c_sum 1
c_count 1
# TYPE empty counter
"""
    assert parse_exposition([text]) == [
        Recorded("a_total", "counter", frozenset("xy")),
        Recorded("b", "gauge", frozenset()),
        Recorded("c", "histogram", frozenset()),
    ]


def test_a_recording_names_the_versions_and_is_read_back(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    text = render(Exporter.HAPROXY, {"b": "2", "a": "1"}, [Recorded("x_total", "counter", frozenset(("m", "l")))])
    assert text.splitlines()[1:] == ["# a 1, b 2", COLUMNS, "x_total\tcounter\tl,m"]
    (tmp_path / "haproxy.tsv").write_text(text)  # type: ignore[operator]
    monkeypatch.setattr(recording, "HERE", tmp_path)
    recording.load.cache_clear()
    try:
        assert recording.load(Exporter.HAPROXY) == {"x_total": Recorded("x_total", "counter", frozenset(("l", "m")))}
    finally:
        recording.load.cache_clear()
