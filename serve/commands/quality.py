"""`parlance quality`: what is known of the models' quality, how to add to it, and how well tasks are told."""

from __future__ import annotations

import argparse
import importlib
from types import ModuleType

HELP = "evidence of quality: report by language, import of results, test of the task classifier"

# Action to module; a module is imported when it is asked for.
_ACTIONS = {
    "report": "serve.commands.quality_report",
    "import": "serve.commands.quality_import",
    "tasks": "serve.commands.quality_tasks",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name in _ACTIONS:
        module = _module(name)
        module.arguments(actions.add_parser(name, help=module.HELP, description=module.HELP))


def run(args: argparse.Namespace) -> int:
    """Runs one action."""
    code: int = _module(args.action).run(args)
    return code


def _module(name: str) -> ModuleType:
    return importlib.import_module(_ACTIONS[name])
