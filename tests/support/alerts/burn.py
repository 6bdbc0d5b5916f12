"""Error budgets that burn: every objective at every rate, each window that holds the other back, too little traffic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from observability import metrics
from observability.metric import Metric
from tests.support.alerts.case import Case, Expected, Fires, Input, Quiet, given

FAST = {"severity": "page", "long": "1h", "short": "5m"}
SLOW = {"severity": "page", "long": "6h", "short": "30m"}
CREEPING = {"severity": "ticket", "long": "3d", "short": "6h"}


@dataclass(frozen=True)
class Objective:
    """An alert, what its summary says of the share, the budget, and the series of so many good and bad events."""

    alert: str
    says: str
    budget: float
    inputs: Callable[[str, str, str], tuple[Input, ...]]  # all, good, bad: samples


def _of_tenants(outcome: str, values: str, worker: str = "a:1") -> Input:
    return given(metrics.TENANT_REQUESTS, values, tenant="acme", outcome=outcome, instance=worker)


def _requests(_every: str, good: str, bad: str) -> tuple[Input, ...]:
    return _of_tenants("answered", good), _of_tenants("failed", bad)


def _of_model(status: str, values: str, model: str = "m") -> Input:
    labels = {"model": model, "language": "nb", "tenant_class": "standard", "status": status, "reason": "cheapest"}
    return given(metrics.REQUESTS, values, **labels)


def _histogram(metric: Metric, bound: str) -> Callable[[str, str, str], tuple[Input, ...]]:
    return lambda every, good, _bad: (
        given(metric, good, "_bucket", model="m", le=bound),
        given(metric, every, "_bucket", model="m", le="+Inf"),
        given(metric, every, "_count", model="m"),
    )


AVAILABILITY = Objective("ParlanceAvailabilityBurn", "requests failed", 0.005, _requests)
OBJECTIVES = (
    AVAILABILITY,
    Objective("ParlanceTtftBurn", "first tokens came after 2.5 s", 0.01, _histogram(metrics.TTFT, "2.5")),
    Objective("ParlanceItlBurn", "further tokens came after 0.1 s", 0.01, _histogram(metrics.ITL, "0.1")),
)


def steady(objective: Objective, share: float, minutes: int, step: int = 1) -> tuple[Input, ...]:
    """That share of 100,000 events a minute is bad, from the beginning."""
    every, bad = 100_000 * step, round(100_000 * share) * step
    return objective.inputs(*(f"0+{each}x{minutes // step}" for each in (every, every - bad, bad)))


def outage(objective: Objective, before: int, lasts: int, after: int) -> tuple[Input, ...]:
    """100 good events a minute; then half of them bad; then good again."""
    good = f"0+100x{before} {100 * before + 50}+50x{lasts - 1} {100 * before + 50 * lasts + 100}+100x{after}"
    bad = f"0x{before} 50+50x{lasts - 1} {50 * lasts}x{after}"
    return objective.inputs(f"0+100x{before + lasts + after}", good, bad)


def _cases(objective: Objective) -> tuple[Case, ...]:
    alert, budget = objective.alert, objective.budget

    def fires(labels: dict[str, str], share: str, times: str) -> tuple[Expected, ...]:
        return (Expected(labels, f"{share}% of {objective.says} in {labels['long']}, over {times}the budget"),)

    return (
        Fires(
            alert,
            "14.5 times the budget, from the first scrape on",
            steady(objective, 14.5 * budget, 120),
            "1m",
            fires(FAST, f"{1450 * budget:.4g}", "14.4 times "),
        ),
        Quiet(alert, "14.3 times the budget is not fast", steady(objective, 14.3 * budget, 120), ("10m", "2h"), FAST),
        Fires(
            alert,
            "6.1 times the budget",
            steady(objective, 6.1 * budget, 400),
            "1m",
            fires(SLOW, f"{610 * budget:.4g}", "6 times "),
        ),
        Quiet(alert, "5.9 times the budget is not slow", steady(objective, 5.9 * budget, 400), ("20m", "6h"), SLOW),
        Fires(
            alert,
            "1.1 times the budget",
            steady(objective, 1.1 * budget, 400),
            "1m",
            fires(CREEPING, f"{110 * budget:.4g}", ""),
        ),
        Quiet(
            alert,
            "0.9 times the budget for a while",
            steady(objective, 0.9 * budget, 800, 5),
            ("1h", "13h"),
            interval="5m",
        ),
        Quiet(
            alert,
            "no series at all",
            (),
            ("5m", "6h"),
        ),
    )


def _outages() -> tuple[Case, ...]:
    alert = AVAILABILITY.alert
    return (
        Quiet(
            alert,
            "six bad hours after three good days are not yet a month's budget in the making",
            AVAILABILITY.inputs(
                "0+500000x940",
                f"0+500000x864 {864 * 500_000}+{round(500_000 * (1 - 1.1 * AVAILABILITY.budget))}x75",
                f"0x864 0+{round(500_000 * 1.1 * AVAILABILITY.budget)}x75",
            ),
            ("72h", "78h"),
            CREEPING,
            interval="5m",
        ),
        Fires(
            alert,
            "half of all requests fail after two good hours: an hour's share passes the bound after 9 minutes",
            outage(AVAILABILITY, 120, 60, 1),
            "129m",
            (Expected(FAST, "9.167% of requests failed in 1h, over 14.4 times the budget"),),
        ),
        Quiet(
            alert,
            "a spike: five minutes burn, the hour does not",
            outage(AVAILABILITY, 120, 6, 60),
            ("126m", "130m"),
            FAST,
        ),
        Quiet(
            alert,
            "over: the hour still burns, the last five minutes do not",
            outage(AVAILABILITY, 120, 20, 60),
            ("147m", "160m"),
            FAST,
        ),
        Quiet(
            alert,
            "clients that leave are no failures",
            (_of_tenants("answered", "0+100x60"), _of_tenants("left", "0+100x60")),
            ("10m", "60m"),
        ),
        Fires(
            alert,
            "a flood of wrong keys hides no outage",
            (
                _of_tenants("answered", "0+90x60"),
                _of_tenants("failed", "0+10x60"),
                _of_tenants("refused", "0+100000x60"),
            ),
            "1m",
            (Expected(FAST, "10% of requests failed in 1h, over 14.4 times the budget"),),
        ),
        Quiet(
            alert,
            "too little traffic: 9 of 20 requests failed within the hour",
            (_of_tenants("answered", "0x30 0+1x11 11x60"), _of_tenants("failed", "0x30 0+1x9 9x60")),
            ("40m", "60m", "70m"),
            FAST,
        ),
        Fires(
            alert,
            "two workers add up: neither has enough failures alone",
            (
                _of_tenants("answered", "0x60 0+1x10 10x60", "a:1"),
                _of_tenants("failed", "0x60 0+1x6 6x60", "a:1"),
                _of_tenants("answered", "0x60 0+1x10 10x60", "b:1"),
                _of_tenants("failed", "0x60 0+1x6 6x60", "b:1"),
            ),
            "66m",
            (Expected(FAST, "46.15% of requests failed in 1h, over 14.4 times the budget"),),
        ),
        Quiet(
            alert,
            "restarts: counters begin anew, again and again, and the few failures before stay few",
            (
                _of_tenants("answered", "0+100x20 0+100x20 0+100x20 0+100x60"),
                _of_tenants("failed", "9x20 0x20 0x20 0x60"),
                _of_tenants("answered", "50000+100x120", "b:1"),
                _of_tenants("failed", "500x120", "b:1"),
            ),
            ("21m", "41m", "61m", "110m"),
        ),
    )


_MODELS: tuple[Case, ...] = (
    Fires(
        "ParlanceModelFailing",
        "one model of many fails: too few to burn the fleet's budget",
        (
            _of_model("502", "0+1x120", "small"),
            _of_model("200", "0+4x120", "small"),
            _of_model("200", "0+9000x120", "large"),
        ),
        "10m",
        (Expected({"severity": "ticket", "model": "small"}, "small fails 20% of its requests"),),
    ),
    Fires(
        "ParlanceModelFailing",
        "streams that break after a 200 count, and no 5xx was ever told",
        (
            _of_model("200", "0+100x120"),
            given(metrics.ABORTS, "0+6x120", model="m", cause="engine_failed"),
            given(metrics.ABORTS, "0+4x120", model="m", cause="timeout"),
        ),
        "2m",
        (Expected({"severity": "ticket", "model": "m"}, "m fails 10% of its requests"),),
    ),
    Quiet(
        "ParlanceModelFailing",
        "clients that leave, or do not read, are no failures",
        (
            _of_model("200", "0+100x120"),
            _of_model("499", "0+100x120"),
            given(metrics.ABORTS, "0+50x120", model="m", cause="client_left"),
            given(metrics.ABORTS, "0+50x120", model="m", cause="slow_client"),
        ),
        ("10m", "2h"),
    ),
    Quiet(
        "ParlanceModelFailing",
        "7.1% is just under, and what reached no model is no model's failure",
        (_of_model("502", "0+71x120"), _of_model("200", "0+929x120"), _of_model("503", "0+50x120", "none")),
        ("10m", "2h"),
    ),
)

CASES: tuple[Case, ...] = (*(case for objective in OBJECTIVES for case in _cases(objective)), *_outages(), *_MODELS)
