"""`parlance chart`: the generated files of the Helm chart, written anew or checked."""

from __future__ import annotations

import argparse
from pathlib import Path

from serve.chart.render import CHART, PAGE, rendered
from serve.errors import LocalError

HELP = "the Helm chart's generated files: schema, values.yaml, facts for its templates, the reference of its values"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, what in (("render", "write them"), ("check", "say which ones are out of date")):
        action = actions.add_parser(name, help=what)
        action.add_argument("--chart", type=Path, default=CHART, metavar="DIR", help="default: this checkout's")
        action.add_argument("--page", type=Path, default=PAGE, metavar="FILE", help="default: docs/values.md")


def run(args: argparse.Namespace) -> int:
    """Runs one action."""
    stale = False
    if not args.page.is_file():
        raise LocalError(f"--page {args.page}: there is no such file; it must have marks for the reference")
    try:
        files = rendered(args.chart, args.page)
    except ValueError as error:
        raise LocalError(f"--page {args.page}: {error}") from error
    for path, text in files.items():
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if args.action == "render":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
        else:
            stale = True
            print(f"{path} is out of date: run `parlance chart render`")
    return int(stale)
