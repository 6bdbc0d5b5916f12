"""Evidence files: quality by model, language and task, as the catalogue ships them and as a fleet's owner adds them.

A file is TSV. It begins with `# format: 2` and `# newest: DATE` (of the newest source that went into it); further
lines that begin with # are comments; then the columns, and one row a figure. In `task` stands a task, or `mean` for
the generative tasks together. An empty `delta` is no evidence: it never counts as 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from serve.errors import DescriptionError, Problem
from serve.fleet.base import Tag
from serve.fleet.card import EvidenceStatus, Quality
from serve.fleet.tasks import Task

FORMAT: Final = 2
COLUMNS: Final = ("model", "language", "task", "delta", "low", "high", "status", "source")
MEAN: Final = "mean"
NONE: Final = "none"  # the status of a row that says: nothing was found

_TAG: TypeAdapter[str] = TypeAdapter(Tag)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TASKS = tuple(Task)
_WITHOUT_FIGURES = (NONE, EvidenceStatus.DECLARED.value)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one model. `task` None: the generative tasks together. `delta` None: no evidence."""

    model: str
    language: str
    task: Task | None
    delta: float | None
    low: float | None
    high: float | None
    status: str
    source: str
    line: int = 0  # in its file, for messages


@dataclass(frozen=True, slots=True)
class Evidence:
    """A file's rows, and the date of the newest source that they come from."""

    newest: str
    rows: tuple[Row, ...]


def parse(text: str, source: str) -> Evidence:
    """The evidence of a file's text. Raises DescriptionError with every problem: line, field, value, allowed."""
    problems: list[Problem] = []
    comments: dict[str, tuple[int, str]] = {}
    lines: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#"):
            key, _, value = line[1:].partition(":")
            comments.setdefault(key.strip(), (number, value.strip()))
        elif line.strip():
            lines.append((number, line))
    number, version = comments.get("format", (1, ""))
    if version != str(FORMAT):
        problems.append(Problem(f"line {number}, format", version, f"the file must begin with `# format: {FORMAT}`"))
    number, newest = comments.get("newest", (1, ""))
    if not _DATE.fullmatch(newest):
        problems.append(Problem(f"line {number}, newest", newest, "`# newest:` gives a date such as 2026-04-20"))
    if not lines or tuple(lines[0][1].split("\t")) != COLUMNS:
        place, found = (lines[0][0], lines[0][1][:60]) if lines else (1, "")
        problems.append(Problem(f"line {place}", found, f"the columns are {', '.join(COLUMNS)}, with tabs between"))
    if problems:
        raise DescriptionError(source, problems)
    rows: dict[tuple[str, str, Task | None], Row] = {}
    for number, line in lines[1:]:
        row = _row(number, line, problems)
        if row is not None:
            first = rows.setdefault((row.model, row.language, row.task), row)
            if first is not row:
                problems.append(
                    Problem(
                        f"line {number}",
                        f"{row.model} {row.language} {row.task or MEAN}",
                        f"stands on line {first.line} already",
                    )
                )
    if problems:
        raise DescriptionError(source, problems)
    return Evidence(newest, tuple(rows.values()))


def render(rows: Iterable[Row], newest: str, comment: str = "") -> str:
    """The text of a file with these rows, sorted, figures to a tenth of a point. The same rows give the same bytes."""
    out = [f"# format: {FORMAT}", f"# newest: {newest}", *(f"# {line}".rstrip() for line in comment.splitlines())]
    out.append("\t".join(COLUMNS))
    for row in sorted(rows, key=lambda row: (row.model, row.language, _TASKS.index(row.task) + 1 if row.task else 0)):
        figures = ["" if value is None else f"{value:.1f}" for value in (row.delta, row.low, row.high)]
        fields = [row.model, row.language, row.task.value if row.task else MEAN, *figures, row.status, row.source]
        out.append("\t".join(" ".join(field.split()) for field in fields))
    return "\n".join(out) + "\n"


