"""A dashboard without Grafana: rows of panels, each a question with its queries, its unit and what to do about it.

`build` makes Grafana's JSON of these objects, `picture` draws them, `reference` writes the page on them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from observability.dashboards.links import panel_id, uid
from observability.metric import Metric, Unit
from observability.promql import Expr

COLUMNS = 24  # of Grafana's grid
SPAN_S = 3600  # lines with gaps where nothing happened are drawn on over gaps this long
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


class Kind(StrEnum):
    """How a panel is drawn; the values are Grafana's names of its plugins."""

    LINES = "timeseries"
    STAT = "stat"
    BARS = "bargauge"
    TABLE = "table"
    HEATMAP = "heatmap"


class Scale(StrEnum):
    """How a value is written; the values are Grafana's names of its units."""

    COUNT = "short"
    NUMBER = "none"
    REQUESTS_PER_SECOND = "reqps"
    PER_SECOND = "cps"
    SECONDS = "s"
    USD = "currencyUSD"
    SHARE = "percentunit"
    PERCENT = "percent"
    BYTES = "bytes"


class Colour(StrEnum):
    """Colours of states, by Grafana's names."""

    GOOD = "green"
    WARN = "orange"
    BAD = "red"
    NEUTRAL = "blue"


# What a value of the catalogue is written as, where a query leaves its unit as it is.
SCALES = {
    Unit.COUNT: Scale.COUNT,
    Unit.SECONDS: Scale.SECONDS,
    Unit.USD: Scale.USD,
    Unit.TOKENS: Scale.COUNT,
    Unit.WORDS: Scale.COUNT,
    Unit.BYTES: Scale.BYTES,
    Unit.RATIO: Scale.NUMBER,
    Unit.POINTS: Scale.NUMBER,
}


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel. `legend` may hold {{labels}} of the result; in a table it is the column's title."""

    expr: Expr
    legend: str
    scale: Scale | None = None  # of a table's column; the panel's otherwise
    exemplars: bool = False

    def __post_init__(self) -> None:
        named = set(_PLACEHOLDER.findall(self.legend))
        if self.expr.labels is not None and not named <= self.expr.labels:
            raise ValueError(
                f"the legend {self.legend!r} names {sorted(named - self.expr.labels)}, which {self.expr.text} has not"
            )

    def name(self, labels: dict[str, str]) -> str:
        """The legend of a series with these labels."""
        return _PLACEHOLDER.sub(lambda found: labels.get(found[1], ""), self.legend)


@dataclass(frozen=True, slots=True)
class Threshold:
    """From this value on, this colour."""

    value: float
    colour: Colour


@dataclass(frozen=True, slots=True)
class State:
    """A value that has a name: 1 is `up`."""

    value: float
    text: str
    colour: Colour


@dataclass(frozen=True, slots=True)
class Panel:
    """A question, and what to do with the answer.

    `scale` may be left out where the queries read metrics of one unit and leave it as it is. `base` is the colour below
    the first threshold. `empty` says what has not happened where there is no sample at all, for panels in which that is
    no fault; without it there always are samples.
    """

    slug: str
    title: str
    description: str
    queries: tuple[Query, ...]
    kind: Kind = Kind.LINES
    scale: Scale | None = None
    width: int = 8
    height: int = 8
    base: Colour = Colour.GOOD
    thresholds: tuple[Threshold, ...] = ()
    states: tuple[State, ...] = ()
    stacked: bool = False
    logarithmic: bool = False
    least: float | None = 0
    most: float | None = None
    key: str = ""  # of a table: the label that its rows are
    empty: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.width <= COLUMNS:
            raise ValueError(f"{self.slug}: {self.width} columns of {COLUMNS}")
        if not self.queries:
            raise ValueError(f"{self.slug}: a panel asks something")
        if (self.kind is Kind.TABLE) != bool(self.key):
            raise ValueError(f"{self.slug}: tables, and only they, have a key")
        if self.scale is None and len({metric.unit for metric in self.metrics}) != 1:
            raise ValueError(f"{self.slug}: metrics of several units, so that the panel has to say its scale")

    @property
    def id(self) -> int:
        """Its number in the dashboard."""
        return panel_id(self.slug)

    @property
    def metrics(self) -> frozenset[Metric]:
        """Metrics of the catalogue that it reads."""
        return frozenset(metric for query in self.queries for metric in query.expr.metrics)

    @property
    def unit(self) -> Scale:
        """What its values are written as."""
        return self.scale or SCALES[next(iter(self.metrics)).unit]

    @property
    def sparse(self) -> bool:
        """Whether it has gaps where nothing happened (a quotient of nothing, a quantile of no observations), so that
        its lines are drawn on over them. Elsewhere a gap is a target that did not answer, and stays one."""
        texts = [query.expr.text for query in self.queries]
        return any((" > 0)" in text or " >= 0" in text) and "@ end()" not in text for text in texts)

    @property
    def instant(self) -> bool:
        """Whether it asks for the values at the end of the range alone."""
        sums_up = any("$__range" in query.expr.text for query in self.queries)
        return self.kind in (Kind.BARS, Kind.TABLE) or (self.kind is Kind.STAT and sums_up)


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one title, from left to right."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the dashboard's top: values of `label` among the series of `metrics`."""

    name: str
    metrics: tuple[Metric, ...]
    label: str
    title: str
    description: str
    within: tuple[str, ...] = ()  # variables that narrow this one

    @property
    def query(self) -> str:
        """What Grafana asks Prometheus for its values."""
        if len(self.metrics) == 1:
            selector = self.metrics[0].name
            inside = []
        else:
            selector = ""
            inside = [f'__name__=~"{"|".join(sorted(metric.name for metric in self.metrics))}"']
        inside += [f'{name}=~"${name}"' for name in self.within]
        return f"label_values({selector}{'{' + ', '.join(inside) + '}' if inside else ''}, {self.label})"


def targets(*metrics: Metric) -> tuple[Variable, Variable]:
    """The choice of scrape jobs and instances among those that have one of the metrics."""
    return (
        Variable("job", metrics, "job", "Job", "Scrape jobs that the figures come from."),
        Variable(
            "instance", metrics, "instance", "Instance",
            "Processes that the figures come from: one each worker or node.", ("job",),
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Placed:
    """A panel and where it stands on the grid."""

    panel: Panel
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Rows of panels with what may be chosen above them."""

    name: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    since: str = "now-1h"
    refresh: str = "30s"
    tags: tuple[str, ...] = field(default=("parlance",))

    @property
    def uid(self) -> str:
        """Its name in addresses."""
        return uid(self.name)

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels in their order."""
        return tuple(panel for row in self.rows for panel in row.panels)

    def panel(self, slug: str) -> Panel:
        """The panel of that slug. Raises ValueError where there is none."""
        for panel in self.panels:
            if panel.slug == slug:
                return panel
        raise ValueError(f"{self.name} has no panel {slug!r}: {', '.join(panel.slug for panel in self.panels)}")

    def layout(self) -> Iterator[tuple[Row, int, tuple[Placed, ...]]]:
        """Each row, the height at which its title stands, and its panels where they stand; lines wrap at the right."""
        y = 0
        for row in self.rows:
            title_at, x, y, tallest = y, 0, y + 1, 0
            placed = []
            for panel in row.panels:
                if x + panel.width > COLUMNS:
                    x, y, tallest = 0, y + tallest, 0
                placed.append(Placed(panel, x, y))
                x += panel.width
                tallest = max(tallest, panel.height)
            y += tallest
            yield row, title_at, tuple(placed)
