"""Metric families whose children are plain numbers of one thread: counting costs a dict, and a scrape little more.

prometheus_client takes a lock an increment, and writes the whole text in one piece, several times as slowly: at the
number of series that languages x models make, the loop that serves requests would stand still for tenths of a second
(`bench/gateway/metrics.py` measures both). Its registry, its data model and its parsers are used all the same: a test
holds the text written here to be byte for byte what it would write.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from prometheus_client import Metric as Collected
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

from observability.metric import Kind, Metric

Labels = tuple[str, ...]  # values in the order of the metric's labels
NONE: Labels = ()


class Registry(CollectorRegistry):
    """prometheus_client's registry that knows its collectors in order. Raises where two export one name."""

    def __init__(self) -> None:
        self.collectors: list[Collector] = []
        super().__init__()

    def register(self, collector: Collector) -> None:
        """Adds families, ours or prometheus_client's own."""
        super().register(collector)
        self.collectors.append(collector)

    def unregister(self, collector: Collector) -> None:
        """Takes one out again."""
        super().unregister(collector)
        self.collectors.remove(collector)


class Family(Collector):
    """The children of one metric, and their text. `lines` and `collect` say the same."""

    kind: ClassVar[Kind]

    def __init__(self, metric: Metric, registry: Registry) -> None:
        """Raises ValueError where the metric is of another kind."""
        if metric.kind is not self.kind:
            raise ValueError(f"{metric.name} is a {metric.kind}, not a {self.kind}")
        self.metric = metric
        registry.register(self)

    @abstractmethod
    def children(self) -> list[Labels]:
        """The labels of those that exist at this moment."""

    @abstractmethod
    def samples(self, labels: Labels) -> Iterator[Sample]:
        """The samples of one child."""

    @abstractmethod
    def text(self, labels: Labels, exemplars: bool) -> str:
        """The lines of one child; empty when it has gone. `exemplars`: in the OpenMetrics format."""

    def describe(self) -> Iterable[Collected]:
        """The family without children: what the registry compares names by."""
        return [self._family()]

    def collect(self) -> Iterable[Collected]:
        """The family in prometheus_client's data model."""
        family = self._family()
        family.samples = [sample for labels in self.children() for sample in self.samples(labels)]
        return [family]

    def _family(self) -> Collected:
        metric = self.metric
        name = metric.name.removesuffix("_total") if metric.kind is Kind.COUNTER else metric.name
        return Collected(name, metric.help, metric.kind.value)

    def _named(self, labels: Labels) -> dict[str, str]:
        return dict(zip(self.metric.labels, labels, strict=True))


class _Numbers(Family):
    """One number a child."""

    def __init__(self, metric: Metric, registry: Registry) -> None:
        super().__init__(metric, registry)
        self._starts: dict[Labels, str] = {}

    @abstractmethod
    def value(self, labels: Labels) -> float | None:
        """What is exposed of a child; None where it does not exist."""

    def samples(self, labels: Labels) -> Iterator[Sample]:
        """The one sample of a child."""
        value = self.value(labels)
        if value is not None:
            yield Sample(self.metric.name, self._named(labels), value)

    def text(self, labels: Labels, exemplars: bool) -> str:
        """The line of a child."""
        value = self.value(labels)
        if value is None:
            return ""
        start = self._starts.get(labels)
        if start is None:
            start = self._starts[labels] = line_start(self.metric.name, self._named(labels))
        return f"{start}{number(value)}\n"


class Count:
    """One child of a counter. Whoever counts often holds it, and adds to `value`."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class Counts(_Numbers):
    """A counter's children."""

    kind = Kind.COUNTER

    def __init__(self, metric: Metric, registry: Registry) -> None:
        super().__init__(metric, registry)
        self._counts: dict[Labels, Count] = {}

    def child(self, labels: Labels = NONE) -> Count:
        """The child of these labels, made where it does not exist."""
        found = self._counts.get(labels)
        if found is None:
            found = self._counts[labels] = Count()
        return found

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Adds to a child, which comes into being where it does not exist."""
        self.child(labels).value += amount

    def children(self) -> list[Labels]:
        """The labels of those that exist at this moment."""
        return list(self._counts)

    def value(self, labels: Labels) -> float | None:
        """What was counted."""
        found = self._counts.get(labels)
        return None if found is None else found.value


class NanoCounts(Counts):
    """A counter of whole billionths, so that a sum of many small amounts of money is exact."""

    def value(self, labels: Labels) -> float | None:
        """In the unit itself."""
        found = self._counts.get(labels)
        return None if found is None else found.value / 1e9


class Levels(_Numbers):
    """A gauge's children."""

    kind = Kind.GAUGE

    def __init__(self, metric: Metric, registry: Registry) -> None:
        super().__init__(metric, registry)
        self._values: dict[Labels, float] = {}

    def set(self, labels: Labels, value: float) -> None:
        """Sets a child, which comes into being where it does not exist."""
        self._values[labels] = value

    def remove(self, labels: Labels) -> None:
        """What is not known any more has no value."""
        self._values.pop(labels, None)
        self._starts.pop(labels, None)

    def keep(self, values: Mapping[Labels, float]) -> None:
        """These children and no others."""
        for labels in self._values.keys() - values.keys():
            self.remove(labels)
        self._values.update(values)

    def children(self) -> list[Labels]:
        """The labels of those that exist at this moment."""
        return list(self._values)

    def value(self, labels: Labels) -> float | None:
        """What was set last."""
        return self._values.get(labels)


