"""What a Prometheus answers to a panel: series with a name each, over a range or at its end."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from observability.dashboards.every import resolved
from observability.dashboards.panel import Panel
from serve.errors import LocalError

# Expression, start, end (seconds since the epoch) and step (seconds), to series as Prometheus' HTTP API gives them:
# `metric` (labels) and `values` ([when, text] each).
Ask = Callable[[str, float, float, float], Sequence[Mapping[str, Any]]]

TIMEOUT_S = 30
POINTS = 240  # of a line: about as many as a panel has pixels to tell apart


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name, the number of its query, its labels and its samples. NaN is no sample."""

    name: str
    query: int
    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        """The newest sample; NaN where there is none."""
        return self.points[-1][1] if self.points else math.nan


@dataclass(frozen=True, slots=True)
class Range:
    """The time that a picture shows, and the distance of its samples, in seconds."""

    start: float
    end: float
    step: float
    window: str  # of rates: at least four scrapes

    @property
    def minutes(self) -> float:
        """Its length."""
        return (self.end - self.start) / 60


def last_minutes(minutes: float, end: float, scrape_s: float = 15) -> Range:
    """The range that ends at `end`. Raises ValueError for less than a minute."""
    if minutes < 1:
        raise ValueError(f"{minutes:g} minutes are too few to draw: at least 1")
    step = max(1.0, round(minutes * 60 / POINTS))
    # As Grafana's $__rate_interval: as long as the step and a scrape, and at least four scrapes.
    return Range(end - minutes * 60, end, step, f"{round(max(step + scrape_s, 4 * scrape_s))}s")


def fetch(panel: Panel, ask: Ask, shown: Range) -> list[Series]:
    """The panel's series, in the order of its queries; at the end of the range alone where it asks for that."""
    found = []
    since = f"{round(shown.end - shown.start)}s"
    start = shown.end if panel.instant else shown.start
    for number, query in enumerate(panel.queries):
        for one in ask(resolved(query.expr.text, shown.window, since), start, shown.end, shown.step):
            labels = dict(one["metric"])
            points = tuple((float(when), float(text)) for when, text in one["values"])
            kept = tuple(point for point in points if not math.isnan(point[1]))
            if kept:
                found.append(Series(query.name(labels), number, labels, kept))
    return found


def prometheus(url: str) -> Ask:
    """How a Prometheus at this address is asked. Raises LocalError for what is no address, and, when asked, where it
    does not answer."""
    base = _base(url)

    def ask(expression: str, start: float, end: float, step: float) -> Sequence[Mapping[str, Any]]:
        words = {"query": expression, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        result: Sequence[Mapping[str, Any]] = _data(f"{base}/api/v1/query_range", words)["result"]
        return result

    return ask


def scrape_interval(url: str) -> float:
    """Seconds between two scrapes, as the Prometheus is configured; 15 where it scrapes nothing. Raises LocalError
    where it does not answer."""
    active = _data(f"{_base(url)}/api/v1/targets?state=active", None)["activeTargets"]
    return max((_duration(one.get("scrapeInterval", "")) for one in active), default=15.0)


def _base(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise LocalError(f"{url!r} is no address of a Prometheus: http://… or https://…")
    return url.rstrip("/")


def _data(address: str, words: Mapping[str, str] | None) -> Any:
    body = urllib.parse.urlencode(words).encode() if words else None
    try:
        with urllib.request.urlopen(address, body, timeout=TIMEOUT_S) as answer:  # noqa: S310 - checked by _base
            return json.loads(answer.read())["data"]
    except urllib.error.HTTPError as error:
        said = error.read(2000).decode("utf-8", "replace")
        raise LocalError(f"{address} refuses ({error.code}): {said}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LocalError(f"{address} does not answer as a Prometheus: {error}") from error


def _duration(text: str) -> float:
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    for unit in ("ms", "s", "m", "h"):
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdigit():
            return float(number) * units[unit]
    return 15.0
