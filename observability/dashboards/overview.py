"""The overview: whether the promises are kept, what is asked, how fast the answers come and what they cost."""

from __future__ import annotations

from observability import autoscaler_metrics, metrics
from observability.dashboards import objectives
from observability.dashboards.asking import (
    HOUR_S,
    LANGUAGE,
    MODEL,
    busiest,
    each_second,
    in_range,
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
from serve.fleet.slo import Slo

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
            Row("Error budgets", objectives.burning(slo)),
            Row("Traffic", _traffic()),
            Row("Time", _time(slo)),
            Row("Money", _money()),
        ),
    )  # fmt: skip


def _now(slo: Slo) -> tuple[Panel, ...]:
    cost = each_second(metrics.COST, **MODEL, **LANGUAGE) * HOUR_S
    saved = in_range(metrics.REFERENCE_COST, **MODEL, **LANGUAGE) - in_range(metrics.COST, **MODEL, **LANGUAGE)
    return (
        *objectives.attained(slo),
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
            empty="no traffic",
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
            empty="no traffic",
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
            empty="no traffic",
        ),
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
            empty="no traffic",
        ),
        Panel(
            "requests-by-language",
            f"Requests by language (the {TOP} most asked)",
            "What is asked, by the language read in the prompt. `other`: no language of the fleet; a high share of it "
            "is a language that the fleet should declare, or a detector that is unsure (Language source on Routing).",
            (Query(languages, "{{language}}"),),
            scale=Scale.REQUESTS_PER_SECOND,
            empty="no traffic",
        ),
        Panel(
            "errors",
            "Errors by code",
            "Errors that callers were told, a second. Codes of the caller (invalid_value, invalid_api_key, "
            "model_not_found) need no action; engine_… codes name an engine that fails (see Models), overloaded asks "
            "for replicas (see Autoscaling). The codes stand in docs/gateway.md.",
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
            width=6,
        ),
        Panel(
            "itl",
            "Inter-token latency",
            "Between two chunks of a stream. Above the line the batch is too large, or long prompts hold decoding "
            "up: see Tokens a step on Models.",
            percentiles(metrics.ITL, **MODEL),
            thresholds=(Threshold(slo.itl_s, Colour.BAD),),
            empty="no streamed answers",
            width=6,
        ),
        Panel(
            "tpot",
            "Time per output token",
            "The mean over an answer, which is what its reader feels and what the autoscaler plans with. Above the "
            "line: more replicas. Only inter-token latency above it: long prompts hold single tokens up, replicas do "
            "not help.",
            percentiles(metrics.TPOT, **MODEL),
            thresholds=(Threshold(slo.itl_s, Colour.BAD),),
            empty="no streamed answers",
            width=6,
        ),
        Panel(
            "duration",
            "Whole answers",
            "From the request's arrival to the last byte. It grows with the length of the answers: compare Answer "
            "tokens on Routing before looking for a slow engine.",
            percentiles(metrics.DURATION, **MODEL),
            empty="no answers",
            width=6,
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
            empty="no traffic",
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
            empty="no traffic",
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
            empty="no traffic",
        ),
    )
