"""Alerts on error budgets that burn: several windows, several rates, as in Google's SRE Workbook, chapter 5.

A burn rate is the share of bad events over the share that the objective allows; at 1 a month's budget lasts a month.
Both windows of a rule must burn: the long one shows that it matters, the short one that it still goes on. Table 5-8 has
the rates: 2 % of a month's budget in an hour (14.4), 5 % in six hours (6), 10 % in three days (1).
"""

from __future__ import annotations

from dataclasses import dataclass

from observability.promql import Expr
from observability.rules import slis
from observability.rules.rule import Alert, Severity
from observability.rules.slis import Indicator
from serve.fleet.slo import Slo

# Where an objective is so loose that a rate times its budget exceeds this, the alert is on this share instead: a share
# above 1 cannot be.
WORST_SHARE = 0.9

# Too little traffic: one failure of ten requests at night is a share of 10 %, and nothing to wake a person for. So many
# must have been bad within the long window. A model that is down altogether has an alert that needs no traffic.
FEWEST_REQUESTS = 10
# Of the gaps between tokens: about ten answers' worth.
FEWEST_TOKENS = 1000


@dataclass(frozen=True, slots=True)
class Burn:
    """A rate and the windows over which it must hold. `seconds` is the long one's length."""

    factor: float  # how many times the budget
    long: str
    short: str
    seconds: int
    hold: str
    severity: Severity


FAST = Burn(14.4, "1h", "5m", 3600, "2m", Severity.PAGE)
SLOW = Burn(6, "6h", "30m", 6 * 3600, "15m", Severity.PAGE)
CREEPING = Burn(1, "3d", "6h", 3 * 86_400, "1h", Severity.TICKET)
BURNS = (FAST, SLOW, CREEPING)


@dataclass(frozen=True, slots=True)
class Promise:
    """An indicator, and the share of bad events that its objective allows."""

    name: str
    indicator: Indicator
    budget: float
    fewest: int
    what: str  # of the requests or tokens, said of the share
    means: str
    panel: tuple[str, str]


def promises(slo: Slo) -> tuple[Promise, ...]:
    """What these objectives promise."""
    late, in_time = 1 - slo.attainment, _percent(slo.attainment)
    return (
        Promise(
            "ParlanceAvailabilityBurn",
            slis.ERRORS,
            1 - slo.availability,
            FEWEST_REQUESTS,
            "requests failed",
            f"Requests end in a 5xx or a broken stream; the objective is that {_percent(slo.availability)} do not.",
            ("overview", "burn-errors"),
        ),
        Promise(
            "ParlanceTtftBurn",
            slis.TTFT,
            late,
            FEWEST_REQUESTS,
            f"first tokens came after {slo.ttft_s:g} s",
            f"Clients wait for the first token; the objective is that {in_time} come within {slo.ttft_s:g} s.",
            ("overview", "burn-ttft"),
        ),
        Promise(
            "ParlanceItlBurn",
            slis.ITL,
            late,
            FEWEST_TOKENS,
            f"further tokens came after {slo.itl_s:g} s",
            f"Streams are slow; the objective is that {in_time} of tokens follow within {slo.itl_s:g} s.",
            ("overview", "burn-itl"),
        ),
    )


def alerts(slo: Slo) -> tuple[Alert, ...]:
    """For every promise, every rate; and models that burn the fleet's budget of failures by themselves."""
    fleet = tuple(_alert(promise, burn) for promise in promises(slo) for burn in BURNS)
    return (*fleet, _failing_model(promises(slo)[0]))


def bound(factor: float, budget: float) -> float:
    """The share of bad events from which a budget burns at this rate, kept below 1."""
    return round(min(factor * budget, WORST_SHARE), 9)


def _alert(promise: Promise, burn: Burn) -> Alert:
    share = bound(burn.factor, promise.budget)
    expr = _share(promise.indicator, burn.long).above(share)
    expr = expr.and_(promise.indicator.ratio(burn.short).above(share))
    expr = expr.and_((_bad(promise.indicator, burn.long) * burn.seconds).at_least(promise.fewest))
    return Alert(
        promise.name,
        burn.severity,
        expr,
        burn.hold,
        f"over {_percent(share)} of {promise.what} in {burn.long} and in {burn.short} ({_times(burn.factor)}), and at "
        f"least {promise.fewest:,} in {burn.long}",
        f"{{{{ $value | humanizePercentage }}}} of {promise.what} in {burn.long}, over {_times(burn.factor)}",
        f"{promise.means} At this rate a month's budget lasts {_lasts(burn.factor)}.",
        promise.panel,
        labels={"long": burn.long, "short": burn.short},
    )


def _failing_model(promise: Promise) -> Alert:
    indicator, share = promise.indicator, bound(FAST.factor, promise.budget)
    bad = indicator.bad_recorded("1h", by_model=True) * 3600
    expr = indicator.ratio("1h", by_model=True).above(share)
    expr = expr.and_(indicator.ratio("5m", by_model=True).above(share)).and_(bad.at_least(promise.fewest))
    return Alert(
        "ParlanceModelFailing",
        Severity.TICKET,
        expr,
        "5m",
        f"a model fails {_percent(share)} of its requests over 1h and over 5m, and at least {promise.fewest} in 1h",
        "{{ $labels.model }} fails {{ $value | humanizePercentage }} of its requests",
        "Requests to {{ $labels.model }} end in a 5xx or a broken stream. Among all models' requests it may be too "
        "few to burn the fleet's budget.",
        ("overview", "errors"),
    )


def _share(indicator: Indicator, window: str) -> Expr:
    if window in slis.FLEET_WINDOWS:
        return indicator.ratio(window)
    # Beyond the longest recorded window: the means of its rates, each weighed by what happened, at the price of reading
    # recorded series only.
    return _bad(indicator, window) / indicator.every_recorded("6h").over(window, "avg")


def _bad(indicator: Indicator, window: str) -> Expr:
    if window in slis.FLEET_WINDOWS:
        return indicator.bad_recorded(window)
    return indicator.bad_recorded("6h").over(window, "avg")


def _percent(share: float) -> str:
    return f"{share * 100:.6g}%"


def _times(factor: float) -> str:
    return "the budget" if factor == 1 else f"{factor:g} times the budget"


def _lasts(factor: float) -> str:
    hours = 30 * 24 / factor
    return f"{hours:.0f} hours" if hours < 72 else f"{hours / 24:.0f} days"
