"""Gateway: what the gateway itself adds, how full it is, what it refuses, and what is about to expire."""

from __future__ import annotations

from observability import metrics
from observability.dashboards.asking import (
    MODEL,
    amount,
    buckets,
    count,
    counted,
    left,
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

# The goal: 1 ms added to the first token.
OVERHEAD_GOAL_S = 0.001
DAY_S = 86_400


def dashboard(_slo: Slo) -> Dashboard:
    """The dashboard."""
    return Dashboard(
        "gateway",
        "Parlance / Gateway",
        "The gateway's own part: what it adds to an answer, how full its workers are, what it refuses and loses, and "
        "which keys and certificates expire next.",
        (
            *targets(metrics.BUILD),
            Variable("model", (metrics.HEALTHY,), "model", "Model", "Models of the fleet."),
        ),
        (
            Row("Workers", _workers()),
            Row("Time", _time()),
            Row("Refusals and losses", _losses()),
            Row("Expiry and versions", _expiry()),
        ),
    )


def _workers() -> tuple[Panel, ...]:
    return (
        Panel(
            "workers",
            "Workers",
            "Gateway workers that answer scrapes: each is a process with an admin port of its own. Fewer than were "
            "started (`--workers`, replicas of the Deployment): a worker ended; its log says why.",
            (Query(count(metrics.BUILD), "workers"),),
            Kind.STAT,
            Scale.NUMBER,
            width=4,
            base=Colour.NEUTRAL,
            empty="no gateway",
        ),
        Panel(
            "connections",
            "Client connections",
            "Open connections by worker. Very uneven: clients hold few long connections; more of them, or fewer "
            "workers.",
            (Query(amount(metrics.CONNECTIONS, "instance"), "{{instance}}"),),
            width=6,
            stacked=True,
        ),
        Panel(
            "open-requests",
            "Open requests against the limit",
            "Requests that the workers hold, and may hold (gateway.limits.in_flight each). At the limit further ones "
            "get 429: engines too slow for the traffic (Models), or a limit too low for them.",
            (Query(amount(metrics.OPEN), "open"), Query(amount(metrics.OPEN_LIMIT), "limit")),
            width=6,
        ),
        Panel(
            "statuses",
            "Answers by HTTP status",
            "499: the client left before the answer. 429: limits or budgets (Tenants). 5xx: engines; see Errors by "
            "code.",
            (Query(seen(metrics.REQUESTS, "status", **MODEL), "{{status}}"),),
            scale=Scale.REQUESTS_PER_SECOND,
            stacked=True,
            empty="no traffic",
        ),
    )


def _time() -> tuple[Panel, ...]:
    return (
        Panel(
            "overhead",
            "Overhead",
            "The gateway's own share of the time to the first byte. The goal is 1 ms. Above it: a worker has no "
            "CPU left; start more (`--workers`), or look for very long prompts (Time of a decision on Routing).",
            percentiles(metrics.OVERHEAD),
            width=6,
            thresholds=(Threshold(OVERHEAD_GOAL_S, Colour.WARN),),
            empty="no traffic",
        ),
        Panel(
            "overhead-heatmap",
            "Requests by overhead",
            "The same, by bucket: a second band is another kind of request, a smear a worker without CPU.",
            (Query(buckets(metrics.OVERHEAD), "{{le}}"),),
            Kind.HEATMAP,
            Scale.SECONDS,
            width=6,
            empty="no traffic",
        ),
        Panel(
            "queue",
            "Until the engine had the request, p95",
            "Connecting, failed attempts and their back-off, by model. It jumps when an engine refuses or resets "
            "connections: see Retries on Routing.",
            (Query(percentile(0.95, metrics.QUEUE, "model", **MODEL), "{{model}}"),),
            width=6,
            empty="no traffic",
        ),
        Panel(
            "duration",
            "Whole answers, p95",
            "From arrival to the last byte, by model. Near the model's time limit (engine.max_stream_s) answers "
            "are cut.",
            (Query(percentile(0.95, metrics.DURATION, "model", **MODEL), "{{model}}"),),
            width=6,
            empty="no answers",
        ),
    )


def _losses() -> tuple[Panel, ...]:
    return (
        Panel(
            "errors",
            "Errors by code",
            "What callers were told, a second. docs/gateway.md lists the codes: which are the caller's, which an "
            "engine's, and whether a retry helps.",
            (Query(seen(metrics.ERRORS, "code"), "{{code}}"),),
            scale=Scale.PER_SECOND,
            width=6,
            empty="no errors",
        ),
        Panel(
            "aborts",
            "Answers that broke off",
            "client_left: the caller closed; slow_client: it did not read; engine_failed and timeout: the fleet's "
            "fault (they count against availability), see Models.",
            (Query(seen(metrics.ABORTS, "model", "cause", **MODEL), "{{model}}: {{cause}}"),),
            scale=Scale.PER_SECOND,
            width=6,
            empty="every answer was whole",
        ),
        Panel(
            "key-refusals",
            "Refused for their key",
            "expired: tell the tenant, or make a new one (`parlance keys add`); unknown in numbers: somebody tries "
            "keys, or a client has an old one; model_not_allowed: the key is for other models.",
            (Query(seen(metrics.KEY_REFUSALS, "reason"), "{{reason}}"),),
            scale=Scale.PER_SECOND,
            width=6,
            empty="no key was refused",
        ),
        Panel(
            "log-lost",
            "Log entries lost in the range",
            "Entries of the journal or the decision log that could not be written: a full disk, or a reader of "
            "standard output that hangs. Answers go on; their records are gone.",
            (Query(counted(metrics.LOG_LOST, "log"), "{{log}}"),),
            Kind.STAT,
            Scale.COUNT,
            width=6,
            thresholds=(Threshold(1, Colour.BAD),),
        ),
    )


def _expiry() -> tuple[Panel, ...]:
    soon = (Threshold(7 * DAY_S, Colour.WARN), Threshold(30 * DAY_S, Colour.GOOD))
    return (
        Panel(
            "certificate-expiry",
            "Certificates of upstreams expire in",
            "By model behind an https upstream. Below a week: tell whoever runs it, or its requests fail from that "
            "hour.",
            (Query(left(metrics.CERTIFICATE_EXPIRY, "model", **MODEL), "{{model}}"),),
            Kind.BARS,
            Scale.SECONDS,
            base=Colour.BAD,
            thresholds=soon,
            empty="no https upstreams",
        ),
        Panel(
            "key-expiry",
            "API keys expire in",
            "The next key of each tenant. Below a week: `parlance keys add` makes the next one; both work until the "
            "old one ends.",
            (Query(left(metrics.KEY_EXPIRY, "tenant"), "{{tenant}}"),),
            Kind.BARS,
            Scale.SECONDS,
            base=Colour.BAD,
            thresholds=soon,
            empty="no key expires",
        ),
        Panel(
            "versions",
            "Versions",
            "Workers by version. Two for longer than a roll-out: it hangs.",
            (Query(count(metrics.BUILD, "version"), "{{version}}"),),
            Kind.BARS,
            Scale.NUMBER,
            base=Colour.NEUTRAL,
            empty="no gateway",
        ),
    )
