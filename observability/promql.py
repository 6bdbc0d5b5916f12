"""PromQL from catalogue entries: a name or a label that does not exist is a Python error, not an empty panel.

    rate(REQUESTS, status=~"5..").by("model") / rate(REQUESTS).by("model")

Every expression knows the labels that its result has and the metrics that it reads, so that a panel's legend and an
alert's summary can be checked against them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from observability.metric import Exporter, Kind, Metric

# Grafana's own window: at least four scrapes, and as long as the step of the panel.
PANEL = "$__rate_interval"

# Labels that Prometheus adds to every series of a scrape.
TARGET = ("job", "instance")

_Number = int | float


@dataclass(frozen=True, slots=True)
class Matches:
    """A label matcher other than equality: `Matches("=~", "5..")`."""

    operator: str
    value: str

    def __post_init__(self) -> None:
        if self.operator not in ("=~", "!~", "!="):
            raise ValueError(f"{self.operator!r} is no matcher: =~, !~ and != are")


def like(pattern: str) -> Matches:
    """Matches a regular expression; a Grafana variable with several values is one."""
    return Matches("=~", pattern)


def unlike(pattern: str) -> Matches:
    """Does not match a regular expression."""
    return Matches("!~", pattern)


@dataclass(frozen=True, slots=True)
class Expr:
    """An expression, the labels of its result (None: whatever the series have), and the metrics that it reads."""

    text: str
    labels: frozenset[str] | None
    metrics: frozenset[Metric]
    atomic: bool = True
    selector: bool = False  # a plain name with matchers: what a range can be taken of

    def __str__(self) -> str:
        return self.text

    def by(self, *labels: str) -> Expr:
        """The sum by these labels; by none, of everything."""
        return aggregate("sum", self, *labels)

    def top(self, count: int) -> Expr:
        """The largest `count` series."""
        return Expr(f"topk({count}, {self.text})", self.labels, self.metrics)

    def over(self, window: str, function: str) -> Expr:
        """`function` (max, min, avg, …) of this expression over a window: of the samples of a plain selector, as a
        subquery at the default step of anything else."""
        step = "" if self.selector else ":"
        return Expr(f"{function}_over_time({self._inner()}[{window}{step}])", self.labels, self.metrics)

    def ago(self, offset: str) -> Expr:
        """The same series as they were. Raises ValueError for what is no plain selector: only those have an offset."""
        if not self.selector:
            raise ValueError(f"{self.text} is no selector: offset goes with one")
        return Expr(f"{self.text} offset {offset}", self.labels, self.metrics)

    def over_until(self, window: str, offset: str, function: str) -> Expr:
        """`function` of a plain selector's samples over the window that ended `offset` ago."""
        if not self.selector:
            raise ValueError(f"{self.text} is no selector: offset goes with one")
        return Expr(f"{function}_over_time({self.text}[{window}] offset {offset})", self.labels, self.metrics)

    def or_zero(self) -> Expr:
        """0 where there is no series: a counter that never counted is no unknown."""
        return Expr(f"{self._inner()} or vector(0)", self.labels, self.metrics, atomic=False)

    def or_(self, other: Expr) -> Expr:
        """These series, and of the other those whose labels these do not have."""
        return self._with("or", other)

    def scalar(self) -> Expr:
        """Its one value as a number, which joins with any labels; NaN, with which no comparison holds, where there is
        none. Raises ValueError for an expression with labels."""
        if self.labels:
            raise ValueError(f"{self.text} has labels: {sorted(self.labels)}")
        return Expr(f"scalar({self.text})", None, self.metrics)

    def rounded(self) -> Expr:
        """To whole numbers: an increase over a window is extrapolated, and counts 4.13 requests."""
        return Expr(f"round({self.text})", self.labels, self.metrics)

    def absolute(self) -> Expr:
        """Without the sign."""
        return Expr(f"abs({self.text})", self.labels, self.metrics)

    def renamed(self, old: str, new: str, pattern: str = "(.*)") -> Expr:
        """With what the pattern's first group finds in the label `old` as the label `new`. Raises ValueError where the
        series have no such label."""
        if self.labels is not None and old not in self.labels:
            raise ValueError(f"{self.text} has no label {old}: {sorted(self.labels)}")
        labels = None if self.labels is None else self.labels | {new}
        return Expr(f'label_replace({self.text}, "{new}", "$1", "{old}", "{_escaped(pattern)}")', labels, self.metrics)

    def _inner(self) -> str:
        return self.text if self.atomic else f"({self.text})"

    def _with(self, operator: str, other: Expr | _Number, flipped: bool = False) -> Expr:
        text, labels, metrics = (
            (other._inner(), other.labels, other.metrics)
            if isinstance(other, Expr)
            else (_plain(other), None, frozenset())
        )
        first, second = (text, self._inner()) if flipped else (self._inner(), text)
        known = self.labels if self.labels is not None else labels
        differ = self.labels is not None and labels is not None and self.labels != labels
        if isinstance(other, Expr) and differ and operator != "unless":
            raise ValueError(
                f"{operator} joins {sorted(self.labels or ())} with {sorted(labels or ())}: only equal labels match"
            )
        return Expr(f"{first} {operator} {second}", known, self.metrics | metrics, atomic=False)

    def __add__(self, other: Expr | _Number) -> Expr:
        return self._with("+", other)

    def __sub__(self, other: Expr | _Number) -> Expr:
        return self._with("-", other)

    def __rsub__(self, other: _Number) -> Expr:
        return self._with("-", other, flipped=True)

    def __mul__(self, other: Expr | _Number) -> Expr:
        return self._with("*", other)

    def __truediv__(self, other: Expr | _Number) -> Expr:
        return self._with("/", other)

    def above(self, bound: Expr | _Number) -> Expr:
        """The series above a bound."""
        return self._with(">", bound)

    def at_least(self, bound: Expr | _Number) -> Expr:
        """The series at or above a bound; NaN is neither, so that 0 drops quantiles of no observations."""
        return self._with(">=", bound)

    def per(self, other: Expr) -> Expr:
        """This, divided by the other where the other is above 0: no sample, and no NaN, where nothing happened."""
        return self / other.above(0)

    def below(self, bound: Expr | _Number) -> Expr:
        """The series below a bound."""
        return self._with("<", bound)

    def equals(self, value: _Number) -> Expr:
        """The series that have this value."""
        return self._with("==", value)

    def differs(self, other: Expr | _Number) -> Expr:
        """The series whose value is another."""
        return self._with("!=", other)

    def and_(self, other: Expr) -> Expr:
        """The series that both have."""
        return self._with("and", other)

    def where(self, other: Expr, *on: str) -> Expr:
        """The series for which the other has one with the same values of these labels; for none: while it has any."""
        for expr in (self, other):
            if expr.labels is not None and (missing := [label for label in on if label not in expr.labels]):
                raise ValueError(f"on {', '.join(missing)}: {expr.text} has {sorted(expr.labels)}")
        text = f"{self._inner()} and on ({', '.join(on)}) {other._inner()}"
        return Expr(text, self.labels, self.metrics | other.metrics, atomic=False)

    def unless(self, other: Expr) -> Expr:
        """The series that the other does not have."""
        return self._with("unless", other)


