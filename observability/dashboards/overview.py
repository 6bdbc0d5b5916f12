"""The overview: whether the promises are kept, what is asked, how fast the answers come and what they cost."""

from __future__ import annotations

from observability import autoscaler_metrics, metrics
from observability.dashboards.asking import (
    HOUR_S,
    LANGUAGE,
    MODEL,
    busiest,
    each_second,
    in_range,
    in_time,
    largest,
    percentiles,
    seen,
)
from observability.dashboards.panel import (
    Colour,
    Dashboard,
    Kind,
    Panel,
    Query,
    Row,
    Scale,
    State,
    Threshold,
    Variable,
    targets,
)
from observability.promql import Expr, like, unlike
from observability.rules import slis
from serve.fleet.slo import Slo

# Google's SRE workbook, chapter 5: at this rate the budget of 30 days is gone in two, and somebody is woken.
FAST_BURN, SLOW_BURN = 14.4, 6.0
# Languages that a graph can still tell apart.
TOP = 10


def dashboard(slo: Slo) -> Dashboard:
    """The dashboard for these objectives."""
    return Dashboard(
        "overview",
        "Parlance / Overview",
        "Start here: are the promises kept, who asks what, how fast are the answers, and what do they cost. The other "
        "dashboards (top right) say why.",
        (
            *targets(metrics.BUILD),
            Variable("model", (metrics.REQUESTS,), "model", "Model", "Models that answered; `none`: no model was "
                                                                     "reached."),
            Variable("language", (metrics.REQUESTS,), "language", "Language", "Languages read in the prompts."),
        ),
        (
            Row("Now", _now(slo)),
            Row("Error budgets", _burn(slo)),
            Row("Traffic", _traffic()),
            Row("Time", _time(slo)),
            Row("Money", _money()),
        ),
    )  # fmt: skip


def _failed(every: bool) -> Expr:
    """Requests in the range that failed for a reason that is not the client's, or all that count: as the indicator in
    observability.rules.slis says it."""
    if every:
        return in_range(metrics.REQUESTS, status=unlike("4.."))
    failed = in_range(metrics.REQUESTS, status=like("5.."))
    return failed.or_zero() + in_range(metrics.ABORTS, cause=like(slis.BROKEN)).or_zero()


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


