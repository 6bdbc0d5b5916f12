"""What the chart takes from `observability`: copies of rules and dashboards, and who is scraped under which job.

A chart cannot read files outside itself, and templates know no catalogue of metrics.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import observability
from observability import scrape
from observability.metric import Exporter
from observability.rules import DEFAULT_FLEET, RUNBOOKS
from observability.rules.alerts_autoscaler import LATE_ROUNDS, LATE_S
from serve.fleet import load

RENDERED: Final = Path(observability.__file__).parent / "rendered"


def copies() -> dict[str, str]:
    """Texts of the rendered rules and dashboards, by path below the chart's files/."""
    files = [*sorted(RENDERED.glob("rules/*.yaml")), *sorted(RENDERED.glob("dashboards/*.json"))]
    return {str(file.relative_to(RENDERED)): file.read_text(encoding="utf-8") for file in files}


def watched() -> dict[str, Any]:
    """Scrape jobs, and what the copied rules hold for: other objectives need rules of their own."""
    fleet = load(DEFAULT_FLEET)
    return {
        "jobs": {
            "gateway": Exporter.GATEWAY.value,
            "autoscaler": Exporter.AUTOSCALER.value,
            "ray": Exporter.RAY.value,
            "haproxy": Exporter.HAPROXY.value,
        },
        "dropped": scrape.DROPPED,
        "maxExemplars": scrape.MAX_EXEMPLARS,
        "features": list(scrape.FEATURES),
        "runbooks": RUNBOOKS,
        "rules": {
            "slo": fleet.slo.model_dump(mode="json"),
            # Up to these the alerts on the autoscaler's pace have the same bounds.
            "autoscaling": {"interval_s": LATE_S / LATE_ROUNDS, "stale_after_s": LATE_S / 2},
            "clusters": len({model.cluster for model in fleet.models if model.engine is not None}),
        },
    }
