"""Every generated file of the chart, and the reference of docs/values.md, by its path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from serve.chart.checks import checks
from serve.chart.defaults import values_yaml
from serve.chart.facts import facts
from serve.chart.reference import with_reference
from serve.chart.schema import schema
from serve.chart.watched import copies, watched

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "deploy" / "helm" / "parlance"
PAGE: Final = ROOT / "docs" / "values.md"


def rendered(chart: Path = CHART, page: Path = PAGE) -> dict[Path, str]:
    """Every generated file of a chart by its path, and the page with its reference.

    Raises ValueError when the page has no marks for it.
    """
    return {
        chart / "values.schema.json": json.dumps(schema(), indent=1, ensure_ascii=False) + "\n",
        chart / "values.yaml": "".join(f"{line}\n" for line in values_yaml()),
        chart / "files" / "facts.json": json.dumps(facts(), indent=1, ensure_ascii=False) + "\n",
        chart / "files" / "checks.json": json.dumps(checks(), indent=1, ensure_ascii=False) + "\n",
        chart / "files" / "watched.json": json.dumps(watched(), indent=1, ensure_ascii=False) + "\n",
        **{chart / "files" / name: text for name, text in copies().items()},
        page: with_reference(page.read_text(encoding="utf-8")),
    }
