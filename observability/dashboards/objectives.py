"""The objectives as panels: what was attained in the range, and how fast the error budgets are spent."""

from __future__ import annotations

from observability import metrics
from observability.dashboards.asking import in_range, in_time
from observability.dashboards.panel import Colour, Kind, Panel, Query, Scale, Threshold
from observability.promql import Expr, like
from observability.rules import slis
from serve.fleet.slo import Slo

# Google's SRE workbook, chapter 5: at this rate the budget of 30 days is gone in two, and somebody is woken.
FAST_BURN, SLOW_BURN = 14.4, 6.0


def attained(slo: Slo) -> tuple[Panel, ...]:
    """Availability, first tokens and further tokens: the share that was as promised, over the dashboard's range."""
    promised = f"Promised: {100 * slo.attainment:g} %."
    return (
        _attained(
            "availability",
            "Availability",
            "Share of requests in the range that were answered: no 5xx, no broken stream; the client's own errors "
            f"(4xx) do not count. Promised: {100 * slo.availability:g} %. Below it: look at Errors for the code and at "
            "Healthy models for an engine that is down.",
            _answered(),
            slo.availability,
        ),
        _attained(
            "ttft-in-time",
            f"First token within {slo.ttft_s:g} s",
            f"Share of streamed answers in the range whose first byte came within {slo.ttft_s:g} s. {promised} Below "
            "it: Models says whether requests wait (queue) or prompts are long (prefill); Autoscaling, whether more "
            "replicas are on their way.",
            in_time(slo.ttft_s, metrics.TTFT),
            slo.attainment,
        ),
        _attained(
            "itl-in-time",
            f"Next token within {slo.itl_s * 1000:g} ms",
            f"Share of further tokens in the range that came within {slo.itl_s * 1000:g} ms. {promised} Below it "
            "batches are too large or long prompts hold decoding up: see Tokens a step on Models.",
            in_time(slo.itl_s, metrics.ITL),
            slo.attainment,
        ),
    )


def _burning(slug: str, title: str, what: str, indicator: slis.Indicator, objective: float) -> Panel:
    windows = ("5m", "1h", "6h")
    return Panel(
        slug,
        title,
        f"How many times faster than it may the budget of {what} is spent: 1 spends it in just 30 days. At "
        f"{FAST_BURN:g} over 1 h and 5 m somebody is called, at {SLOW_BURN:g} over 6 h a ticket is opened. Open the "
        "alert's runbook; the row Time below and the errors say which model it is. It asks Prometheus' recording "
        "rules.",
        tuple(Query(indicator.ratio(window).at_least(0) / round(1 - objective, 9), window) for window in windows),
        scale=Scale.NUMBER,
        thresholds=(Threshold(SLOW_BURN, Colour.WARN), Threshold(FAST_BURN, Colour.BAD)),
        empty="no traffic, or no recording rules",
    )


def burning(slo: Slo) -> tuple[Panel, ...]:
    """Burn rates of the three error budgets."""
    return (
        _burning("burn-errors", "Burn rate: availability", "failed requests", slis.ERRORS, slo.availability),
        _burning("burn-ttft", "Burn rate: first token", "late first tokens", slis.TTFT, slo.attainment),
        _burning("burn-itl", "Burn rate: next tokens", "late tokens", slis.ITL, slo.attainment),
    )


def _answered() -> Expr:
    """Of the requests in the range that count, the share that was answered: what observability.rules.slis says of a
    window, of the dashboard's range. Tenants' requests have their series from the start, so that no first failure is
    missed."""
    failed = in_range(metrics.TENANT_REQUESTS, outcome="failed")
    return 1 - failed.per(in_range(metrics.TENANT_REQUESTS, outcome=like("answered|failed")))


def _attained(slug: str, title: str, description: str, share: Expr, objective: float) -> Panel:
    return Panel(
        slug,
        title,
        description,
        (Query(share, title),),
        Kind.STAT,
        Scale.SHARE,
        width=4,
        height=5,
        base=Colour.BAD,
        thresholds=(Threshold(objective, Colour.GOOD),),
        least=None,
        empty="no traffic",
    )
