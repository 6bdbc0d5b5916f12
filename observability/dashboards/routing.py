"""Routing: why a request went where it went, and what the choice rests on."""

from __future__ import annotations

from observability import metrics
from observability.dashboards.asking import (
    LANGUAGE,
    MODEL,
    age,
    amount,
    average,
    buckets,
    each_second,
    largest,
    percentile,
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
    Threshold,
    Variable,
    targets,
)
from serve.fleet.slo import Slo

# The design's goal for an ordinary prompt.
DECISION_GOAL_S = 0.00025


def dashboard(_slo: Slo) -> Dashboard:
    """The dashboard."""
    return Dashboard(
        "routing",
        "Parlance / Routing",
        "Why requests go where they go: reasons, models that were no candidate, what a decision takes and what it "
        "rests on. `parlance route` explains a single decision.",
        (
            *targets(metrics.BUILD),
            Variable("model", (metrics.HEALTHY,), "model", "Model", "Models of the fleet."),
            Variable("language", (metrics.REQUESTS,), "language", "Language", "Languages read in the prompts."),
        ),
        (
            Row("Choices", _choices()),
            Row("Deciding", _deciding()),
            Row("What decisions rest on", _inputs()),
            Row("Models that sleep, and shifts of load", _autoscaler()),
        ),
    )


def _choices() -> tuple[Panel, ...]:
    return (
        Panel(
            "reasons",
            "Reasons of the choice",
            "Why the model that answered was chosen. Much `exact` and `alias`: clients name a model, and the router "
            "saves nothing. language_fallback and last_resort: nothing that may answer covers the language. "
            "unhealthy and no_capacity: refused, for lack of engines. docs/routing.md explains each.",
            (Query(seen(metrics.REQUESTS, "reason", **MODEL, **LANGUAGE), "{{reason}}"),),
            scale=Scale.REQUESTS_PER_SECOND,
            width=6,
            stacked=True,
            empty="no traffic",
        ),
        Panel(
            "rejections",
            "Models that were no candidate",
            "By model and code. unhealthy and no_capacity are matters of engines and replicas; below_floor and "
            "language_not_covered are the policy at work, and evidence (`parlance quality import`) changes them; "
            "context_too_small: long prompts.",
            (Query(seen(metrics.REJECTIONS, "model", "code", **MODEL), "{{model}}: {{code}}"),),
            scale=Scale.PER_SECOND,
            width=6,
            empty="no model was rejected",
        ),
        Panel(
            "stickiness",
            "Conversations",
            "Whether a further turn stayed where its prefix is cached. Many that moved: prices or waits tip back "
            "and forth, and each move reads the whole conversation anew.",
            (Query(each_second(metrics.STICKINESS, "outcome"), "{{outcome}}"),),
            scale=Scale.PER_SECOND,
            width=6,
            stacked=True,
            empty="no traffic",
        ),
        Panel(
            "language-source",
            "What told the language",
            "A hint of the request, the script, the text, earlier turns, or what the tenant usually writes (prior). "
            "Much `none` or `prior`: short or mixed prompts; clients that know the language should say it "
            "(docs/routing.md).",
            (Query(each_second(metrics.LANGUAGE_SOURCE, "source"), "{{source}}"),),
            scale=Scale.PER_SECOND,
            width=6,
            stacked=True,
            empty="no traffic",
        ),
    )


def _deciding() -> tuple[Panel, ...]:
    return (
        Panel(
            "decision-time",
            "Time of a decision",
            "Language detection and choice. The goal is 250 us for an ordinary prompt. Above it: very long "
            "prompts, or a worker that has no CPU (see Overhead on Gateway): more workers.",
            percentiles(metrics.DECISION),
            width=6,
            thresholds=(Threshold(DECISION_GOAL_S, Colour.WARN),),
            empty="no decisions",
        ),
        Panel(
            "decision-heatmap",
            "Decisions by time",
            "The same, by bucket: a second band above the first is long prompts, a smear is a worker without CPU.",
            (Query(buckets(metrics.DECISION), "{{le}}"),),
            Kind.HEATMAP,
            Scale.SECONDS,
            width=6,
            empty="no decisions",
        ),
        Panel(
            "expected-wait",
            "Expected wait",
            "How long a request would wait at a model beyond an idle engine, as decisions price it; the worst "
            "worker's view. High at one model while others idle: they are no candidates for that language (Models "
            "that were no candidate).",
            (Query(largest(metrics.EXPECTED_WAIT, "model", **MODEL), "{{model}}"),),
            width=6,
        ),
        Panel(
            "retries",
            "Retries",
            "Further attempts before the first byte, by the model that failed and why. Each costs a caller time: the "
            "model's engine (Models) or the way to it (HAProxy on Ray and nodes) is what to mend.",
            (Query(seen(metrics.RETRIES, "model", "cause", **MODEL), "{{model}}: {{cause}}"),),
            scale=Scale.PER_SECOND,
            width=6,
            empty="no retries",
        ),
    )