def _now(slo: Slo) -> tuple[Panel, ...]:
    cost = each_second(metrics.COST, **MODEL, **LANGUAGE) * HOUR_S
    saved = in_range(metrics.REFERENCE_COST, **MODEL, **LANGUAGE) - in_range(metrics.COST, **MODEL, **LANGUAGE)
    return (
        _attained(
            "availability",
            "Availability",
            "Share of requests in the range that were answered: no 5xx, no broken stream; the client's own errors "
            f"(4xx) do not count. Promised: {100 * slo.availability:g} %. Below it: look at Errors for the code and at "
            "Healthy models for an engine that is down.",
            1 - _failed(every=False).per(_failed(every=True)),
            slo.availability,
        ),
        _attained(
            "ttft-in-time",
            f"First token within {slo.ttft_s:g} s",
            f"Share of streamed answers in the range whose first byte came within {slo.ttft_s:g} s. Promised: "
            f"{100 * slo.attainment:g} %. Below it: Models says whether requests wait (queue) or prompts are long (prefill); "
            "Autoscaling, whether more replicas are on their way.",
            in_time(slo.ttft_s, metrics.TTFT),
            slo.attainment,
        ),
        _attained(
            "itl-in-time",
            f"Next token within {slo.itl_s * 1000:g} ms",
            f"Share of further tokens in the range that came within {slo.itl_s * 1000:g} ms. Promised: "
            f"{100 * slo.attainment:g} %. Below it batches are too large or long prompts hold decoding up: see Tokens a step "
            "on Models.",
            in_time(slo.itl_s, metrics.ITL),
            slo.attainment,
        ),
        Panel(
            "request-rate",
            "Requests",
            "Requests a second, all outcomes. A sudden fall with no errors is a client or a load balancer that no "
            "longer reaches the gateway: look at the scrape targets on Ray and nodes.",
            (Query(each_second(metrics.REQUESTS, **MODEL, **LANGUAGE), "requests"),),
            Kind.STAT,
            Scale.REQUESTS_PER_SECOND,
            width=4,
            height=5,
            base=Colour.NEUTRAL,
            empty="no gateway",
        ),
        Panel(
            "cost-per-hour",
            "Cost an hour",
            "What the answers cost at the fleet's prices, at the present rate. To lower it: Languages shows where "
            "expensive models answer, and the quality floor (routing.quality_floor) what they are for.",
            (Query(cost, "cost an hour"),),
            Kind.STAT,
            Scale.USD,
            width=4,
            height=5,
            base=Colour.NEUTRAL,
            empty="no gateway",
        ),
        Panel(
            "money-saved",
            "Saved in the range",
            "What the same answers would have cost on the reference model, less what they cost. Negative: requests "
            "overflow to endpoints that are dearer than the reference; see Reasons on Routing.",
            (Query(saved, "saved"),),
            Kind.STAT,
            Scale.USD,
            width=4,
            height=5,
            base=Colour.BAD,
            thresholds=(Threshold(0, Colour.GOOD),),
            least=None,
            empty="no gateway",
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


def _burn(slo: Slo) -> tuple[Panel, ...]:
    return (
        _burning("burn-errors", "Burn rate: availability", "failed requests", slis.ERRORS, slo.availability),
        _burning("burn-ttft", "Burn rate: first token", "late first tokens", slis.TTFT, slo.attainment),
        _burning("burn-itl", "Burn rate: next tokens", "late tokens", slis.ITL, slo.attainment),
    )


def _traffic() -> tuple[Panel, ...]:
    requests = each_second(metrics.REQUESTS, "model", **MODEL, **LANGUAGE)
    languages = busiest(TOP, metrics.REQUESTS, "language", **MODEL, **LANGUAGE)
    return (
        Panel(
            "requests-by-model",
            "Requests by model",
            "Who answers. `none`: refused before a model was reached. When one model's share jumps, Routing says why "
            "(prices, health, expected wait).",
            (Query(requests, "{{model}}"),),
            scale=Scale.REQUESTS_PER_SECOND,
            stacked=True,
        ),
        Panel(
            "requests-by-language",
            f"Requests by language (the {TOP} most asked)",
            "What is asked, by the language read in the prompt. `other`: no language of the fleet; a high share of it "
            "is a language that the fleet should declare, or a detector that is unsure (Language source on Routing).",
            (Query(languages, "{{language}}"),),
            scale=Scale.REQUESTS_PER_SECOND,
        ),
        Panel(
            "errors",
            "Errors by code",
            "Errors that callers were told, a second. Codes of the caller (invalid_request, invalid_api_key) need no "
            "action; upstream codes name an engine (see Models), overloaded asks for replicas (see Autoscaling). The "
            "codes stand in docs/gateway.md.",
            (Query(seen(metrics.ERRORS, "code"), "{{code}}"),),
            scale=Scale.PER_SECOND,
            empty="no errors",
        ),
    )


def _time(slo: Slo) -> tuple[Panel, ...]:
    return (
        Panel(
            "ttft",
            "Time to first token",
            "From the request's arrival at the gateway to the first byte of a streamed answer. Above the line: "
            "queue and prefill on Models say whether replicas or shorter prompts are needed.",
            percentiles(metrics.TTFT, **MODEL),
            thresholds=(Threshold(slo.ttft_s, Colour.BAD),),
            empty="no streamed answers",
        ),
        Panel(
            "itl",
            "Inter-token latency",
            "Between two chunks of a stream. Above the line the batch is too large, or long prompts hold decoding "
            "up: see Tokens a step on Models.",
            percentiles(metrics.ITL, **MODEL),
            thresholds=(Threshold(slo.itl_s, Colour.BAD),),
            empty="no streamed answers",
        ),
        Panel(
            "duration",
            "Whole answers",
            "From the request's arrival to the last byte. It grows with the length of the answers: compare Answer "
            "tokens on Routing before looking for a slow engine.",
            percentiles(metrics.DURATION, **MODEL),
            empty="no answers",
        ),
    )


def _money() -> tuple[Panel, ...]:
    cost = each_second(metrics.COST, **MODEL, **LANGUAGE)
    reference = each_second(metrics.REFERENCE_COST, **MODEL, **LANGUAGE)
    words = each_second(metrics.WORDS, **MODEL, **LANGUAGE)
    return (
        Panel(
            "cost-by-model",
            "Cost an hour by model",
            "What each model's answers cost at the fleet's prices. Compare with the requests above: a model with few "
            "requests and much cost gives the long or the difficult answers.",
            (Query(each_second(metrics.COST, "model", **MODEL, **LANGUAGE) * HOUR_S, "{{model}}"),),
            scale=Scale.USD,
            stacked=True,
        ),
        Panel(
            "cost-against-reference",
            "Cost an hour against always the reference",
            "What the answers cost, what they would have cost on the reference model, and (where the autoscaler "
            "runs) what the GPUs cost that stood there for them. GPUs far above the answers' cost are idle: see "
            "Autoscaling.",
            (
                Query(cost * HOUR_S, "as routed"),
                Query(reference * HOUR_S, "always the reference model"),
                Query(each_second(autoscaler_metrics.COST, **MODEL) * HOUR_S, "GPUs that ran"),
            ),
            scale=Scale.USD,
        ),
        Panel(
            "cost-per-1000-words",
            "Cost of 1,000 words",
            "USD for 1,000 words, read and written, beside what the reference model would have cost. When it jumps "
            "without a change of prices, find the language on Languages: its tokens a word or its model changed.",
            (
                Query(cost.per(words) * 1000, "as routed"),
                Query(reference.per(words) * 1000, "always the reference model"),
            ),
            scale=Scale.USD,
            empty="no traffic",
        ),
        Panel(
            "healthy-models",
            "Healthy models",
            "Whether a replica of the model answers probes. Down: Ray and nodes says whether the replica, its node or "
            "HAProxy is gone; requests go to the next model meanwhile.",
            (Query(largest(metrics.HEALTHY, "model", **MODEL), "{{model}}"),),
            Kind.STAT,
            Scale.NUMBER,
            width=12,
            height=7,
            base=Colour.BAD,
            thresholds=(Threshold(1, Colour.GOOD),),
            states=(State(0, "down", Colour.BAD), State(1, "healthy", Colour.GOOD)),
        ),
        Panel(
            "tokens",
            "Tokens",
            "Tokens a second as the engines counted them; cached input is part of input. A fall of the cached "
            "share makes prompts dearer: see Conversations on Routing.",
            (Query(each_second(metrics.TOKENS, "direction", **MODEL, **LANGUAGE), "{{direction}}"),),
            scale=Scale.PER_SECOND,
            width=12,
            height=7,
        ),
    )
