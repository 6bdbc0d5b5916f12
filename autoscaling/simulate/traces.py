"""Traffic traces: the requests themselves, or windows with their rate, burstiness and mean lengths.

Two formats are read, told apart by their first line: `TIMESTAMP,ContextTokens,GeneratedTokens` (one line a request; the
Azure LLM inference traces), and `start_s,requests_per_s,arrival_cv,prompt_tokens_mean,output_tokens_mean` (one line a
window; what ServeGen's production rates come to).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from random import Random

from autoscaling.capacity.lengths import OUTPUT_CV, PROMPT_CV
from serve.errors import DescriptionError, Problem

REQUESTS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
WINDOWS = ("start_s", "requests_per_s", "arrival_cv", "prompt_tokens_mean", "output_tokens_mean")
# Windows of a trace of single requests.
WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class Window:
    """Traffic of a span of time. `cv` is the coefficient of variation of the times between arrivals: 1 for Poisson."""

    start_s: float
    seconds: float
    requests_per_s: float
    cv: float
    prompt: float
    output: float


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request: when, and its tokens."""

    at_s: float
    prompt: int
    output: int


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace as windows; `arrivals` are its own requests where it has them."""

    name: str
    windows: tuple[Window, ...]
    arrivals: tuple[Arrival, ...] = field(default=(), repr=False)

    @property
    def seconds(self) -> float:
        """From its first moment to its last."""
        last = self.windows[-1]
        return last.start_s + last.seconds

    @property
    def requests(self) -> float:
        """How many there are, or are to be expected."""
        return len(self.arrivals) or sum(w.requests_per_s * w.seconds for w in self.windows)

    def scaled(self, factor: float) -> Trace:
        """The same traffic `factor` times as dense; only of windows: requests cannot be multiplied."""
        if self.arrivals:
            raise ValueError(f"{self.name}: a trace of single requests has the rate that it has")
        return Trace(
            self.name,
            tuple(
                Window(w.start_s, w.seconds, w.requests_per_s * factor, w.cv, w.prompt, w.output) for w in self.windows
            ),
        )

    def first(self, seconds: float) -> Trace:
        """Its beginning, `seconds` long. Raises ValueError where nothing has begun by then."""
        windows = tuple(
            replace(w, seconds=min(w.seconds, seconds - w.start_s)) for w in self.windows if w.start_s < seconds
        )
        if not windows:
            raise ValueError(f"{self.name}: nothing of it is within the first {seconds:g} s")
        return Trace(self.name, windows, tuple(one for one in self.arrivals if one.at_s < seconds))

    def drawn(self, random: Random) -> Iterator[Arrival]:
        """Single requests: its own, or drawn so that rate, burstiness and mean lengths are each window's.

        Times between arrivals are gamma-distributed with the window's coefficient of variation (ServeGen's finding for
        production traffic), lengths log-normal.
        """
        if self.arrivals:
            yield from self.arrivals
            return
        for window in self.windows:
            yield from _draw(window, random)


def _draw(window: Window, random: Random) -> Iterator[Arrival]:
    if window.requests_per_s <= 0:
        return
    shape = 1 / max(window.cv, 1e-3) ** 2
    scale = 1 / (window.requests_per_s * shape)
    at, end = window.start_s, window.start_s + window.seconds
    # The first gap is one that the window's begin falls into: as if the process had run before.
    at += random.gammavariate(shape, scale) * random.random()
    while at < end:
        yield Arrival(at, _length(window.prompt, PROMPT_CV, random), _length(window.output, OUTPUT_CV, random))
        at += random.gammavariate(shape, scale)


def _length(mean: float, cv: float, random: Random) -> int:
    variance = math.log(1 + cv * cv)
    return max(1, round(random.lognormvariate(math.log(mean) - variance / 2, math.sqrt(variance))))


def read(path: Path) -> Trace:
    """The trace of a file. Raises DescriptionError with every line that is wrong, OSError when it cannot be read."""
    with path.open(encoding="utf-8", newline="") as lines:
        return parse(path.name, list(csv.reader(lines)), str(path))


def parse(name: str, rows: Sequence[Sequence[str]], source: str) -> Trace:
    """The trace of rows, the first of which names the columns. Raises DescriptionError."""
    header = tuple(rows[0]) if rows else ()
    body = [(number, row) for number, row in enumerate(rows[1:], 2) if row]
    if header not in (REQUESTS, WINDOWS) or not body:
        wanted = f"a header ({','.join(REQUESTS)} or {','.join(WINDOWS)}) and at least one line"
        raise DescriptionError(source, [Problem("line 1", ",".join(header), wanted)])
    problems: list[Problem] = []
    if header == REQUESTS:
        return Trace(name, *_requests(body, source, problems))
    return Trace(name, _windows(body, source, problems))


def _requests(
    rows: Sequence[tuple[int, Sequence[str]]], source: str, problems: list[Problem]
) -> tuple[tuple[Window, ...], tuple[Arrival, ...]]:
    found: list[Arrival] = []
    first: datetime | None = None
    for number, row in rows:
        try:
            stamp, prompt, output = row
            at = datetime.fromisoformat(stamp.strip())
            first = first or at
            arrival = Arrival((at - first).total_seconds(), int(prompt), int(output))
            if arrival.prompt < 0 or arrival.output < 0:
                raise ValueError
        except (ValueError, TypeError):
            problems.append(Problem(f"line {number}", ",".join(row), "a time (ISO 8601) and two counts of tokens"))
            continue
        found.append(arrival)
    _refuse(source, problems)
    found.sort(key=lambda one: one.at_s)
    return _windows_of(found), tuple(found)


def _windows_of(arrivals: Sequence[Arrival]) -> tuple[Window, ...]:
    """Windows of WINDOW_S with what came in each; an empty one has the lengths of the one before."""
    begin = arrivals[0].at_s
    count = int((arrivals[-1].at_s - begin) // WINDOW_S) + 1
    split: list[list[Arrival]] = [[] for _ in range(count)]
    for one in arrivals:
        split[int((one.at_s - begin) // WINDOW_S)].append(one)
    windows: list[Window] = []
    prompt = output = 1.0
    for index, inside in enumerate(split):
        if inside:
            prompt = max(sum(one.prompt for one in inside) / len(inside), 1.0)
            output = max(sum(one.output for one in inside) / len(inside), 1.0)
        gaps = [later.at_s - earlier.at_s for earlier, later in pairwise(inside)]
        windows.append(
            Window(begin + index * WINDOW_S, WINDOW_S, len(inside) / WINDOW_S, _variation(gaps), prompt, output)
        )
    return tuple(windows)


def _variation(gaps: Sequence[float]) -> float:
    """Their coefficient of variation; 1 where there are too few to say."""
    if len(gaps) < 2 or (mean := sum(gaps) / len(gaps)) <= 0:
        return 1.0
    return math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / (len(gaps) - 1)) / mean


def _windows(rows: Sequence[tuple[int, Sequence[str]]], source: str, problems: list[Problem]) -> tuple[Window, ...]:
    found: list[tuple[float, ...]] = []
    for number, row in rows:
        try:
            start, rate, cv, prompt, output = (float(value) for value in row)
        except ValueError:
            problems.append(Problem(f"line {number}", ",".join(row), "five numbers"))
            continue
        if not (0 <= start < math.inf and 0 <= rate < math.inf and 0 <= cv < math.inf):
            problems.append(Problem(f"line {number}", ",".join(row), "a start, a rate and a variation of 0 or more"))
        elif not (0 < prompt < math.inf and 0 < output < math.inf):
            problems.append(Problem(f"line {number}", ",".join(row), "mean lengths above 0"))
        elif found and start <= found[-1][0]:
            problems.append(Problem(f"line {number}", row[0], f"a start after the last one, {found[-1][0]:g}"))
        found.append((start, rate, cv, prompt, output))
    _refuse(source, problems)
    # The last window is as long as the one before it.
    starts = [one[0] for one in found]
    ends = [*starts[1:], starts[-1] + (starts[-1] - starts[-2] if len(starts) > 1 else WINDOW_S)]
    return tuple(Window(one[0], end - one[0], *one[1:]) for one, end in zip(found, ends, strict=True))


def _refuse(source: str, problems: list[Problem]) -> None:
    if problems:
        raise DescriptionError(source, problems)
