"""Autoscaling: what was planned, from which figures and why, what came of it, and what it cost."""

from __future__ import annotations

from observability import autoscaler_metrics as scaler
from observability.dashboards.asking import (
    HOUR_S,
    MODEL,
    QUANTILES,
    age,
    counted,
    each_second,
    in_range,
    largest,
    percentile_in_range,
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

# A round is made every 10 to 15 s; what is older than some of them was not looked at.
STALE_S = 60


def dashboard(_slo: Slo) -> Dashboard:
    """The dashboard."""
    return Dashboard(
        "autoscaling",
        "Parlance / Autoscaling",
        "Replicas as planned and as they are, the load they are planned for, why, and what they cost. `/plan` on the "
        "autoscaler's port shows the last plan with all its inputs.",
        (
            *targets(scaler.LAST_ROUND),
            Variable("model", (scaler.PLANNED,), "model", "Model", "Models that the autoscaler plans for."),
        ),
        (
            Row("Plan and reality", _plan()),
            Row("Load", _load()),
            Row("Why, and what came of it", _changes()),
            Row("GPU time", _money()),
            Row("The autoscaler itself", _loop()),
        ),
        since="now-3h",
    )


def _plan() -> tuple[Panel, ...]:
    running = largest(scaler.REPLICAS, "model", state="running", **MODEL)
    return (
        Panel(
            "plan-against-actual",
            "Replicas: planned, asked for, running",
            "Three lines that should meet within a cold start. Planned above asked for: plans are not applied "
            "(Plans sent, below). Asked for above running: replicas are starting, or find no room (Ray and nodes).",
            (
                Query(largest(scaler.PLANNED, "model", **MODEL), "{{model}}, planned"),
                Query(largest(scaler.TARGET, "model", **MODEL), "{{model}}, asked for"),
                Query(running, "{{model}}, running"),
            ),
            width=12,
            height=9,
        ),
        Panel(
            "replica-states",
            "Replicas by state",
            "Starting for longer than Cold starts below: look at the replica's log on Ray's dashboard (weights, "
            "memory, no GPU free). Draining for long: a stream is being finished.",
            (Query(largest(scaler.REPLICAS, "state", "model", **MODEL), "{{model}}, {{state}}"),),
            width=6,
            height=9,
            stacked=True,
        ),
        Panel(
            "bounds",
            "Bounds",
            "Least and most replicas of the description (engine.replicas). A plan that lies on its most while "
            "requests wait asks for a higher bound, and GPUs for it.",
            (Query(largest(scaler.BOUNDS, "model", "bound", **MODEL), "{{model}}, {{bound}}"),),
            width=6,
            height=9,
        ),
    )


def _load() -> tuple[Panel, ...]:
    arriving = largest(scaler.ARRIVING, "model", **MODEL)
    forecast = largest(scaler.FORECAST, "model", **MODEL)
    capacity = largest(scaler.CAPACITY, "model", **MODEL)
    running = largest(scaler.REPLICAS, "model", state="running", **MODEL)
    return (
        Panel(
            "load-against-capacity",
            "Load against what runs",
            "Arriving work over the capacity of the running replicas. Near 1 answers get late; far below 1 for "
            "long, GPUs idle and fewer replicas (or scale to zero) would do.",
            (Query(arriving.per(capacity * running), "{{model}}"),),
            scale=Scale.SHARE,
            width=6,
            thresholds=(Threshold(0.8, Colour.WARN), Threshold(1, Colour.BAD)),
            empty="no capacity is known",
        ),
        Panel(
            "forecast-against-arrival",
            "Forecast against arrival",
            "Work that arrives and work that the plan is made for, in tokens a second, weighed as the policy "
            "weighs them. A forecast that stays far above arrival costs GPUs; one below it comes too late.",
            (Query(arriving, "{{model}}, arriving"), Query(forecast, "{{model}}, forecast")),
            scale=Scale.PER_SECOND,
            width=6,
        ),
        Panel(
            "capacity",
            "Capacity of a replica",
            "Tokens a second that one replica does within the objectives, as learnt. It falls when prompts get "
            "longer or caches miss; every plan divides by it, so that a fall asks for replicas.",
            (Query(capacity, "{{model}}"),),
            scale=Scale.PER_SECOND,
            width=6,
        ),
        Panel(
            "shifted",
            "Load moved between models",
            "Requests a second that the plan's shifts take from a model (above 0) or bring it (below 0). Load moves to "
            "a model above the floor in its language where that is cheaper than a replica, or while one starts; /plan "
            "says which languages. The gateway's own view: Shifts in force.",
            (Query(largest(scaler.AWAY, "model", **MODEL), "{{model}}"),),
            scale=Scale.PER_SECOND,
            width=6,
        ),
    )


def _changes() -> tuple[Panel, ...]:
    cold = tuple(
        Query(percentile_in_range(q, scaler.COLD_STARTS, "model", **MODEL), f"{{{{model}}}}, {name}")
        for q, name in QUANTILES[:2]
    )
    return (
        Panel(
            "reasons",
            "Reasons of plans",
            "The main reason of each plan by model. work and backlog: as needed; at_most: more is needed than the "
            "bounds allow; pace_up and pace_down: one step at a time; window: kept for a while after a peak; blind: "
            "data is missing (see Held for lack of data).",
            (Query(seen(scaler.REASONS, "model", "reason", **MODEL), "{{model}}: {{reason}}"),),
            scale=Scale.PER_SECOND,
            width=6,
            stacked=True,
        ),
        Panel(
            "changes",
            "Replicas added and taken",
            "Over the range. Many of both at one model: the plan swings; a longer scale-down window or a smaller step "
            "calms it. Each start costs a cold start.",
            (Query(counted(scaler.CHANGES, "model", "direction", **MODEL).above(0), "{{model}}, {{direction}}"),),
            Kind.BARS,
            Scale.COUNT,
            width=6,
            base=Colour.NEUTRAL,
            empty="no changes",
        ),
        Panel(
            "cold-starts",
            "Cold starts",
            "From the target that asked for a replica until it ran. The forecast looks this far ahead. Minutes "
            "more than usual: weights come from afar (see the weights cache) or nodes are slow to come.",
            cold,
            Kind.BARS,
            Scale.SECONDS,
            width=6,
            base=Colour.NEUTRAL,
            empty="no cold starts in the range",
        ),
        Panel(
            "applies",
            "Plans sent to Ray Serve",
            "failed: Ray's head cannot be reached or refuses the token; replicas stay as they are. Only dry_run: the "
            "autoscaler was started with `--dry-run`.",
            (Query(seen(scaler.APPLIED, "model", "outcome", **MODEL), "{{model}}: {{outcome}}"),),
            scale=Scale.PER_SECOND,
            width=6,
            stacked=True,
        ),
    )


def _money() -> tuple[Panel, ...]:
    return (
        Panel(
            "gpu-hours",
            "GPU hours of the range",
            "Held by replicas, starting and draining ones included. Compare with the requests that each model answered "
            "(Overview).",
            (Query(in_range(scaler.GPU_SECONDS, "model", **MODEL) / HOUR_S, "{{model}}"),),
            Kind.BARS,
            Scale.COUNT,
            base=Colour.NEUTRAL,
            empty="no GPUs",
        ),
        Panel(
            "gpu-cost",
            "Cost of the range",
            "GPU time at the description's price of an hour. The Overview sets it against what the answers cost.",
            (Query(in_range(scaler.COST, "model", **MODEL), "{{model}}"),),
            Kind.BARS,
            Scale.USD,
            base=Colour.NEUTRAL,
            empty="no GPUs",
        ),
        Panel(
            "gpu-cost-per-hour",
            "Cost an hour",
            "What the replicas cost now. A step up is a replica; if none of the requests above needed it, the "
            "forecast was too high.",
            (Query(each_second(scaler.COST, "model", **MODEL) * HOUR_S, "{{model}}"),),
            scale=Scale.USD,
            stacked=True,
        ),
    )


def _loop() -> tuple[Panel, ...]:
    return (
        Panel(
            "blind",
            "Blind",
            "Whether replicas are held for lack of data. Blind: Held for lack of data says what is missing; until "
            "it is back nothing is scaled, in either direction.",
            (Query(largest(scaler.BLIND, "model", **MODEL), "{{model}}"),),
            Kind.STAT,
            Scale.NUMBER,
            height=6,
            thresholds=(Threshold(1, Colour.BAD),),
            states=(State(0, "sees", Colour.GOOD), State(1, "blind", Colour.BAD)),
        ),
        Panel(
            "holds",
            "Held for lack of data",
            "missing and stale: a scrape target is gone (Ray and nodes); unreachable: Prometheus or Ray's head; "
            "invalid: a figure that cannot be.",
            (Query(seen(scaler.HOLDS, "model", "cause", **MODEL), "{{model}}: {{cause}}"),),
            scale=Scale.PER_SECOND,
            height=6,
            empty="nothing was held",
        ),
        Panel(
            "input-age",
            "Age of the inputs",
            "Since the sample was taken that each query gave last. Above a minute the plan is held.",
            (Query(age(scaler.INPUT_TIME, "input"), "{{input}}"),),
            scale=Scale.SECONDS,
            height=6,
            thresholds=(Threshold(STALE_S, Colour.BAD),),
        ),
        Panel(
            "loop-time",
            "Time of a round",
            "Snapshot, plan, apply. Seconds: Prometheus or Ray's head is slow.",
            percentiles(scaler.LOOP),
            height=6,
            empty="no rounds",
        ),
        Panel(
            "last-round",
            "Since the last round",
            "Growing: the autoscaler hangs or is gone; its process and its log are next. Replicas stay as they are.",
            (Query(age(scaler.LAST_ROUND), "last round"),),
            Kind.STAT,
            Scale.SECONDS,
            height=6,
            thresholds=(Threshold(STALE_S, Colour.BAD),),
            empty="no autoscaler",
        ),
        Panel(
            "leader",
            "Leader",
            "Which process applies plans: one. None for longer than a lease: nobody scales; two: the lease is not "
            "shared.",
            (Query(largest(scaler.LEADER, "instance"), "{{instance}}"),),
            Kind.STAT,
            Scale.NUMBER,
            height=6,
            base=Colour.NEUTRAL,
            states=(State(0, "stands by", Colour.NEUTRAL), State(1, "leads", Colour.GOOD)),
            empty="no autoscaler",
        ),
    )
