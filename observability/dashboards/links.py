"""Where a panel is found: addresses that alerts and runbooks link to.

This module imports no dashboard, so that rules may link to panels and panels may read recorded rules. A test holds
`PANELS` against the dashboards.
"""

from __future__ import annotations

import zlib

# Panels in the order in which they stand, by dashboard. A slug is never given to something else: alerts that were sent
# link to it.
PANELS: dict[str, tuple[str, ...]] = {
    "overview": (
        "availability", "ttft-in-time", "itl-in-time", "request-rate", "cost-per-hour", "money-saved",
        "burn-errors", "burn-ttft", "burn-itl",
        "requests-by-model", "requests-by-language", "errors",
        "ttft", "itl", "tpot", "duration",
        "cost-by-model", "cost-against-reference", "cost-per-1000-words",
        "healthy-models", "tokens",
    ),
    "languages": (
        "table",
        "cost-per-1000-words", "money-saved", "saved-share",
        "requests", "share-by-model", "words",
        "ttft", "wrong-language", "quality-given-up",
        "tokens-per-word", "token-ratio", "replies-checked",
    ),
    "models": (
        "healthy", "in-flight", "engines", "workers",
        "running", "waiting", "kv-cache", "batch-tokens",
        "tokens", "prefix-hits", "preemptions", "finish-reasons",
        "queue-time", "prefill-time", "decode-time", "engine-ttft", "engine-itl", "lengths",
    ),
    "routing": (
        "reasons", "rejections", "stickiness", "language-source",
        "decision-time", "decision-heatmap", "expected-wait", "retries",
        "price", "answer-tokens", "observations", "input-age",
        "waking", "waking-ends", "waking-wait", "spilled", "shifts", "plan-flaws",
    ),
    "autoscaling": (
        "plan-against-actual", "replica-states", "bounds",
        "load-against-capacity", "forecast-against-arrival", "capacity", "shifted",
        "reasons", "changes", "cold-starts", "applies",
        "gpu-hours", "gpu-cost", "gpu-cost-per-hour",
        "blind", "holds", "input-age", "loop-time", "last-round", "leader",
    ),
    "gateway": (
        "workers", "connections", "open-requests", "statuses",
        "overhead", "overhead-heatmap", "queue", "duration",
        "errors", "aborts", "key-refusals", "log-lost",
        "certificate-expiry", "key-expiry", "versions",
    ),
    "tenants": (
        "budgets", "budget-used",
        "requests", "spend", "spend-per-hour",
        "budget-reserved", "refusals", "failed-share",
        "ledger-lag", "ledger-pending", "ledger-rows", "ledger-failures",
    ),
    "ray": (
        "up", "nodes", "targets",
        "node-cpu", "node-memory",
        "replicas-healthy", "replica-starts", "replica-target", "replica-requests", "application-status",
        "haproxy-servers", "haproxy-sessions", "haproxy-responses", "haproxy-connections", "haproxy-mismatch",
    ),
}  # fmt: skip


def uid(dashboard: str) -> str:
    """The dashboard's uid. Raises ValueError where there is no such dashboard."""
    if dashboard not in PANELS:
        raise ValueError(f"there is no dashboard {dashboard!r}: {', '.join(PANELS)}")
    return f"parlance-{dashboard}"


def panel_id(slug: str) -> int:
    """The panel's number in its dashboard. It comes from the slug alone, so that a panel that is added or moved leaves
    the links to all others whole; a test holds that no two of a dashboard meet."""
    return 1 + zlib.crc32(slug.encode()) % 99_999


def dashboard_path(dashboard: str) -> str:
    """The dashboard's path on a Grafana."""
    return f"/d/{uid(dashboard)}"


def panel_path(dashboard: str, panel: str) -> str:
    """The panel's path on a Grafana, shown alone. Raises ValueError where there is no such panel."""
    path = dashboard_path(dashboard)
    if panel not in PANELS[dashboard]:
        raise ValueError(f"the dashboard {dashboard!r} has no panel {panel!r}: {', '.join(PANELS[dashboard])}")
    return f"{path}?viewPanel=panel-{panel_id(panel)}"