class Spread:
    """One child of a histogram. Whoever observes often holds it: a call is a bisection and two additions."""

    __slots__ = ("bounds", "counts", "examples", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.examples: dict[int, Exemplar] = {}

    def observe(self, seconds: float) -> None:
        """One more value; a bucket's bound belongs to it."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def exemplify(self, seconds: float, trace_id: str, at: float) -> None:
        """An observed value's trace, which stands for its bucket until the next one. `at`: seconds since the epoch."""
        self.examples[bisect_left(self.bounds, seconds)] = Exemplar({"trace_id": trace_id}, seconds, at)


class Times(Family):
    """A histogram's children."""

    kind = Kind.HISTOGRAM

    def __init__(self, metric: Metric, registry: Registry) -> None:
        super().__init__(metric, registry)
        self._spreads: dict[Labels, Spread] = {}
        self._starts: dict[Labels, list[str]] = {}
        self._les = [number(bound) for bound in (*metric.buckets, float("inf"))]

    def child(self, labels: Labels = NONE) -> Spread:
        """The child of these labels, made where it does not exist."""
        found = self._spreads.get(labels)
        if found is None:
            found = self._spreads[labels] = Spread(self.metric.buckets)
        return found

    def children(self) -> list[Labels]:
        """The labels of those that exist at this moment."""
        return list(self._spreads)

    def samples(self, labels: Labels) -> Iterator[Sample]:
        """Cumulative buckets with their exemplars, count and sum."""
        spread, name, named = self._spreads[labels], self.metric.name, self._named(labels)
        below = 0
        for at, (le, count) in enumerate(zip(self._les, spread.counts, strict=True)):
            below += count
            yield Sample(f"{name}_bucket", named | {"le": le}, below, None, spread.examples.get(at))
        yield Sample(f"{name}_count", named, below)
        yield Sample(f"{name}_sum", named, spread.total)

    def text(self, labels: Labels, exemplars: bool) -> str:
        """The lines of a child, which belong together: between two of them nothing else is counted."""
        spread = self._spreads[labels]
        starts = self._starts.get(labels)
        if starts is None:
            starts = self._starts[labels] = self._starts_of(labels)
        examples = spread.examples if exemplars else {}
        below, out = 0, []
        for at, count in enumerate(spread.counts):
            below += count
            found = examples.get(at) if examples else None
            out.append(f"{starts[at]}{number(below)}{exemplar(found) if found is not None else ''}\n")
        out.append(f"{starts[-2]}{number(below)}\n{starts[-1]}{number(spread.total)}\n")
        return "".join(out)

    def _starts_of(self, labels: Labels) -> list[str]:
        name, named = self.metric.name, self._named(labels)
        buckets = [line_start(f"{name}_bucket", named | {"le": le}) for le in self._les]
        return [*buckets, line_start(f"{name}_count", named), line_start(f"{name}_sum", named)]


def number(value: float) -> str:
    """A value as the text formats write it."""
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def line_start(name: str, labels: dict[str, str]) -> str:
    """A sample's line up to its value, labels sorted by name."""
    if not labels:
        return f"{name} "
    return f"{name}{{{_pairs(labels)}}} "


def _pairs(labels: Mapping[str, str]) -> str:
    return ",".join([f'{key}="{escaped(value)}"' for key, value in sorted(labels.items())])


def escaped(value: str) -> str:
    """A label's value, or help in OpenMetrics, between quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def exemplar(example: Exemplar) -> str:
    """What follows a bucket's value in OpenMetrics."""
    at = f" {example.timestamp}" if example.timestamp is not None else ""
    return f" # {{{_pairs(example.labels)}}} {number(example.value)}{at}"