def series(metric: Metric, suffix: str = "", **matchers: str | Matches) -> Expr:
    """The series of a metric. Raises ValueError for a label that it does not have."""
    labels = frozenset((*metric.labels, *TARGET))
    return Expr(_selector(metric, suffix, matchers), labels, frozenset((metric,)), selector=True)


def rate(metric: Metric, window: str = PANEL, suffix: str = "", **matchers: str | Matches) -> Expr:
    """Increase a second of a counter, or of a histogram's `_count` or `_sum`."""
    return _ranged("rate", metric, window, suffix, matchers)


def increase(metric: Metric, window: str, suffix: str = "", at_end: bool = False, **matchers: str | Matches) -> Expr:
    """Increase of a counter over a window; `at_end`: over the window before the end of the range that is asked for, at
    each of its steps, so that what is chosen by it is the same at all of them."""
    return _ranged("increase", metric, window, suffix, matchers, " @ end()" if at_end else "")


def timestamp(metric: Metric, **matchers: str | Matches) -> Expr:
    """When each series of a gauge or a counter was sampled last, in seconds since the epoch."""
    inner = series(metric, "", **matchers)
    return Expr(f"timestamp({inner.text})", inner.labels, inner.metrics)


def slope(metric: Metric, window: str, **matchers: str | Matches) -> Expr:
    """Change a second of a gauge over a window, by linear regression. Raises ValueError for another kind."""
    if metric.kind is not Kind.GAUGE:
        raise ValueError(f"slope of {metric.name}: it takes a gauge")
    labels = frozenset((*metric.labels, *TARGET))
    return Expr(f"deriv({_selector(metric, '', matchers)}[{window}])", labels, frozenset((metric,)))


def _ranged(function: str, metric: Metric, window: str, suffix: str, matchers: Mapping[str, Any], at: str = "") -> Expr:
    if metric.kind is Kind.GAUGE or (metric.kind is Kind.HISTOGRAM and not suffix):
        raise ValueError(f"{function} of {metric.name}: it takes a counter, or a histogram's _count, _sum or _bucket")
    labels = frozenset((*metric.labels, *TARGET, *(("le",) if suffix == "_bucket" else ())))
    return Expr(f"{function}({_selector(metric, suffix, matchers)}[{window}]{at})", labels, frozenset((metric,)))


