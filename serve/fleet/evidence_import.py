"""Evidence out of result files: how far a model is below the reference on what both were measured on.

Per benchmark, `100 x (score - reference) / (reference - guess)` points: the catalogue's scale, on which the reference
is near 100 and guessing is 0. The scale matters: 4 of 100 right answers fewer are little where the reference has 90,
and much where it has 30 and guessing gets 25.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, variance
from typing import Final

from serve.fleet.card import EvidenceStatus
from serve.fleet.evidence import Row
from serve.fleet.evidence_benchmarks import READING
from serve.fleet.evidence_results import Results, Score
from serve.fleet.tasks import Task

Z95: Final = 1.96
# A reference this close to guessing tells nothing of others.
LEAST_ABOVE_GUESS: Final = 5.0
# The mean is made of these, and needs two of them: single tasks are no mean.
MEAN_OF: Final = (Task.CHAT, Task.SUMMARY, Task.EXTRACTION, Task.REASONING)


@dataclass(frozen=True, slots=True)
class Imported:
    """Rows of evidence, and what could not be compared, with the reason."""

    rows: tuple[Row, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Difference:
    benchmark: str
    metric: str
    points: float
    error: float | None


def differences(model: Results, reference: Results, reference_model: str | None, name: str | None) -> Imported:
    """The rows of every model of a file but the reference.

    `reference_model`: which of the reference file's models is the reference; None: its only one. `name`: what the
    model is called in the rows; None: as in its file. Raises ValueError where a file has several models and which one
    is meant was not said.
    """
    base = _reference(reference, reference_model)
    others = {score.model for score in model.scores} - {base}
    if name is not None and len(others) > 1:
        raise ValueError(f"the file has several models ({', '.join(sorted(others))}): leave out --model")
    by_key = {(score.key, score.language): score for score in reference.scores if score.model == base}
    found: dict[tuple[str, str, Task], dict[str, _Difference]] = defaultdict(dict)
    left_out = list(model.left_out)
    missing: dict[str, str] = {}
    for score in model.scores:
        if score.model == base:
            continue
        other = by_key.get((score.key, score.language))
        place = found[score.model, score.language, score.task]
        if score.benchmark in place:
            continue  # of several metrics the first that both have
        if other is None:
            missing.setdefault(score.benchmark, f"{score.benchmark}: not in the reference's results, or not alike")
        elif other.value - other.guess < LEAST_ABOVE_GUESS:
            left_out.append(
                f"{score.benchmark}: the reference itself ({other.value:.1f}) is hardly better than a guess"
            )
        else:
            place[score.benchmark] = _difference(score, other)
            missing.pop(score.benchmark, None)
    source = f"{model.program}; against {base}"
    rows: list[Row] = []
    for who in sorted(others):
        rows.extend(_rows(name or who, {key[1:]: value for key, value in found.items() if key[0] == who}, source))
    return Imported(tuple(rows), tuple(dict.fromkeys([*left_out, *missing.values()])))


def with_rows(before: Iterable[Row], new: Iterable[Row]) -> tuple[Row, ...]:
    """The rows of a file after an import: what is measured anew replaces, the rest stays."""
    rows = {(row.model, row.language, row.task): row for row in before}
    rows.update({(row.model, row.language, row.task): row for row in new})
    return tuple(rows.values())


def _reference(results: Results, wanted: str | None) -> str:
    models = sorted({score.model for score in results.scores})
    if wanted is not None and wanted in models:
        return wanted
    if len(models) == 1 and wanted is None:
        return models[0]
    known = ", ".join(models) or "none"
    raise ValueError(
        f"the reference's results have no model {wanted!r}: one of {known} (--reference-model)"
        if wanted is not None
        else f"the reference's results have several models: say which with --reference-model: {known}"
    )


def _difference(score: Score, reference: Score) -> _Difference:
    """Points on the catalogue's scale. The two errors add up as if the runs were independent, which is wider than for
    paired answers; the reference's error in the denominator is left out."""
    above = reference.value - reference.guess
    points = 100 * (score.value - reference.value) / above
    if READING in score.benchmark:
        points = min(points, 0.0)  # as in the catalogue: no evidence of being better
    error = None
    if score.error is not None and reference.error is not None:
        error = 100 * sqrt(score.error**2 + reference.error**2) / above
    return _Difference(score.benchmark, score.metric, max(-100.0, min(100.0, points)), error)


def _rows(name: str, found: Mapping[tuple[str, Task], Mapping[str, _Difference]], source: str) -> Iterable[Row]:
    by_language: dict[str, list[Row]] = defaultdict(list)
    for (language, task), some in sorted(found.items()):
        if some:
            points, half = _mean([(one.points, one.error) for one in some.values()])
            names = ", ".join(f"{one.benchmark} {one.metric}" for one in some.values())
            by_language[language].append(_row(name, language, task, points, half, f"{names}; {source}"))
    for language, rows in by_language.items():
        yield from rows
        of_mean = [row for row in rows if row.task in MEAN_OF and row.delta is not None]
        if len(of_mean) > 1:
            points = fmean(row.delta for row in of_mean if row.delta is not None)
            halves = [row.high - row.delta for row in of_mean if row.high is not None and row.delta is not None]
            half = sqrt(sum(one**2 for one in halves)) / len(halves) if len(halves) == len(of_mean) else None
            names = ", ".join(str(row.task) for row in of_mean)
            yield _row(name, language, None, points, half, f"mean of {names}; {source}")


def _mean(some: list[tuple[float, float | None]]) -> tuple[float, float | None]:
    """Mean of differences and half of its 95% interval: sampling error, and the spread between benchmarks where there
    are several. None where a benchmark has no error."""
    points = [one for one, _ in some]
    errors = [error for _, error in some if error is not None]
    if len(errors) < len(some):
        return fmean(points), None
    spread = variance(points) / len(points) if len(points) > 1 else 0.0
    return fmean(points), Z95 * sqrt(sum(error**2 for error in errors) / len(errors) ** 2 + spread)


def _row(name: str, language: str, task: Task | None, points: float, half: float | None, source: str) -> Row:
    low, high = (None, None) if half is None else (max(points - half, -200.0), min(points + half, 200.0))
    return Row(name, language, task, points, low, high, EvidenceStatus.OWN.value, source)
