"""Prometheus' configuration: who is scraped under which job, how often, and which rules are evaluated.

The local stack and the tests use it. In Kubernetes PodMonitors say the same with the same job names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from observability.metric import Exporter

# Four scrapes make the shortest window of a rate that survives a missed one ($__rate_interval): at 5 s a request shows
# in the graphs of a laptop within seconds, and a minute of traffic is a curve. Production scrapes every 15 or 30 s.
LOCAL_INTERVAL_S = 5

# Exemplars (trace ids beside a histogram's buckets) are kept in a ring: about 100 bytes each.
MAX_EXEMPLARS = 10_000
FEATURES = ("exemplar-storage",)

# What is dropped of every job. When a series was created: OpenMetrics' own, one more for each counter and histogram,
# and nobody's query.
DROPPED = ".+_created"


def configuration(
    targets: Mapping[Exporter, Sequence[str]],
    interval_s: int = LOCAL_INTERVAL_S,
    rules: Iterable[Path] = (),
    more: Path | None = None,
) -> str:
    """The file's text. `targets` are host:port by who exports; each becomes the job of its name.

    `more` is a directory in which further targets of a job may be listed while Prometheus runs, in its own format, as
    `<job>*.json`. `rules` are files or patterns. Raises ValueError for no target at all.
    """
    if not targets:
        raise ValueError("there is nothing to scrape")
    config: dict[str, Any] = {
        "global": {
            "scrape_interval": f"{interval_s}s",
            "scrape_timeout": f"{interval_s}s",
            "evaluation_interval": f"{interval_s}s",
        },
        "storage": {"exemplars": {"max_exemplars": MAX_EXEMPLARS}},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [_job(exporter.value, list(addresses), more) for exporter, addresses in targets.items()],
    }
    return yaml.safe_dump(config, sort_keys=False)


def _job(name: str, addresses: list[str], more: Path | None) -> dict[str, Any]:
    job: dict[str, Any] = {
        "job_name": name,
        "static_configs": [{"targets": addresses}],
        "metric_relabel_configs": [{"source_labels": ["__name__"], "regex": DROPPED, "action": "drop"}],
    }
    if more is not None:
        job["file_sd_configs"] = [{"files": [str(more / f"{name}*.json")]}]
    return job
