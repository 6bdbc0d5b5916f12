"""Service level indicators as recording rules: shares of bad requests and tokens, fleet-wide and by model.

For each indicator and window `<level>:<bad>:rate<w>` counts what was bad a second, `<level>:<all>:rate<w>` all that
counts, and `<level>:<bad>:ratio_rate<w>` is their quotient. Panels and alerts read these; nobody states the sums twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from observability import metrics
from observability.metric import Metric
from observability.promql import Expr, Matches, like, rate, recorded, unlike
from observability.rules.rule import Recording
from serve.fleet.slo import Slo

FLEET_WINDOWS = ("5m", "30m", "1h", "6h")
MODEL_WINDOWS = ("5m", "1h")

# A cut stream counts as a failure; what a client ended, or did not read, is no failure of the fleet.
BROKEN = "engine_failed|timeout"


@dataclass(frozen=True, slots=True)
class Indicator:
    """One indicator: the names of what is bad and of all that counts, and how each is summed over a window."""

    bad: str
    every: str
    metrics: frozenset[Metric]
    bad_rate: Callable[[Slo, str, tuple[str, ...]], Expr]
    every_rate: Callable[[str, tuple[str, ...]], Expr]

    def ratio(self, window: str, by_model: bool = False) -> Expr:
        """The recorded share of what was bad. NaN while nothing happened."""
        return self._recorded(f"{self.bad}:ratio_rate{window}", by_model)

    def bad_recorded(self, window: str, by_model: bool = False) -> Expr:
        """What was bad a second, recorded."""
        return self._recorded(f"{self.bad}:rate{window}", by_model)

    def every_recorded(self, window: str, by_model: bool = False) -> Expr:
        """All that counts a second, recorded."""
        return self._recorded(f"{self.every}:rate{window}", by_model)

    def recordings(self, slo: Slo) -> tuple[Recording, ...]:
        """Its rules for these objectives, each after those that it reads."""
        rules: list[Recording] = []
        for by_model, windows in ((False, FLEET_WINDOWS), (True, MODEL_WINDOWS)):
            by = ("model",) if by_model else ()
            for window in windows:
                bad, every = self.bad_recorded(window, by_model), self.every_recorded(window, by_model)
                rules.append(Recording(bad.text, self.bad_rate(slo, window, by)))
                rules.append(Recording(every.text, self.every_rate(window, by)))
                rules.append(Recording(self.ratio(window, by_model).text, bad / every))
        return tuple(rules)

    def _recorded(self, rest: str, by_model: bool) -> Expr:
        if by_model and not rest.endswith(MODEL_WINDOWS):
            raise ValueError(f"model:{rest} is not recorded: by model there are {', '.join(MODEL_WINDOWS)}")
        level, labels = ("model", frozenset(("model",))) if by_model else ("fleet", frozenset[str]())
        return recorded(f"{level}:{rest}", labels, self.metrics)


# Requests that the fleet could answer or fail. Those whose fault is the client's (4xx), and those that it left (499),
# are neither good nor bad: were they in the sum, a flood of wrong keys would hide an outage. Refusals for load (429)
# have an alert of their own.
#
# Fleet-wide they are counted by what the tenant had of them: the same events as below, in a few series that all exist
# from the start. A rate does not see a series' first value, and requests by model, language, class, status and reason
# begin a series with nearly every rare failure.


def _every_request(window: str, by: tuple[str, ...]) -> Expr:
    if not by:
        return rate(metrics.TENANT_REQUESTS, window, outcome=like("answered|failed")).by()
    # A request that reached none is no model's.
    return rate(metrics.REQUESTS, window, status=unlike("4.."), model=Matches("!=", "none")).by(*by)


def _failed_requests(slo: Slo, window: str, by: tuple[str, ...]) -> Expr:
    """5xx, and streams that broke after a 200."""
    if not by:
        return rate(metrics.TENANT_REQUESTS, window, outcome="failed").by()
    failed = rate(metrics.REQUESTS, window, status=like("5.."), model=Matches("!=", "none")).by(*by)
    broken = rate(metrics.ABORTS, window, cause=like(BROKEN)).by(*by)
    none = _every_request(window, by) * 0  # no such series yet is no failure
    return failed.or_(none) + broken.or_(none)


def _slow(metric: Metric, bound_s: float, window: str, by: tuple[str, ...]) -> Expr:
    if bound_s not in metric.buckets:
        raise ValueError(f"{metric.name} has no bucket {bound_s:g}: one of {metric.buckets}")
    within = rate(metric, window, "_bucket", le=repr(float(bound_s))).by(*by)
    return rate(metric, window, "_count").by(*by) - within


ERRORS = Indicator(
    "parlance_errors",
    "parlance_requests",
    frozenset((metrics.TENANT_REQUESTS, metrics.REQUESTS, metrics.ABORTS)),
    _failed_requests,
    _every_request,
)
TTFT = Indicator(
    "parlance_ttft_slow",
    "parlance_ttft",
    frozenset((metrics.TTFT,)),
    lambda slo, window, by: _slow(metrics.TTFT, slo.ttft_s, window, by),
    lambda window, by: rate(metrics.TTFT, window, "_count").by(*by),
)
ITL = Indicator(
    "parlance_itl_slow",
    "parlance_itl",
    frozenset((metrics.ITL,)),
    lambda slo, window, by: _slow(metrics.ITL, slo.itl_s, window, by),
    lambda window, by: rate(metrics.ITL, window, "_count").by(*by),
)
INDICATORS = (ERRORS, TTFT, ITL)


def errors(window: str, by_model: bool = False) -> Expr:
    """Share of requests that failed for a reason that is not the client's."""
    return ERRORS.ratio(window, by_model)


def ttft_slow(window: str, by_model: bool = False) -> Expr:
    """Share of first tokens later than the objective."""
    return TTFT.ratio(window, by_model)


def itl_slow(window: str, by_model: bool = False) -> Expr:
    """Share of further tokens later than the objective."""
    return ITL.ratio(window, by_model)


def recordings(slo: Slo) -> tuple[Recording, ...]:
    """All of them, for these objectives."""
    return tuple(rule for indicator in INDICATORS for rule in indicator.recordings(slo))
