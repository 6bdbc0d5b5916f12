"""What answers: models, engines, Ray, HAProxy."""

from __future__ import annotations

from observability import autoscaler_metrics, foreign, metrics
from tests.support.alerts.case import Case, Expected, Fires, Input, Quiet, given

PAGE, TICKET = {"severity": "page"}, {"severity": "ticket"}


def _healthy(values: str, worker: str = "a:1") -> Input:
    return given(metrics.HEALTHY, values, model="m", instance=worker)


def _asked(values: str, outcome: str = "answered") -> Input:
    return given(metrics.TENANT_REQUESTS, values, tenant="acme", outcome=outcome)


def _overloaded(values: str, worker: str = "a:1") -> Input:
    return given(metrics.ERRORS, values, code="overloaded", instance=worker)


def _replica(kv: str, waiting: str, tokens: str, replica: str = "r1") -> tuple[Input, ...]:
    labels = {"model_name": "m", "ReplicaId": replica, "engine": "0"}
    return (
        given(foreign.VLLM_KV_USE, kv, **labels),
        given(foreign.VLLM_WAITING, waiting, **labels),
        given(foreign.VLLM_OUTPUT_TOKENS, tokens, **labels),
    )


def _preempted(once_at_most: str, requests: str) -> tuple[Input, ...]:
    labels = {"model_name": "m", "ReplicaId": "r1", "engine": "0"}
    return (
        given(foreign.VLLM_PREEMPTIONS, once_at_most, "_bucket", le="1.0", **labels),
        given(foreign.VLLM_PREEMPTIONS, requests, "_count", **labels),
    )


def _starts(minutes: tuple[int, ...], target: int) -> tuple[Input, ...]:
    """Replicas that start at these minutes; each is a series of its own that stays."""
    return (
        given(foreign.SERVE_TARGET, f"{target}x200", application="m"),
        *(
            given(foreign.SERVE_REPLICA_STARTS, f"_x{at} 1x{200 - at}", application="m", replica=f"r{number}")
            if at
            else given(foreign.SERVE_REPLICA_STARTS, "1x200", application="m", replica=f"r{number}")
            for number, at in enumerate(minutes)
        ),
    )


def _node(values: str, ip: str = "10.0.0.1", head: str = "true", instance: str = "a:1") -> Input:
    return given(foreign.NODE_CPU, values, ip=ip, IsHeadNode=head, instance=instance)


def _servers(values: str, proxy: str = "http-m", worker: str = "a:1") -> Input:
    return given(foreign.HAPROXY_SERVERS, values, proxy=proxy, instance=worker)


def _target(values: str) -> Input:
    return given(autoscaler_metrics.TARGET, values, model="m")


_MODELS: tuple[Case, ...] = (
    Fires(
        "ParlanceEngineDown",
        "both workers lose it",
        (_healthy("1x9 0x20"), _healthy("1x7 0x20", "b:1")),
        "10m",
        (Expected({**PAGE, "model": "m"}, "m is down: no gateway worker reaches it"),),
    ),
    Quiet(
        "ParlanceEngineDown",
        "one of two workers reaches it",
        (_healthy("1x9 0x20"), _healthy("1x30", "b:1")),
        ("9m", "20m"),
    ),
    Quiet("ParlanceEngineDown", "it is scaled to zero", (_healthy("0x30"), _target("0x30")), ("20m",)),
    Fires(
        "ParlanceEngineDown",
        "it should be awake again",
        (_healthy("0x30"), _target("0x9 1x20")),
        "10m",
        (Expected({**PAGE, "model": "m"}, "m is down: no gateway worker reaches it"),),
    ),
    Quiet(
        "ParlanceEngineDown",
        "a worker restarts: a minute without any figure",
        (_healthy("1x9 _ 0 1x20"),),
        ("10m", "12m", "14m"),
    ),
    Quiet("ParlanceEngineDown", "no series at all", (), ("10m",)),
    Fires(
        "ParlanceNoCapacity",
        "6 of 106 requests are refused",
        (_overloaded("0+6x30"), _asked("0+100x30")),
        "4m",
        (Expected(PAGE, "5.66% of requests are refused for lack of capacity"),),
    ),
    Fires(
        "ParlanceNoCapacity",
        "a flood of wrong keys does not hide it; two workers add up",
        (_overloaded("0+3x30"), _overloaded("0+3x30", "b:1"), _asked("0+100x30"), _asked("0+90000x30", "refused")),
        "4m",
        (Expected(PAGE, "5.66% of requests are refused for lack of capacity"),),
    ),
    Quiet("ParlanceNoCapacity", "5 of 105", (_overloaded("0+5x30"), _asked("0+100x30")), ("20m",)),
    Quiet("ParlanceNoCapacity", "too few: 15 refusals in 5m", (_overloaded("0+3x30"), _asked("0+3x30")), ("20m",)),
    Quiet(
        "ParlanceNoCapacity",
        "restarts",
        (_overloaded("500x10 0x20"), _asked("900+10x9 0+10x20")),
        ("10m", "11m", "20m"),
    ),
    Fires(
        "ParlanceModelFull",
        "21 of 100 decisions",
        (
            given(metrics.REJECTIONS, "0+21x60", model="m", code="no_capacity"),
            given(metrics.DECISION, "0+100x60", "_count"),
        ),
        "1m",
        (Expected({**TICKET, "model": "m"}, "m is full: it turns 0.35 requests a second away"),),
    ),
    Quiet(
        "ParlanceModelFull",
        "19 of 100 decisions, and many for other reasons",
        (
            given(metrics.REJECTIONS, "0+19x60", model="m", code="no_capacity"),
            given(metrics.REJECTIONS, "0+90x60", model="m", code="below_floor"),
            given(metrics.DECISION, "0+100x60", "_count"),
        ),
        ("5m", "60m"),
    ),
    Quiet(
        "ParlanceModelFull",
        "a restart",
        (
            given(metrics.REJECTIONS, "5000x20 0x40", model="m", code="no_capacity"),
            given(metrics.DECISION, "9000+10x20 0+10x40", "_count"),
        ),
        ("20m", "21m", "40m"),
    ),
)

