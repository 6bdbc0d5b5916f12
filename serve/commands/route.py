"""`parlance route`: which model a text would go to, and why. Needs no server."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from serve.errors import LocalError
from serve.fleet import load
from serve.fleet.description import Fleet
from serve.fleet.loader import laptop
from serve.fleet.routing import Floor, Preset
from serve.routing import Ability, Endpoint, Hints, Request, decide
from serve.routing.policy import UNKNOWN_MODEL
from serve.routing.render import decision_dict, decision_text
from serve.routing.tags import normal

HELP = "show which model a text would go to, what it would cost, and why"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--text", required=True, help="the user's message; - reads standard input")
    parser.add_argument("--system", default="", metavar="TEXT", help="a system prompt before it")
    parser.add_argument("--fleet", type=Path, help="fleet file; default: the one of `parlance up`")
    parser.add_argument("--model", default="auto", help="`auto`, an id or an alias (default: auto)")
    parser.add_argument(
        "--endpoint", default="chat", choices=["chat", *(e.value for e in Endpoint if e is not Endpoint.CHAT)]
    )
    parser.add_argument("--language", type=_language, metavar="TAG", help="hint: the language of the text (BCP-47)")
    parser.add_argument(
        "--floor",
        type=floor_argument,
        help="economy, balanced, best, or index points against the reference (-100 to 100)",
    )
    parser.add_argument("--max-tokens", type=_positive, metavar="N", help="the caller's cap on the answer")
    parser.add_argument("--max-cost", type=_usd, metavar="USD", help="hint: the most that the request may cost")
    parser.add_argument("--tools", action="store_true", help="the request has tools")
    parser.add_argument("--json", action="store_true", help="the whole record as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the decision. 0: a model was chosen; 1: none may answer. Raises LocalError on an unknown model."""
    text = sys.stdin.read() if args.text == "-" else args.text
    fleet = laptop() if args.fleet is None else load(args.fleet)
    request = request_of(text, args)
    decision = decide(request, fleet, {}, time.time())
    if args.json:
        print(json.dumps(decision_dict(decision), ensure_ascii=False, indent=2))
    elif decision.reason_code == UNKNOWN_MODEL:
        known = ", ".join([*(model.id for model in fleet.models), *sorted(fleet.aliases)])
        raise LocalError(f"no model {args.model!r} in the fleet: auto, {known}")
    else:
        print(decision_text(decision).encode("utf-8", "replace").decode("utf-8"))
    return 0 if decision.model is not None else 1


def explain(fleet: Fleet, text: str) -> str:
    """The decision for one chat message, as `parlance route` prints it."""
    return decision_text(decide(_chat(text), fleet, {}, time.time()))


def request_of(text: str, args: argparse.Namespace) -> Request:
    """The request that the options describe: one user turn, and a system prompt if there is one."""
    chat = _chat(text)
    needs = set()
    if args.system:
        needs.add(Ability.SYSTEM_ROLE)
    if args.tools:
        needs.add(Ability.TOOLS)
    return Request(
        model=args.model,
        endpoint=Endpoint.CHAT if args.endpoint == "chat" else Endpoint(args.endpoint),
        text=text,
        instructions=args.system,
        characters=chat.characters + len(args.system),
        turns=2 if args.system else 1,
        max_output_tokens=args.max_tokens,
        needs=frozenset(needs),
        hints=Hints(language=args.language, quality_floor=args.floor, max_cost_usd=args.max_cost),
    )


def _chat(text: str) -> Request:
    return Request(text=text, characters=len(text))


def _language(value: str) -> str:
    if normal(value) is None:
        raise argparse.ArgumentTypeError(f"{value!r} is no language tag: BCP-47 is wanted, e.g. nn, de, pt-BR")
    return value


def floor_argument(value: str) -> Floor:
    """A floor as it is written on the command line. Raises ArgumentTypeError."""
    if value in tuple(Preset):
        return Preset(value)
    try:
        points = float(value)
    except ValueError:
        points = float("nan")
    if not -100 <= points <= 100:
        raise argparse.ArgumentTypeError(f"{value!r} is neither {', '.join(Preset)} nor a number from -100 to 100")
    return points


def _positive(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{value!r} is no whole number above 0")
    return int(value)


def _usd(value: str) -> float:
    try:
        amount = float(value)
    except ValueError:
        amount = -1.0
    if not 0 <= amount < float("inf"):
        raise argparse.ArgumentTypeError(f"{value!r} is no amount in USD")
    return amount
