"""What is asked of Prometheus for a snapshot: one query a reading for all models, from the metrics' catalogue.

Two more queries tell when the series behind them were sampled, since the result of an instant query carries the time
of the question. Where such a time is there and a counter is not, the counter is 0: children that depend on languages
or statuses appear with their first request.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from observability import foreign, metrics
from observability.metric import Metric
from observability.promql import Expr, aggregate, like, rate, series, share_within, slope, timestamp
from serve.fleet import Fleet
from serve.routing.policy import CHEAPEST, SHIFTED

ANSWERED = like("2..")
NO_ROOM = like("no_capacity|unhealthy")  # serve.routing.records.Rejection
REFUSED = like("429|503")


class Source(StrEnum):
    """Who exported the series of a query, and with that how its result is labelled."""

    GATEWAY = "gateway"  # by model
    FLEET = "fleet"  # of the gateway too; one figure for all models
    ENGINES = "engines"  # by model_name and ReplicaId


@dataclass(frozen=True, slots=True)
class Query:
    """One question. `most` is what no sane answer exceeds; `absent_is_zero` as the module says."""

    name: str
    expression: Expr
    source: Source
    most: float = 1e9
    least: float = 0.0
    absent_is_zero: bool = False


def times() -> dict[Source, Expr]:
    """When the oldest series of each source was sampled, in seconds since the epoch; labelled as its queries are."""
    gateway = aggregate("min", timestamp(metrics.IN_FLIGHT), "model")
    engines = aggregate("min", timestamp(foreign.VLLM_RUNNING), "model_name", "ReplicaId")
    return {Source.GATEWAY: gateway, Source.ENGINES: engines}


def queries(fleet: Fleet) -> tuple[Query, ...]:
    """Every query of a round. Names are those of `Seen`'s readings; `refused_by_all` bounds each model's `refused`,
    and what other models took for it (`spilled`) is added."""
    settings, slo = fleet.autoscaling, fleet.slo
    window, mix = duration(settings.window_s), duration(settings.mix_window_s)
    return (
        _gateway("finished", rate(metrics.DURATION, window, "_count"), most=1e6),
        _gateway("in_flight", series(metrics.IN_FLIGHT), most=1e7),
        _gateway("growth", slope(metrics.IN_FLIGHT, window), least=-1e6, most=1e6),
        # A request that no model took was rejected by several: each counts it, and none more than there were.
        _gateway("refused", rate(metrics.REJECTIONS, window, code=NO_ROOM), most=1e6, absent_is_zero=True),
        Query(
            "refused_by_all",
            rate(metrics.REQUESTS, window, model="none", status=REFUSED).by(),
            Source.FLEET,
            most=1e6,
            absent_is_zero=True,
        ),
        _gateway("spilled", rate(metrics.SPILLED, window), most=1e6, absent_is_zero=True),
        _gateway("prompt_tokens", rate(metrics.TOKENS, mix, direction="input"), absent_is_zero=True),
        _gateway("cached_tokens", rate(metrics.TOKENS, mix, direction="cached_input"), absent_is_zero=True),
        _gateway("output_tokens", rate(metrics.TOKENS, mix, direction="output"), absent_is_zero=True),
        _gateway("answered", rate(metrics.REQUESTS, mix, status=ANSWERED), most=1e6, absent_is_zero=True),
        _gateway("recent_prompt_tokens", rate(metrics.TOKENS, window, direction="input"), absent_is_zero=True),
        _gateway("recent_cached_tokens", rate(metrics.TOKENS, window, direction="cached_input"), absent_is_zero=True),
        _gateway("recent_output_tokens", rate(metrics.TOKENS, window, direction="output"), absent_is_zero=True),
        _gateway("recent_answered", rate(metrics.REQUESTS, window, status=ANSWERED), most=1e6, absent_is_zero=True),
        Query("ttft_within", _within(slo.ttft_s, metrics.TTFT, window), Source.GATEWAY, most=1.0),
        Query("itl_within", _within(slo.itl_s, metrics.ITL, window), Source.GATEWAY, most=1.0),
        Query("tpot_within", _within(slo.itl_s, metrics.TPOT, window), Source.GATEWAY, most=1.0),
        _engines("running", series(foreign.VLLM_RUNNING), most=1e6),
        _engines("waiting", series(foreign.VLLM_WAITING), most=1e6),
        Query(
            "kv_use",
            aggregate("max", series(foreign.VLLM_KV_USE), "model_name", "ReplicaId"),
            Source.ENGINES,
            most=1.0,
        ),
        _engines("worked_prompt_tokens", rate(foreign.VLLM_PROMPT_SOURCES, window, source="local_compute")),
        _engines("worked_output_tokens", rate(foreign.VLLM_OUTPUT_TOKENS, window)),
    )


def flows(fleet: Fleet) -> tuple[Query, Query]:
    """Requests to `auto` that had a choice, by model and language: those that stayed at the cheapest model, and those
    that the plan's shifts moved to another. `flows` and `shifted` of a snapshot."""
    window = duration(fleet.autoscaling.window_s)

    def ended(name: str, reason: str) -> Query:
        rates = rate(metrics.REQUESTS, window, reason=reason).by("model", "language")
        return Query(name, rates, Source.GATEWAY, most=1e6, absent_is_zero=True)

    return ended("flows", CHEAPEST), ended("shifted", SHIFTED)


def _gateway(
    name: str, expression: Expr, *, least: float = 0.0, most: float = 1e9, absent_is_zero: bool = False
) -> Query:
    return Query(name, expression.by("model"), Source.GATEWAY, most, least, absent_is_zero)


def _engines(name: str, expression: Expr, *, most: float = 1e9) -> Query:
    # An engine that has computed no prompt, or whose prompts were all cached, exports no such counter.
    return Query(name, expression.by("model_name", "ReplicaId"), Source.ENGINES, most, absent_is_zero=True)


def _within(bound_s: float, metric: Metric, window: str) -> Expr:
    """The share of answers within a bound; no series where there were none, which is no share."""
    some = rate(metric, window, "_count").by("model").above(0)
    return share_within(bound_s, metric, "model", window=window).and_(some)


def duration(seconds: float) -> str:
    """Prometheus' way to write a time: 90s, or 1500ms."""
    return f"{seconds:.0f}s" if seconds == int(seconds) else f"{round(seconds * 1000)}ms"
