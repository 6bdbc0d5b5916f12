"""`parlance quality tasks`: how well the task classifier does on labelled prompts."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from statistics import median
from time import perf_counter

import msgspec

from serve.commands import rows
from serve.commands.tables import aligned
from serve.errors import LocalError
from serve.fleet.tasks import Task
from serve.routing.task import classify
from serve.routing.task_score import Labelled, Scores, score

HELP = "how well the task classifier does on labelled prompts"
REPEAT = 5
SHOWN = 10


class Prompt(msgspec.Struct):
    """A row: a prompt and its task, null for one that is about none of them."""

    text: str
    task: Task | None
    lang: str = ""
    split: str = ""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="JSON lines with text, task and optionally lang, split")
    parser.add_argument("--split", help="only rows of this split (dev, test)")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the scores."""
    found = [row for row in rows.read(args.file, Prompt) if args.split in (None, row.split)]
    if not found:
        raise LocalError(f"{args.file}: no row of split {args.split!r}")
    prompts = [Labelled(row.text, row.task, row.lang) for row in found]
    scores = score(prompts)
    microseconds = median(_seconds(one.text) for one in prompts) * 1e6
    if args.json:
        print(json.dumps(_plain(scores, microseconds), ensure_ascii=False, indent=2))
    else:
        print(_text(scores, microseconds))
    return 0


def _seconds(text: str) -> float:
    """The best of some runs: what the classifier takes, not what the machine was busy with."""
    times = []
    for _ in range(REPEAT):
        start = perf_counter()
        classify(text)
        times.append(perf_counter() - start)
    return min(times)


def _plain(scores: Scores, microseconds: float) -> dict[str, object]:
    plain = asdict(scores)
    plain["tasks"] = [{**asdict(one), "f1": one.f1} for one in scores.tasks]
    plain["wrong"] = [
        {"lang": one.lang, "task": one.task, "guess": guess, "probability": p, "text": one.text}
        for one, guess, p in scores.wrong
    ]
    return {**plain, "microseconds_per_text": microseconds}


def _text(scores: Scores, microseconds: float) -> str:
    out = [
        f"{scores.prompts} prompts: accuracy {scores.accuracy:.3f} (None counts as wrong), precision of guesses "
        f"{_share(scores.precision)}, macro-F1 {scores.macro_f1:.3f}, None {scores.none:.1%}, "
        f"calibration error {scores.calibration_error:.3f}, {microseconds:.0f} µs a text (median)",
        "",
    ]
    table = [["task", "prompts", "precision", "recall", "F1"]]
    table += [
        [one.task, str(one.prompts), _share(one.precision), _share(one.recall), f"{one.f1:.3f}"] for one in scores.tasks
    ]
    out += [*aligned(table, right=(1, 2, 3, 4)), ""]
    bins = [["probability", "guesses", "right"]]
    bins += [[f"{one.probability:.2f}", str(one.guesses), f"{one.right:.2f}"] for one in scores.bins]
    out += aligned(bins, right=(0, 1, 2))
    if scores.wrong:
        out += ["", "wrong, the surest first:"]
        for one, guess, p in scores.wrong[:SHOWN]:
            out.append(
                f"  {one.lang:4} {one.task or 'none'} taken for {guess} ({p:.2f}): {' '.join(one.text.split())[:80]}"
            )
    return "\n".join(out)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
