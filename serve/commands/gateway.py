"""`parlance gateway`: one worker, alone, or a supervisor of several."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "serve the OpenAI-compatible endpoint of a fleet"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--fleet", type=Path, help="fleet description; default: the laptop's")
    parser.add_argument("--host", help="address for clients; default: the description's")
    parser.add_argument("--port", type=int, help="port for clients; default: the description's")
    parser.add_argument("--state-dir", help="where to keep what it learns and the decision log")
    parser.add_argument("--admin-port", type=int, help="port for operators; default: the description's")
    parser.add_argument("--workers", type=int, help="processes that share the port, a core each; default: 1")
    parser.add_argument("--plan-url", help="where the autoscaler tells its plan, for the operator's page")


def run(args: argparse.Namespace) -> int:
    """Serves until it is told to stop."""
    from pydantic import ValidationError

    from serve.errors import DescriptionError
    from serve.fleet import loader
    from serve.gateway import server, workers

    path: Path = args.fleet or loader.LAPTOP
    given = {"host": args.host, "port": args.port, "admin_port": args.admin_port, "plan_url": args.plan_url}
    given["workers"] = args.workers
    if args.state_dir is not None:
        given["state_dir"] = str(Path(args.state_dir).absolute())
    over = {name: value for name, value in given.items() if value is not None}
    fleet = loader.load(path)
    try:
        gateway = type(fleet.gateway).model_validate({**fleet.gateway.model_dump(), **over})
    except ValidationError as error:
        raise DescriptionError("command line", loader.problems_of(error, "gateway")) from error
    serve = server.run if gateway.workers == 1 else workers.run
    return serve(fleet.model_copy(update={"gateway": gateway}), path.parent)
