"""The files that are committed: a dashboard's JSON each, and what grafana's dashboard-linter is told to pass over."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import yaml

from observability.dashboards.every import dashboards
from observability.dashboards.panel import Dashboard
from observability.rules import DEFAULT_FLEET, RUNBOOKS
from observability.rules.render import alerts
from serve.errors import LocalError
from serve.fleet import Fleet, load

LINT_FILE = ".lint"
_RECORDED = "A recording rule has summed over jobs and instances; its own expression chooses the job."
_BORN_AT_ONE = "Each replica has a series of its own that begins at 1: no increase ever shows in it."
# Rules of the dashboard-linter that a panel does not keep, and why.
EXCEPTIONS: dict[str, dict[tuple[str, str], str]] = {
    "target-job-rule": {("overview", slug): _RECORDED for slug in ("burn-errors", "burn-ttft", "burn-itl")},
    "target-instance-rule": {("overview", slug): _RECORDED for slug in ("burn-errors", "burn-ttft", "burn-itl")},
    "target-counter-agg-rule": {
        ("ray", "node-memory"): "ray_node_mem_total is a gauge: what a node has.",
        ("ray", "replica-starts"): _BORN_AT_ONE,
    },
}


def render(fleet: Fleet | None = None, runbooks: str | None = None) -> dict[str, str]:
    """File names and texts. Raises LocalError without grafana-foundation-sdk."""
    try:
        from observability.dashboards.build import build
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("grafana_foundation_sdk"):
            raise
        raise LocalError(
            "dashboards are made with grafana-foundation-sdk, which is not installed: `make setup` installs it"
        ) from error
    fleet = fleet or load(DEFAULT_FLEET)
    pages = runbooks or RUNBOOKS
    leading = leading_here(fleet)
    made = dashboards(fleet.slo)
    files = {f"{one.uid}.json": build(one, leading.get(one.name, {}), pages) for one in made}
    return files | {LINT_FILE: _lint(made)}


def leading_here(fleet: Fleet) -> dict[str, dict[str, list[str]]]:
    """Names of the alerts that link to a panel, by dashboard and panel."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for group in alerts(fleet).values():
        for alert in group:
            dashboard, panel = alert.panel
            if alert.name not in found[dashboard][panel]:
                found[dashboard][panel].append(alert.name)
    return found


def _lint(made: tuple[Dashboard, ...]) -> str:
    by_name = {one.name: one for one in made}
    exclusions: dict[str, Any] = {}
    for rule, passed in EXCEPTIONS.items():
        entries = [
            {"dashboard": by_name[name].title, "panel": by_name[name].panel(slug).title} for name, slug in passed
        ]
        exclusions[rule] = {"reason": " ".join(dict.fromkeys(passed.values())), "entries": entries}
    header = "# Made by `parlance metrics render`, do not edit. grafana's dashboard-linter reads it.\n"
    return header + yaml.safe_dump({"exclusions": exclusions}, sort_keys=True, width=200)
