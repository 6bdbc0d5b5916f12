"""`parlance quality import`: evidence out of results of lm-evaluation-harness and EuroEval."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from serve.errors import DescriptionError, LocalError, Problem
from serve.fleet import evidence
from serve.fleet.evidence_import import Imported, differences, with_rows
from serve.fleet.evidence_results import Results, read

HELP = "evidence out of a result file of lm-evaluation-harness or EuroEval"

COMMENT = """
Made by `parlance quality import`. Points: 100 x (score - reference) / (reference - guess), mean over benchmarks.
low, high: 95%, from the benchmarks' own errors and, where there are several, the spread between them; not in it:
whether the benchmarks stand for the task. A fleet uses this file by `evidence: [FILE]`.
""".strip()


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="results_*.json, or euroeval_benchmark_results.jsonl")
    parser.add_argument("--model", metavar="ID", help="what the model is called in the fleet; default: as in the file")
    parser.add_argument(
        "--reference", type=Path, metavar="FILE", help="the reference model's results on the same; default: FILE itself"
    )
    parser.add_argument("--reference-model", metavar="NAME", help="which model of that file; default: its only one")
    parser.add_argument("--language", metavar="TAG", help="of benchmarks whose names say none")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="evidence file to write or add to; default: standard output"
    )


def run(args: argparse.Namespace) -> int:
    """Writes the rows, and says on standard error what was left out."""
    results = _read(args.file, args.language)
    reference = results if args.reference is None else _read(args.reference, args.language)
    try:
        made = differences(results, reference, args.reference_model, args.model)
    except ValueError as error:
        raise LocalError(str(error)) from error
    for line in made.left_out:
        print(f"left out: {line}", file=sys.stderr)
    if not made.rows:
        raise LocalError(f"{args.file}: nothing that both models were measured on is about a task")
    _write(args.out, made, _date(results, args.file))
    return 0


def _read(path: Path, language: str | None) -> Results:
    return read(_text(path), str(path), language)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DescriptionError(str(path), [Problem("", "", f"cannot be read: {error}")]) from error


def _date(results: Results, path: Path) -> str:
    """When the results were made: as the file says, or else the file's own time."""
    seconds = path.stat().st_mtime if results.time is None else results.time
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _write(out: Path | None, made: Imported, newest: str) -> None:
    rows = made.rows
    if out is not None and out.exists():
        before = evidence.parse(_text(out), str(out))
        rows, newest = with_rows(before.rows, rows), max(newest, before.newest)
    text = evidence.render(rows, newest, COMMENT)
    if out is None:
        print(text, end="")
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LocalError(f"{out}: cannot be written: {error.strerror}") from error
    print(f"{out}: {len(made.rows)} rows written", file=sys.stderr)
