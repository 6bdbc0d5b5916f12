"""`parlance dashboards`: which there are, the page on them, and pictures of them from a Prometheus."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from serve.commands.tables import aligned
from serve.errors import LocalError

HELP = "dashboards: list them, or draw one from what a Prometheus has"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="name, panels, queries and what each dashboard is for")
    actions.add_parser("reference", help="the page of docs/dashboards.md")
    picture = actions.add_parser("picture", help="draw a dashboard's panels; rendering for Grafana: metrics render")
    picture.add_argument("dashboard", metavar="NAME", help="of the list")
    picture.add_argument("--prometheus", required=True, metavar="URL", help="the Prometheus that scrapes the fleet")
    picture.add_argument("--out", type=Path, required=True, metavar="FILE", help="the picture (.png, .svg, .pdf)")
    picture.add_argument("--fleet", type=Path, metavar="FILE", help="whose objectives; default: the defaults")
    picture.add_argument("--minutes", type=float, default=60, metavar="N", help="how far back; default: 60")
    picture.add_argument("--theme", choices=("dark", "light"), default="dark", help="default: dark")


def run(args: argparse.Namespace) -> int:
    """Runs one action. Raises LocalError for a dashboard that is none, or a Prometheus that does not answer."""
    if args.action == "list":
        return _list()
    if args.action == "reference":
        from observability.dashboards import reference

        print(reference.markdown(), end="")
        return 0
    return _picture(args.dashboard, args.prometheus, args.out, args.fleet, args.minutes, args.theme)


def _list() -> int:
    from observability.dashboards import dashboards

    rows = [("name", "panels", "queries", "what it is for")]
    for one in dashboards():
        queries = sum(len(panel.queries) for panel in one.panels)
        rows.append((one.name, str(len(one.panels)), str(queries), one.description))
    print("\n".join(aligned(rows)))
    return 0


def _picture(name: str, url: str, out: Path, fleet: Path | None, minutes: float, theme: str) -> int:
    from observability.dashboards import dashboards
    from observability.dashboards.picture import draw
    from observability.dashboards.samples import last_minutes, prometheus, scrape_interval
    from serve.fleet import load

    found = {one.name: one for one in dashboards(load(fleet).slo if fleet else None)}
    if name not in found:
        raise LocalError(f"there is no dashboard {name!r}: {', '.join(found)}")
    try:
        shown = last_minutes(minutes, time.time(), scrape_interval(url))
    except ValueError as error:
        raise LocalError(f"--minutes: {error}") from error
    draw(found[name], prometheus(url), out, shown, theme)
    print(out)
    return 0