def by_model(rows: Iterable[Row], status: EvidenceStatus | None = None) -> dict[str, dict[str, dict[str, Any]]]:
    """The rows with figures as `quality` of cards, not yet validated: model, language, fields of `Quality`.

    `status`: what all of them count as; None: what each row says.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        if row.delta is None:
            continue
        figures = {key: value for key in ("delta", "low", "high") if (value := getattr(row, key)) is not None}
        entry = figures | {"status": (status or EvidenceStatus(row.status)).value, "source": row.source}
        place = found.setdefault(row.model, {}).setdefault(row.language, {})
        if row.task is None:
            place.update(entry)
        else:
            place.setdefault("tasks", {})[row.task.value] = entry
    return found


def merged(base: Mapping[str, Any], over: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`quality` by language with more evidence on top: a figure replaces the figure of its language and task whole.

    A task's figure says nothing of the other tasks: their figures, and the mean, stay.
    """
    out = dict(base)
    for language, entry in over.items():
        before = dict(out.get(language) or {})
        tasks = {**before.get("tasks", {}), **entry.get("tasks", {})}
        mean = entry if "delta" in entry else before
        whole = {key: value for key, value in mean.items() if key != "tasks"}
        out[language] = whole | ({"tasks": tasks} if tasks else {})
    return out


def _row(number: int, line: str, problems: list[Problem]) -> Row | None:
    fields = line.split("\t")
    if len(fields) != len(COLUMNS):
        wanted = f"{len(COLUMNS)} are wanted, with tabs between: {', '.join(COLUMNS)}"
        problems.append(Problem(f"line {number}", f"{len(fields)} fields", wanted))
        return None
    model, language, task, *figures, status, source = (field.strip() for field in fields)
    before = len(problems)

    def wrong(field: str, value: str, allowed: str) -> None:
        problems.append(Problem(f"line {number}, {field}", repr(value), allowed))

    if not model:
        wrong("model", model, "a model's name")
    try:
        _TAG.validate_python(language)
    except ValidationError:
        wrong("language", language, "a language tag such as nb or sr-Latn")
    if task != MEAN and task not in _TASKS:
        wrong("task", task, f"one of {MEAN}, {', '.join(_TASKS)}")
    statuses = (*(status.value for status in EvidenceStatus), NONE)
    if status not in statuses:
        wrong("status", status, f"one of {', '.join(statuses)}")
    values: list[float | None] = []
    for field, text in zip(("delta", "low", "high"), figures, strict=True):
        try:
            values.append(float(text) if text else None)
        except ValueError:
            wrong(field, text, "a number, or nothing")
    if len(problems) > before:
        return None
    delta, low, high = values
    if (delta is None) != (status in _WITHOUT_FIGURES):
        allowed = f"is empty where the status is {' or '.join(_WITHOUT_FIGURES)}, and only there"
        wrong("delta", figures[0], allowed)
        return None
    if delta is not None:
        _check(number, {"delta": delta, "low": low, "high": high}, problems)
    elif low is not None or high is not None:
        wrong("low", figures[1] or figures[2], "an interval needs a delta")
    if len(problems) > before:
        return None
    return Row(model, language, Task(task) if task != MEAN else None, delta, low, high, status, source, number)


def _check(number: int, figures: Mapping[str, float | None], problems: list[Problem]) -> None:
    """The rules of the card hold here as well: they are asked of the card's own class."""
    try:
        Quality.model_validate(figures)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            said = item["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
            field = str(item["loc"][0]) if item["loc"] else "delta"
            problems.append(Problem(f"line {number}, {field}", str(figures.get(field)), said))


def newest_date(dates: Sequence[str]) -> str:
    """The latest of dates that are written in full (2026-04-20); empty when there is none."""
    return max((date for date in dates if _DATE.fullmatch(date)), default="")
