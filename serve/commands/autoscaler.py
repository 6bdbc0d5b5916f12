"""`parlance autoscaler`: plans replicas from Prometheus' data and tells Ray Serve."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "decide how many replicas each model should have, and tell Ray Serve"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--fleet", type=Path, help="fleet description; default: the laptop's")
    parser.add_argument("--prometheus", metavar="URL", help="whose HTTP API to ask; default: the description's")
    parser.add_argument("--host", help="address of /plan, /healthz and /metrics; default: the description's")
    parser.add_argument("--port", type=int, help="their port; default: the description's")
    parser.add_argument(
        "--state-dir",
        help="where to keep what it has seen; of several, one leads by a lock there (or by autoscaling.kubernetes)",
    )
    parser.add_argument("--dry-run", action="store_true", help="plan, and change nothing")
    parser.add_argument("--once", action="store_true", help="one round, printed as JSON")


def run(args: argparse.Namespace) -> int:
    """Plans until it is told to stop."""
    from pydantic import ValidationError

    from autoscaling import server
    from serve.errors import DescriptionError
    from serve.fleet import loader

    path: Path = args.fleet or loader.LAPTOP
    given = {"prometheus_url": args.prometheus, "host": args.host, "port": args.port}
    if args.state_dir is not None:
        given["state_dir"] = str(Path(args.state_dir).absolute())
    over = {name: value for name, value in given.items() if value is not None}
    fleet = loader.load(path)
    try:
        settings = type(fleet.autoscaling).model_validate({**fleet.autoscaling.model_dump(), **over})
    except ValidationError as error:
        raise DescriptionError("command line", loader.problems_of(error, "autoscaling")) from error
    fleet = fleet.model_copy(update={"autoscaling": settings})
    state_dir = path.absolute().parent / settings.state_dir if settings.state_dir is not None else None
    if args.once:
        return server.once(fleet, state_dir, args.dry_run)
    return server.run(fleet, state_dir, args.dry_run)
