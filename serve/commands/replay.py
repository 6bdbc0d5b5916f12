"""`parlance replay`: what another fleet description would have done with the decisions of a log."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from serve.commands import rows
from serve.commands.tables import aligned
from serve.errors import LocalError
from serve.fleet import load
from serve.routing.log import parse
from serve.routing.reasons import usd
from serve.routing.replay import Both, Replay

HELP = "what another fleet description would have chosen for the decisions of a log"
SHOWN_ERRORS = 5


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG", help="decisions.jsonl files; - reads stdin")
    parser.add_argument("--fleet", type=Path, required=True, metavar="NEW", help="the description to try")
    parser.add_argument("--top", type=int, default=15, metavar="N", help="differences shown (default: 15)")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the comparison. Raises LocalError when the logs hold no decision that can be read."""
    replay = Replay(load(args.fleet))
    bad = 0
    began = perf_counter()
    for path in args.logs:
        for number, line in rows.lines(path):
            try:
                entry = parse(line)
            except ValueError as error:
                bad += 1
                if bad <= SHOWN_ERRORS:
                    print(f"parlance replay: {path} line {number}: left out: {error}", file=sys.stderr)
                continue
            replay.add(entry)
    seconds = perf_counter() - began
    if bad > SHOWN_ERRORS:
        print(f"parlance replay: {bad - SHOWN_ERRORS} more lines were left out", file=sys.stderr)
    if not replay.total.was.decisions:
        raise LocalError("no decision to replay: the logs hold none that this version can read")
    if args.json:
        print(json.dumps(replay.as_dict() | {"left_out": bad, "seconds": seconds}, ensure_ascii=False, indent=2))
    else:
        print("\n".join(_text(replay, args.top, seconds)))
    return 0


def _text(replay: Replay, top: int, seconds: float) -> list[str]:
    total = replay.total
    first, last = (
        datetime.fromtimestamp(at or 0.0, UTC).strftime("%Y-%m-%d %H:%M") for at in (replay.first, replay.last)
    )
    count = total.was.decisions
    lines = [
        f"{count} decisions, {first} to {last} UTC, replayed in {seconds:.1f} s; "
        f"{replay.changed} ({replay.changed / count:.1%}) would go elsewhere",
        "",
        *aligned(
            [
                ("", "was", "would be", "change"),
                ("expected cost USD", usd(total.was.cost_usd), usd(total.would.cost_usd), _change(total)),
                ("quality, mean points", _points(total.was.quality), _points(total.would.quality), ""),
                ("  known of", f"{total.was.quality_known}", f"{total.would.quality_known}", ""),
                ("unanswered", f"{total.was.unanswered}", f"{total.would.unanswered}", ""),
            ],
            {1, 2, 3},
        ),
        f"paid at the time: {usd(replay.paid_nano_usd / 1e9)} USD for {replay.settled} answers with usage",
        "",
        *aligned(
            [
                ("model", "was", "would be"),
                *(
                    (name, f"{replay.models_was[name]}", f"{replay.models_would[name]}")
                    for name in sorted(replay.models_was | replay.models_would)
                ),
            ],
            {1, 2},
        ),
        "",
        *aligned(
            [
                ("language", "decisions", "cost was", "would be", "change", "quality was", "would be"),
                *(
                    (
                        tag,
                        f"{both.was.decisions}",
                        usd(both.was.cost_usd),
                        usd(both.would.cost_usd),
                        _change(both),
                        _points(both.was.quality),
                        _points(both.would.quality),
                    )
                    for tag, both in sorted(replay.languages.items(), key=lambda i: (-i[1].was.decisions, i[0]))
                ),
            ],
            {1, 2, 3, 4, 5, 6},
        ),
    ]
    if replay.changes:
        lines += ["", f"differences, the {min(top, len(replay.changes))} largest of {len(replay.changes)}:"]
        lines += aligned(
            [
                ("language", "was", "would be", "decisions", "USD"),
                *(
                    (
                        tag,
                        was,
                        would,
                        f"{change.count}",
                        f"{'-' if change.cost_usd < 0 else '+'}{usd(abs(change.cost_usd))}",
                    )
                    for (tag, was, would), change in replay.by_weight()[:top]
                ),
            ],
            {3, 4},
        )
    if replay.language_changes:
        pairs = ", ".join(f"{was} to {would}: {n}" for (was, would), n in replay.language_changes.most_common(top))
        lines += ["", f"languages read otherwise (another prior or confidence): {pairs}"]
    return lines


def _change(both: Both) -> str:
    return f"{both.would.cost_usd / both.was.cost_usd - 1:+.1%}" if both.was.cost_usd > 0 else ""


def _points(value: float | None) -> str:
    return "unknown" if value is None else f"{value:+.1f}"
