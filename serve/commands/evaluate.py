"""`parlance evaluate`: what `auto` costs and gives on prompts with known language and task, beside simple policies."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import msgspec

from serve.commands import rows
from serve.commands.route import floor_argument
from serve.commands.tables import aligned
from serve.errors import DescriptionError, Problem
from serve.fleet import load
from serve.fleet.loader import laptop
from serve.fleet.tasks import Task
from serve.routing import Ability, Hints, Request
from serve.routing.evaluate import AUTO, POLICIES, REFERENCE, Evaluation
from serve.routing.reasons import usd
from serve.routing.tags import normal

HELP = "cost and expected quality of `auto` on prompts with known language and task, beside simple policies"


class Prompt(msgspec.Struct):
    """A row: a user's message with its true language and, where known, its task."""

    text: str
    lang: str
    task: Task | None = None
    system: str = ""
    max_tokens: int | None = None


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="JSON lines with text, lang and optionally task, system, max_tokens"
    )
    parser.add_argument("--fleet", type=Path, help="fleet file; default: the one of `parlance up`")
    parser.add_argument(
        "--floor", type=floor_argument, help="economy, balanced, best, or points; default: the fleet's own"
    )
    parser.add_argument("--json", action="store_true", help="everything, by language too, as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the comparison. Raises DescriptionError for a row that does not fit."""
    evaluation = Evaluation(laptop() if args.fleet is None else load(args.fleet))
    for number, row in enumerate(rows.read(args.file, Prompt), 1):
        if normal(row.lang) is None:
            raise DescriptionError(
                str(args.file), [Problem(f"row {number} lang", repr(row.lang), "a BCP-47 tag such as nn or pt-BR")]
            )
        if row.max_tokens is not None and row.max_tokens < 1:
            raise DescriptionError(
                str(args.file), [Problem(f"row {number} max_tokens", str(row.max_tokens), "1 or more")]
            )
        evaluation.add(_request(row, args), row.lang, row.task)
    print(json.dumps(evaluation.as_dict(), ensure_ascii=False, indent=2) if args.json else _text(evaluation))
    return 0


def _request(row: Prompt, args: argparse.Namespace) -> Request:
    return Request(
        text=row.text,
        instructions=row.system,
        characters=len(row.text) + len(row.system),
        turns=2 if row.system else 1,
        max_output_tokens=row.max_tokens,
        needs=frozenset((Ability.SYSTEM_ROLE,)) if row.system else frozenset(),
        hints=Hints(quality_floor=args.floor),
    )


def _text(evaluation: Evaluation) -> str:
    results = evaluation.results
    count = results[AUTO].decisions
    reference = results[REFERENCE].cost_usd
    table = [("policy", "USD per 1,000", "of reference", "quality", "unknown", "against evidence", "models")]
    for name in POLICIES:
        one = results[name]
        answered = one.decisions - one.unanswered
        table.append(
            (
                name,
                usd(one.cost_usd / count * 1000),
                f"{one.cost_usd / reference:.1%}" if reference > 0 else "",
                "unknown" if one.quality is None else f"{one.quality:+.2f}",
                f"{answered - one.quality_known}",
                f"{one.below}",
                ", ".join(f"{model} {n / count:.0%}" for model, n in one.models.most_common()),
            )
        )
    lines = [f"{count} prompts in {len(evaluation.by_language)} languages", "", *aligned(table, {1, 2, 3, 4, 5}), ""]
    if evaluation.above_oracle is not None:
        lines.append(f"auto costs {evaluation.above_oracle:+.2%} against the oracle, which is told language and task")
    lines.append(f"language read as labelled: {evaluation.language_right / count:.1%}")
    if evaluation.task_given:
        lines.append(f"task read as labelled: {evaluation.task_right / evaluation.task_given:.1%}")
    lines.append("quality: mean expected points against the reference where evidence exists; unknown: prompts without")
    return "\n".join(lines)
