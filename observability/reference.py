"""The page of our own metrics for people, made from the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

from observability.autoscaler_metrics import AUTOSCALER
from observability.labels import LABELS
from observability.metric import Exporter, Metric
from observability.metrics import GATEWAY

_INTRO = """# Metrics

Everything that the gateway and the autoscaler export, made from the catalogue (`observability/metrics.py`,
`observability/autoscaler_metrics.py`) by `parlance metrics list --markdown`. What vLLM, Ray and HAProxy export, as far
as our queries use it, stands in `observability/foreign.py`. How the gateway measures, and how the figures of several
workers are put together, is told in [gateway.md](gateway.md)."""

_TITLES = {Exporter.GATEWAY: "The gateway", Exporter.AUTOSCALER: "The autoscaler"}
_PORTS = {
    Exporter.GATEWAY: "Scrape job `parlance-gateway`, on each worker's operator's port.",
    Exporter.AUTOSCALER: "Scrape job `parlance-autoscaler`.",
}


def markdown() -> str:
    """The whole page: a table for each exporter, what bounds each label, and the bounds of the histograms."""
    parts = [_INTRO]
    for exporter, listed in ((Exporter.GATEWAY, GATEWAY), (Exporter.AUTOSCALER, AUTOSCALER)):
        parts.append(f"## {_TITLES[exporter]}\n\n{_PORTS[exporter]}\n\n{_table(listed)}")
    rows = "\n".join(f"| `{label}` | {_cell(bound)} |" for label, bound in LABELS.items())
    parts.append(
        "## Labels\n\nNothing that a client sends makes a series.\n\n| label | its values |\n|---|---|\n" + rows
    )
    parts.append("## Buckets\n\n" + _buckets((*GATEWAY, *AUTOSCALER)))
    return "\n\n".join(parts) + "\n"


def _table(listed: Sequence[Metric]) -> str:
    rows = [
        f"| `{metric.name}` | {metric.kind.value} | {', '.join(f'`{label}`' for label in metric.labels)} "
        f"| {_cell(metric.help)} |"
        for metric in listed
    ]
    return "\n".join(["| metric | type | labels | what it says |", "|---|---|---|---|", *rows])


def _buckets(listed: Sequence[Metric]) -> str:
    by_bounds: dict[tuple[float, ...], list[str]] = {}
    for metric in listed:
        if metric.buckets:
            by_bounds.setdefault(metric.buckets, []).append(f"`{metric.name}`")
    rows = [
        f"| {', '.join(names)} | {', '.join(f'{bound:g}' for bound in bounds)} |" for bounds, names in by_bounds.items()
    ]
    return "\n".join(["| histogram | bounds in seconds |", "|---|---|", *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
