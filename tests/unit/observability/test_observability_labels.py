"""Every label of our own metrics says what bounds its values, and none is left over."""

from __future__ import annotations

import pytest

from observability.autoscaler_metrics import AUTOSCALER
from observability.labels import LABELS
from observability.metric import Kind, Unit
from observability.metrics import GATEWAY

pytestmark = pytest.mark.unit

OURS = (*GATEWAY, *AUTOSCALER)


def test_every_label_is_bounded_by_something_that_is_written_down() -> None:
    assert {label for metric in OURS for label in metric.labels} == set(LABELS)


def test_names_are_unique_and_say_their_unit() -> None:
    assert len({metric.name for metric in OURS}) == len(OURS)
    for metric in OURS:
        if metric.unit in (Unit.SECONDS, Unit.TIMESTAMP, Unit.USD):
            word = {Unit.SECONDS: "seconds", Unit.TIMESTAMP: "timestamp_seconds", Unit.USD: "usd"}[metric.unit]
            assert word in metric.name, metric.name
        assert metric.kind is not Kind.HISTOGRAM or metric.unit is Unit.SECONDS
        assert metric.help.endswith(".")