def _inputs() -> tuple[Panel, ...]:
    price = largest(metrics.PRICE, "model", "basis", direction="output", **MODEL) * 1_000_000
    return (
        Panel(
            "price",
            "Price of a million output tokens",
            "What decisions pay: list, average or marginal price of GPU hours over what they served. A marginal price "
            "near 0 is an idle replica that wants work; one above the list price is a replica that is full.",
            (Query(price, "{{model}}, {{basis}}"),),
            scale=Scale.USD,
            width=6,
        ),
        Panel(
            "answer-tokens",
            "Expected length of an answer",
            "Median tokens by model, as learnt, over the chosen languages (choose one at the top for its own). A model "
            "that talks twice as much costs twice as much: the router counts that in. A jump is other traffic, or a "
            "model that no longer stops.",
            (Query(average(metrics.ANSWER_TOKENS, "model", statistic="p50", **MODEL, **LANGUAGE), "{{model}}"),),
            width=6,
            empty="nothing learnt",
        ),
        Panel(
            "observations",
            "What was learnt from",
            "Answers a second that taught something. 0 under traffic: the engines report no usage.",
            (Query(each_second(metrics.OBSERVATIONS, "kind"), "{{kind}}"),),
            scale=Scale.PER_SECOND,
            width=6,
        ),
        Panel(
            "input-age",
            "Age of what decisions rest on",
            "Since each input was renewed, at the worker that is furthest behind. health: probes hang when it grows "
            "past their interval; learnt: grows without traffic; fleet and keys: since they were last read; "
            "evidence: months are normal, a year asks for new results (`parlance quality import`).",
            (Query(age(metrics.INPUT_TIME, "input"), "{{input}}"),),
            scale=Scale.SECONDS,
            width=6,
            logarithmic=True,
        ),
    )


def _autoscaler() -> tuple[Panel, ...]:
    nobody = "no model may sleep"
    return (
        Panel(
            "waking",
            "Requests held for a replica",
            "Requests for a model without a replica, held until one has started (`gateway.waking`). Long above 0 while "
            "Autoscaling shows no replica starting: the autoscaler is blind or at its bounds.",
            (Query(amount(metrics.WAKING, "model", **MODEL), "{{model}}"),),
            width=4,
            empty=nobody,
        ),
        Panel(
            "waking-ends",
            "How that ended",
            "woken: a replica came. timeout: it takes longer than `waking.max_wait_s`; raise it, or keep a replica "
            "(`replicas.min: 1`). full and displaced: more requests than places; clients try again.",
            (Query(seen(metrics.WAKING_ENDED, "model", "outcome", **MODEL), "{{model}}: {{outcome}}"),),
            scale=Scale.PER_SECOND,
            width=4,
            empty="no request was held",
        ),
        Panel(
            "waking-wait",
            "Held for, p95",
            "How long requests were held, by model: what a cold start costs those who meet it.",
            (Query(percentile(0.95, metrics.WAKING_WAIT, "model", **MODEL), "{{model}}"),),
            width=4,
            empty="no request was held",
        ),
        Panel(
            "spilled",
            "Taken by another model",
            "Requests to `auto` by the model that would have had them, had it been up. At one that sleeps: it is about "
            "to be woken. At another: an engine is down, and its load costs more elsewhere.",
            (Query(seen(metrics.SPILLED, "model", **MODEL), "{{model}}"),),
            scale=Scale.PER_SECOND,
            width=4,
            empty="no request went elsewhere",
        ),
        Panel(
            "shifts",
            "Shifts of load in force",
            "Of the autoscaler's plan, at the worker that follows most of them. Those who were moved have the reason "
            "`shifted` above.",
            (Query(largest(metrics.SHIFTS), "shifts"),),
            scale=Scale.NUMBER,
            width=4,
        ),
        Panel(
            "plan-flaws",
            "Plans of no use",
            "Readings a second that routing could not follow. unreachable and stale: the autoscaler is down (see "
            "Autoscaling); malformed and unknown_model: it runs another version, or another description.",
            (Query(seen(metrics.PLAN_FLAWS, "flaw"), "{{flaw}}"),),
            scale=Scale.PER_SECOND,
            width=4,
            empty="every plan was of use",
        ),
    )