def quantile(q: float, metric: Metric, *by: str, window: str = PANEL, **matchers: str | Matches) -> Expr:
    """A quantile of a histogram over a window, by labels."""
    return quantile_of(q, rate(metric, window, "_bucket", **matchers).by(*by, "le"))


def quantile_of(q: float, buckets: Expr) -> Expr:
    """A quantile of a histogram's buckets. Raises ValueError where they have no `le`."""
    if buckets.labels is not None and "le" not in buckets.labels:
        raise ValueError(f"{buckets.text} has no label le: {sorted(buckets.labels)}")
    labels = None if buckets.labels is None else buckets.labels - {"le"}
    return Expr(f"histogram_quantile({_plain(q)}, {buckets.text})", labels, buckets.metrics)


def mean(metric: Metric, *by: str, window: str = PANEL, **matchers: str | Matches) -> Expr:
    """The mean of a histogram's observations over a window, by labels."""
    return rate(metric, window, "_sum", **matchers).by(*by) / rate(metric, window, "_count", **matchers).by(*by)


def share_within(bound_s: float, metric: Metric, *by: str, window: str = PANEL, **matchers: str | Matches) -> Expr:
    """The share of a histogram's observations that are at most `bound_s`. Raises ValueError where that is no bucket:
    between two of them nobody knows."""
    if metric.buckets and bound_s not in metric.buckets:
        raise ValueError(f"{metric.name} has no bucket {bound_s}: one of {metric.buckets}")
    within = rate(metric, window, "_bucket", le=_le(bound_s), **matchers).by(*by)
    return within / rate(metric, window, "_count", **matchers).by(*by)


def aggregate(function: str, expr: Expr, *by: str) -> Expr:
    """`function` (sum, max, min, avg, count) of the series by labels. Raises ValueError for one that they lack."""
    if expr.labels is not None and (missing := [label for label in by if label not in expr.labels]):
        raise ValueError(f"{function} by {', '.join(missing)}: {expr.text} has {sorted(expr.labels)}")
    clause = f" by ({', '.join(by)})" if by else ""
    return Expr(f"{function}{clause} ({expr.text})", frozenset(by), expr.metrics)


def absent(metric: Metric, **matchers: str | Matches) -> Expr:
    """1 where no such series exists."""
    equal = frozenset(name for name, value in matchers.items() if isinstance(value, str))
    if metric.exporter in (Exporter.GATEWAY, Exporter.AUTOSCALER):
        equal |= {"job"}  # the selector names it
    return Expr(f"absent({_selector(metric, '', matchers)})", equal, frozenset((metric,)))


def now() -> Expr:
    """Seconds since the epoch at the time of the evaluation."""
    return Expr("time()", None, frozenset())


def recorded(name: str, labels: frozenset[str], metrics: frozenset[Metric], **matchers: str | Matches) -> Expr:
    """The series of a recording rule; its labels are those that the rule gives."""
    if missing := [label for label in matchers if label not in labels]:
        raise ValueError(f"{name} has no label {', '.join(missing)}: {sorted(labels)}")
    inside = ", ".join(_matcher(label, value) for label, value in sorted(matchers.items()))
    return Expr(f"{name}{{{inside}}}" if inside else name, labels, metrics, selector=True)


def _selector(metric: Metric, suffix: str, matchers: Mapping[str, str | Matches]) -> str:
    if suffix and (metric.kind is not Kind.HISTOGRAM or suffix not in ("_bucket", "_count", "_sum")):
        raise ValueError(f"{metric.name}{suffix}: only histograms have _bucket, _count and _sum")
    known = {*metric.labels, *TARGET, *(("le",) if suffix == "_bucket" else ())}
    if missing := [label for label in matchers if label not in known]:
        raise ValueError(f"{metric.name} has no label {', '.join(missing)}: {sorted(known)}")
    given = dict(matchers)
    if metric.exporter in (Exporter.GATEWAY, Exporter.AUTOSCALER):
        given.setdefault("job", metric.exporter.value)
    inside = ", ".join(_matcher(label, value) for label, value in sorted(given.items()))
    return f"{metric.name}{suffix}{{{inside}}}"


def _matcher(label: str, value: str | Matches) -> str:
    operator, text = (value.operator, value.value) if isinstance(value, Matches) else ("=", value)
    return f'{label}{operator}"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _plain(number: _Number) -> str:
    return repr(float(number)).removesuffix(".0")


def _le(bound: float) -> str:
    # prometheus_client writes 1.0 for one second.
    return repr(float(bound))
