"""`parlance quality report`: which model serves each language, on what evidence, at what cost, and what is missing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from serve.commands.quality_picture import draw
from serve.commands.route import floor_argument
from serve.commands.tables import aligned
from serve.errors import LocalError
from serve.fleet import load
from serve.fleet.loader import laptop
from serve.fleet.tasks import Task
from serve.routing.report import SETS, languages, report
from serve.routing.report_page import as_dict, markdown, notes, rows, summary
from serve.routing.tags import normal

HELP = "which model serves each language, on what evidence, at what cost"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--fleet", type=Path, help="fleet file; default: the one of `parlance up`")
    parser.add_argument(
        "--languages",
        default="default",
        help=f"{', '.join(SETS)} (the EU's and the Nordic languages), all, or tags with commas",
    )
    parser.add_argument("--task", type=Task, choices=list(Task), help="default: not known, the generative mean counts")
    parser.add_argument("--floor", type=floor_argument, help="economy, balanced, best, or points; default: the fleet's")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="everything, as JSON")
    form.add_argument("--markdown", action="store_true", help="a page with tables by language, task and model")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="a heat map as well (.png, .svg, .pdf)")


def run(args: argparse.Namespace) -> int:
    """Prints the report, and draws it where that was asked for."""
    fleet = laptop() if args.fleet is None else load(args.fleet)
    tags = languages(args.languages, fleet)
    for tag in tags:
        if normal(tag) != tag:
            known = ", ".join([*SETS, "all"])
            raise LocalError(f"--languages: {tag!r} is no language tag such as nb, and none of {known}")
    made = report(fleet, tags, args.task, args.floor)
    if args.picture is not None:
        draw(made, args.picture)
    if args.json:
        print(json.dumps(as_dict(made), ensure_ascii=False, indent=2))
    elif args.markdown:
        print(markdown(made, args.picture.name if args.picture else None), end="")
    else:
        print("\n".join([summary(made), "", *aligned(rows(made), right=range(4, 9)), "", *notes(made)]))
    return 0