_ENGINES: tuple[Case, ...] = (
    Fires(
        "ParlanceKvCacheSaturated",
        "96% and three wait",
        _replica("0.5x9 0.96x30", "3x60", "0+100x60"),
        "10m",
        (Expected({**TICKET, "model_name": "m"}, "KV cache of m is 96% full and requests wait"),),
    ),
    Quiet("ParlanceKvCacheSaturated", "94%", _replica("0.94x60", "3x60", "0+100x60"), ("30m",)),
    Quiet("ParlanceKvCacheSaturated", "full, and nobody waits", _replica("0.99x60", "0x60", "0+100x60"), ("30m",)),
    Quiet(
        "ParlanceKvCacheSaturated",
        "a dead replica's last figures stand still beside a live one",
        (*_replica("0.99x60", "9x60", "5000x60", "dead"), *_replica("0.4x60", "0x60", "0+100x60")),
        ("30m",),
    ),
    Fires(
        "ParlancePreemptions",
        "two in ten requests",
        _preempted("0+8x60", "0+10x60"),
        "3m",
        (Expected({**TICKET, "model_name": "m"}, "20% of m's requests are preempted again and again"),),
    ),
    Quiet("ParlancePreemptions", "4 in 100 requests", _preempted("0+96x60", "0+100x60"), ("10m", "60m")),
    Quiet(
        "ParlancePreemptions",
        "too few: four within the window",
        _preempted("0+1x10 10x3 11+1x45", "0+1x60"),
        ("12m", "30m"),
    ),
    Quiet("ParlancePreemptions", "a restart", _preempted("900+9x20 0+9x40", "1000+9x20 0+9x40"), ("20m", "22m", "40m")),
    Fires(
        "ParlanceColdStartLoop",
        "one replica is wanted, and the fifth in an hour starts",
        _starts((0, 70, 75, 80, 85, 90), 1),
        "90m",
        (Expected({**TICKET, "application": "m"}, "5 replicas of m were started within an hour"),),
    ),
    Quiet("ParlanceColdStartLoop", "four in an hour", _starts((0, 70, 75, 80, 85), 1), ("90m", "100m")),
    Quiet("ParlanceColdStartLoop", "from one to eight", _starts((0, 70, 71, 72, 73, 74, 75, 76), 8), ("90m", "120m")),
    Quiet("ParlanceColdStartLoop", "the whole cluster began within the hour", _starts((0, 0, 0, 1, 2, 3), 1), ("30m",)),
    Fires(
        "ParlanceRayHeadDown",
        "the head's targets are gone, a worker's is there",
        (_node("5x9 stale"), _node("5x30", "10.0.0.2", "false", "b:1")),
        "10m",
        (Expected(PAGE, "0 of 1 Ray heads report"),),
    ),
    Quiet(
        "ParlanceRayHeadDown",
        "a worker node leaves; the head is seen on two ports",
        (_node("5x30"), _node("5x30", instance="a:2"), _node("5x9 stale", "10.0.0.2", "false", "b:1")),
        ("9m", "20m"),
    ),
    Fires(
        "ParlanceHaproxyNoBackend",
        "one node's HAProxy has lost its servers",
        (_servers("2x9 0x20"), _servers("2x30", worker="b:1")),
        "10m",
        (Expected({**PAGE, "model": "m"}, "HAProxy has no server for m"),),
    ),
    Quiet("ParlanceHaproxyNoBackend", "one server is left", (_servers("2x9 1x20"),), ("20m",)),
    Quiet("ParlanceHaproxyNoBackend", "the model is scaled to zero", (_servers("0x30"), _target("0x30")), ("20m",)),
    Quiet(
        "ParlanceHaproxyNoBackend", "HAProxy's own backends have none", (_servers("0x30", "default_backend"),), ("20m",)
    ),
)

CASES: tuple[Case, ...] = (*_MODELS, *_ENGINES)
