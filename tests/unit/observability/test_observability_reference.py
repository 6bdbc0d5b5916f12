"""The page of metrics is what the catalogue says, and every gauge says how several workers' make one figure."""

from __future__ import annotations

from pathlib import Path

import pytest

from observability.labels import LABELS
from observability.metric import Kind
from observability.metrics import GATEWAY
from observability.reference import markdown

pytestmark = pytest.mark.unit

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == markdown(), "run make docs"


def test_the_page_has_every_metric_with_its_labels() -> None:
    page = markdown()
    for metric in GATEWAY:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{metric.name}` | {metric.kind} |")]
        assert all(f"`{label}`" in row for label in metric.labels)
        assert metric.help in row
    for label in LABELS:
        assert f"\n| `{label}` | " in page


@pytest.mark.parametrize("metric", [m for m in GATEWAY if m.kind is Kind.GAUGE], ids=lambda metric: metric.name)
def test_a_gauge_says_how_the_figures_of_several_workers_are_put_together(metric) -> None:  # type: ignore[no-untyped-def]
    _, _, across = metric.help.rpartition(" Of several workers: ")
    assert across.split(" ")[0].rstrip(".") in ("sum", "max", "min", "avg", "count")
