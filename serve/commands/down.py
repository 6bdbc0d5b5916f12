"""`parlance down`: ends what `parlance up` started, and only that."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "end the stack that `parlance up` started"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's words."""
    parser.add_argument("--state", type=Path, help="state directory (default: $PARLANCE_STATE or .state)")


def run(args: argparse.Namespace) -> int:
    """Ends the recorded stack; it is no failure when there is none."""
    from serve.local.stack import down
    from serve.local.state import Store

    store = Store(args.state)
    running = store.load() is not None
    ended = down(store)
    print(f"Ended {ended} processes; logs are in {store.logs}." if running else f"No stack runs from {store.root}.")
    return 0
