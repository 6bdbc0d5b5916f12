"""The report of quality as a page (Markdown), as JSON values and as lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from serve.fleet.tasks import Task
from serve.routing.policy import REASONS
from serve.routing.report import PROMPT_WORDS, WORDS, Cell, Cost, Line, Report

HEAD = ("language", "model", "evidence [95%]", "status", "in", "out", "reference in", "out", "share", "no evidence for")


def as_dict(report: Report) -> dict[str, Any]:
    """JSON values."""
    plain = asdict(report)
    for line, given in zip(plain["lines"], report.lines, strict=True):
        line["by_task"] = {task.value: {"model": model, "fallback": back} for task, model, back in given.by_task}
    return plain


def rows(report: Report) -> list[list[str]]:
    """The table: a head, and a row a language."""
    return [list(HEAD), *(_row(line) for line in report.lines)]


def summary(report: Report) -> str:
    """What the table comes to, in a sentence."""
    served = [line for line in report.lines if line.model is not None]
    cheaper = [line for line in served if line.model != report.reference and not line.fallback]
    claims = [line.language for line in cheaper if line.quality is not None and line.quality.delta is None]
    fallbacks = [line.language for line in served if line.fallback]
    blind = [line.language for line in report.lines if all(cell.delta is None for cell in line.cells)]
    asked = f"task {report.task.value}" if report.task else "no task known"
    parts = [
        f"Fleet {report.fleet}, floor {report.floor:+g} points against {report.reference}, {asked}: "
        f"{len(cheaper)} of {len(report.lines)} languages are served by another model than the reference."
    ]
    if claims:
        parts.append(f"In {', '.join(claims)} that model is only declared: nobody has measured any.")
    if fallbacks:
        parts.append(f"Nothing good enough is known in {', '.join(fallbacks)}: a fallback answers.")
    if blind:
        parts.append(f"No model has evidence in {', '.join(blind)}.")
    return " ".join(parts)


def notes(report: Report) -> list[str]:
    """What the figures rest on."""
    found = [
        f"in, out: USD for {WORDS:,} words of the language read, and written: characters a word (`words.tsv`, news "
        "sentences) × tokens a character of the model's tokenizer in that language (`fertility.tsv`) × its price here. "
        "An answer of a reasoning model counts four times (its thoughts: an assumption). share: in + out beside the "
        "reference's.",
        "evidence: index points against the reference (0-100), with the 95% interval where one is known, of the asked "
        "task or else the mean of the generative tasks. Intervals are wide: the point estimate decides, the interval "
        "says how provisional that is. Empty: nobody knows. A model that only declares a language is `declared`.",
        f"The choice is `decide`'s for a prompt of {PROMPT_WORDS} words with the language as a hint, all models up.",
    ]
    codes = dict.fromkeys(line.reason_code for line in report.lines if line.fallback or line.model is None)
    found += [f"`{code}`: {REASONS[code]}." for code in codes]
    if any(line.by_content for line in report.lines):
        found.append(f"†: no words between spaces, or none counted: the content of {WORDS:,} English words.")
    return found


def markdown(report: Report, picture: str | None = None) -> str:
    """The page; `picture` is the file that the heat map is in, as the page would name it."""
    out = ["# Which model serves which language", "", summary(report), ""]
    if picture:
        out += [f"![Evidence by model and language]({picture})", ""]
    out += [*_table(rows(report), right=range(4, 9)), ""]
    if any(line.by_task for line in report.lines):
        out += ["## By task", "", "The gap to the reference depends more on the task than on the language.", ""]
        out += [*_table(task_rows(report)), ""]
        out += ["*Italics*: a fallback. Translation and code have no evidence of their own: the mean counts.", ""]
    out += ["## All evidence", "", "Points against the reference; **bold**: the model that serves the language.", ""]
    out += [*_table(evidence_rows(report), right=range(1, 1 + len(report.models))), ""]
    out += ["## What the figures rest on", "", *(f"* {note}" for note in notes(report))]
    return "\n".join(out) + "\n"


def task_rows(report: Report) -> list[list[str]]:
    """Which model serves which task, a row a language."""
    table = [["language", *(task.value for task in Task)]]
    for line in report.lines:
        cells = [_short(model, back) for _, model, back in line.by_task]
        table.append([line.language, *cells])
    return table


def evidence_rows(report: Report) -> list[list[str]]:
    """Every model's evidence, a row a language."""
    table = [["language", *report.models]]
    for line in report.lines:
        cells = [_points(cell, bold=cell.model == line.model) for cell in line.cells]
        table.append([line.language, *cells])
    return table


def _row(line: Line) -> list[str]:
    mark = " †" if line.by_content else ""
    missing = "every model" if len(line.without_evidence) == len(line.cells) else ", ".join(line.without_evidence)
    theirs = line.reference_cost
    if line.model is None or line.cost is None:
        return [f"{line.language} {line.name}{mark}", "none", "", line.reason_code, "", "", *_usd(theirs), "", missing]
    status = line.quality.status if line.quality else ""
    if line.fallback:
        status = f"{status}, {line.reason_code}" if status else line.reason_code
    share = (line.cost.input_usd + line.cost.output_usd) / (theirs.input_usd + theirs.output_usd)
    return [
        f"{line.language} {line.name}{mark}",
        line.model,
        _interval(line.quality),
        status,
        *_usd(line.cost),
        *_usd(theirs),
        f"{share:.0%}",
        missing,
    ]


def _interval(cell: Cell | None) -> str:
    if cell is None or cell.delta is None:
        return ""
    if cell.status == "reference":
        return "0"
    between = f" [{cell.low:+.0f}, {cell.high:+.0f}]" if cell.low is not None and cell.high is not None else ""
    return f"{cell.delta:+.1f}{between}"


def _points(cell: Cell, bold: bool) -> str:
    if cell.delta is None:
        text = cell.status if cell.status != "none" else "-"
    else:
        text = "0" if cell.status == "reference" else f"{cell.delta:+.1f}"
        text += {"proxy": " p", "partial": " ~"}.get(cell.status, "")
    return f"**{text}**" if bold else text


def _usd(cost: Cost) -> list[str]:
    return [f"{cost.input_usd:.5f}", f"{cost.output_usd:.5f}"]


def _short(model: str | None, fallback: bool) -> str:
    if model is None:
        return "none"
    return f"*{model}*" if fallback else model


def _table(table: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    head, *rest = table
    rule = ["---:" if column in right else "---" for column in range(len(head))]
    return ["| " + " | ".join(row) + " |" for row in (head, rule, *rest)]
