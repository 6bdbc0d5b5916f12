"""`parlance`: finds the command and turns a known failure into one sentence and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Protocol, cast

from serve.errors import ParlanceError

# Name to module. Modules are imported when they are called: `parlance route` must not wait for Ray.
COMMANDS = {
    "up": "serve.commands.up",
    "down": "serve.commands.down",
    "status": "serve.commands.status",
    "gateway": "serve.commands.gateway",
    "autoscaler": "serve.commands.autoscaler",
    "keys": "serve.commands.keys",
    "tenants": "serve.commands.tenants",
    "route": "serve.commands.route",
    "fleet": "serve.commands.fleet",
    "catalogue": "serve.commands.catalogue",
    "languages": "serve.commands.languages",
    "quality": "serve.commands.quality",
    "metrics": "serve.commands.metrics",
    "dashboards": "serve.commands.dashboards",
    "replay": "serve.commands.replay",
    "evaluate": "serve.commands.evaluate",
    "chart": "serve.commands.chart",
    "plan": "serve.commands.plan",
    "simulate": "serve.commands.simulate",
}


class Command(Protocol):
    """What a module of `serve.commands` offers."""

    HELP: str

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds the command's words."""

    def run(self, args: argparse.Namespace) -> int:
        """Does it; the exit code."""


def heed_sigterm() -> None:
    """Lets SIGTERM end a container's first process until a command has its own way to stop.

    The kernel ignores signals that process 1 has no handler for, and a kubelet sends SIGTERM once: a gateway that was
    still reading its tables would stay for its whole grace period, an hour.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. 0: done; 1: it could not be done, and why is on stderr; 2: the words are off."""
    heed_sigterm()
    argv = list(sys.argv[1:] if argv is None else argv)
    name = argv[0] if argv and argv[0] in COMMANDS else None
    parser = argparse.ArgumentParser(prog="parlance", description="Multilingual LLM serving on Ray and Kubernetes.")
    chosen: Command | None = None
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command, path in COMMANDS.items():
        if name is not None and command != name:
            continue
        module = cast(Command, importlib.import_module(path))
        module.arguments(subparsers.add_parser(command, help=module.HELP, description=module.HELP))
        chosen = module
    args = parser.parse_args(argv)
    if name is None or chosen is None:  # help was asked for, or no command named
        parser.print_help()
        return 2
    try:
        return chosen.run(args)
    except ParlanceError as error:
        print(f"parlance {name}: {error.message}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
