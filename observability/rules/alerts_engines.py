"""Alerts on what answers: engines, their replicas, the Ray cluster, its HAProxy."""

from __future__ import annotations

from observability import autoscaler_metrics, foreign, metrics
from observability.promql import Expr, aggregate, increase, like, rate, series
from observability.rules.rule import Alert, Severity

# Ray Serve's HAProxy names a backend `http-<application>`, and an application is named after its model.
_BACKEND = "http-(.+)"


def asleep() -> Expr:
    """Models that are scaled to zero on purpose."""
    return aggregate("max", series(autoscaler_metrics.TARGET), "model").equals(0)


def models() -> tuple[Alert, ...]:
    """Alerts that every fleet has, whoever runs its engines."""
    refused = increase(metrics.ERRORS, "5m", code="overloaded").by()
    # Not every request: a flood of wrong keys would hide that half of the others are refused.
    asked = refused + increase(metrics.TENANT_REQUESTS, "5m", outcome=like("answered|failed")).by()
    full = rate(metrics.REJECTIONS, "15m", code="no_capacity").by("model")
    decided = rate(metrics.DECISION, "15m", "_count").by().scalar()
    return (
        Alert(
            "ParlanceEngineDown",
            Severity.PAGE,
            aggregate("max", series(metrics.HEALTHY), "model").equals(0).unless(asleep()),
            "2m",
            "no gateway worker reaches a model that is not scaled to zero",
            "{{ $labels.model }} is down: no gateway worker reaches it",
            "Every probe of {{ $labels.model }} fails. `auto` goes to other models; requests for it by name get 503.",
            ("models", "healthy"),
        ),
        Alert(
            "ParlanceNoCapacity",
            Severity.PAGE,
            (refused / asked).above(0.05).and_(refused.at_least(20)),
            "5m",
            "more than 5% of requests in 5m are refused with 429 `overloaded`, and at least 20",
            "{{ $value | humanizePercentage }} of requests are refused for lack of capacity",
            "Every model that could answer is full, or a gateway worker holds all the requests that it may. Clients "
            "are told to come back.",
            ("overview", "errors"),
        ),
        Alert(
            "ParlanceModelFull",
            Severity.TICKET,
            full.above(decided * 0.2),
            "15m",
            "a model had no capacity at more than 20% of decisions in 15m",
            '{{ $labels.model }} is full: it turns {{ $value | printf "%.2g" }} requests a second away',
            "{{ $labels.model }} was no candidate for want of capacity. What would be cheapest goes to dearer models.",
            ("routing", "rejections"),
        ),
    )


def engines(clusters: int) -> tuple[Alert, ...]:
    """Alerts on engines that run on Ray. `clusters` is how many Ray clusters the fleet's engines are on."""
    # A dead replica's gauges stay in Ray's export: only those that write tokens count.
    alive = rate(foreign.VLLM_OUTPUT_TOKENS, "5m").above(0)
    kv = aggregate("avg", series(foreign.VLLM_KV_USE).where(alive, "ReplicaId"), "model_name")
    waiting = series(foreign.VLLM_WAITING).where(alive, "ReplicaId").by("model_name")
    # From the buckets: Ray exports a histogram's sum from their middles, half a preemption for a request without one.
    finished = increase(foreign.VLLM_PREEMPTIONS, "15m", "_count").by("model_name")
    preempted = finished - increase(foreign.VLLM_PREEMPTIONS, "15m", "_bucket", le="1.0").by("model_name")
    # Each replica is a series of its own from its start on, and stays: those that were not there an hour ago are new.
    # Where nothing at all was there (Ray or Prometheus began within the hour) no start is one too many.
    starts = series(foreign.SERVE_REPLICA_STARTS)
    fresh = aggregate("count", starts.unless(starts.ago("1h")), "application")
    before = aggregate("count", starts.ago("1h"), "application")
    wanted = aggregate("max", series(foreign.SERVE_TARGET), "application")
    # One series for every node: a head is counted once, whatever the number of its ports.
    heads = aggregate("count", aggregate("count", series(foreign.NODE_CPU, IsHeadNode="true"), "ip"))
    servers = series(foreign.HAPROXY_SERVERS, proxy=like(_BACKEND)).renamed("proxy", "model", _BACKEND)
    return (
        Alert(
            "ParlanceKvCacheSaturated",
            Severity.TICKET,
            kv.above(0.95).and_(waiting.above(0)),
            "10m",
            "a model's KV cache is over 95% full and requests wait",
            "KV cache of {{ $labels.model_name }} is {{ $value | humanizePercentage }} full and requests wait",
            "Replicas of {{ $labels.model_name }} have no room for the context of another request: those that wait "
            "see it as time to first token.",
            ("models", "kv-cache"),
        ),
        Alert(
            "ParlancePreemptions",
            Severity.TICKET,
            (preempted / finished).above(0.05).and_(preempted.at_least(5)),
            "15m",
            "more than 5% of the requests of 15m were preempted twice or more, and at least 5",
            "{{ $value | humanizePercentage }} of {{ $labels.model_name }}'s requests are preempted again and again",
            "The KV cache ran out while requests of {{ $labels.model_name }} were being answered: they were put back "
            "and computed again.",
            ("models", "preemptions"),
        ),
        Alert(
            "ParlanceColdStartLoop",
            Severity.TICKET,
            fresh.above(wanted * 2 + 2).and_(before),
            "5m",
            "within 1h a model started more than two replicas more than twice the number that it should have",
            "{{ $value }} replicas of {{ $labels.application }} were started within an hour",
            "Replicas of {{ $labels.application }} start again and again: they die, or the plan goes up and down. "
            "Each start holds GPUs that answer nothing.",
            ("ray", "replica-starts"),
        ),
        Alert(
            "ParlanceRayHeadDown",
            Severity.PAGE,
            heads.or_zero().below(clusters),
            "5m",
            f"fewer than {clusters} Ray heads report ({clusters} clusters hold engines)"
            if clusters > 1
            else "no Ray head reports",
            f"{{{{ $value }}}} of {clusters} Ray heads report",
            "Running replicas go on answering. Nothing is started, scaled or replaced until the head is back, and "
            "without GCS fault tolerance its loss ends the cluster.",
            ("ray", "up"),
        ),
        Alert(
            "ParlanceHaproxyNoBackend",
            Severity.PAGE,
            aggregate("min", servers, "model").equals(0).unless(asleep()),
            "2m",
            "an HAProxy has no server for a model that is not scaled to zero",
            "HAProxy has no server for {{ $labels.model }}",
            "Requests for {{ $labels.model }} that reach this cluster's HAProxy have nowhere to go: its replicas are "
            "gone, or HAProxy was not told of them.",
            ("ray", "haproxy-servers"),
        ),
    )
