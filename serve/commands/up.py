"""`parlance up`: the whole stack on this machine."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from serve.errors import LocalError

if TYPE_CHECKING:
    from serve.local.plan import Plan
    from serve.local.state import State

HELP = "start engines and gateway on this machine, and say where they answer"
EXAMPLE = "Kva er ein fjord?"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's words."""
    parser.add_argument("--fleet", type=Path, help="fleet description (default: five tiny models on CPUs)")
    parser.add_argument("--models", default="", metavar="A,B", help="start these models only")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME=HUB_ID",
        help="serve these weights (a hub id or a directory) in place of NAME's; may be repeated",
    )
    parser.add_argument("--no-gateway", action="store_true", help="engines only")
    parser.add_argument("--no-prometheus", action="store_true", help="no Prometheus, and so no autoscaler either")
    parser.add_argument("--timeout", type=float, default=900, metavar="S", help="seconds to wait (default: 900)")
    parser.add_argument("--state", type=Path, help="state directory (default: $PARLANCE_STATE or .state)")


def run(args: argparse.Namespace) -> int:
    """Starts the stack, or finds it running, and prints how to use it."""
    from serve.fleet.loader import LAPTOP
    from serve.local.progress import View
    from serve.local.stack import Options, up
    from serve.local.state import Store

    options = Options(
        fleet=args.fleet or LAPTOP,
        models=tuple(name.strip() for name in args.models.split(",") if name.strip()),
        substitutes=dict(_substitute(text) for text in args.model),
        gateway=not args.no_gateway,
        prometheus=not args.no_prometheus,
        timeout_s=args.timeout,
    )
    store = Store(args.state)
    view = View()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: nothing may stay behind
    state, plan = up(options, store, view)
    for text in [*summary(state, plan, store.logs), *unobserved(state)]:
        view.line(text)
    return 0


def unobserved(state: State) -> list[str]:
    """How to get Prometheus, where a stack with a gateway has none because it is not installed."""
    from serve.local.prometheus_process import HOW_TO_INSTALL, program

    if not state.gateway_url or state.prometheus_url or program() is not None:
        return []
    return [f"No Prometheus is installed, so nothing alerts and nothing scales: {HOW_TO_INSTALL}, then `make down up`."]


def _substitute(text: str) -> tuple[str, str]:
    name, _, source = text.partition("=")
    if not name or not source:
        raise LocalError(f"--model {text!r}: write NAME=HUB_ID, e.g. gemma-2-9b-it=HuggingFaceTB/SmolLM2-135M-Instruct")
    return name, source


def summary(state: State, plan: Plan, logs: Path) -> list[str]:
    """Addresses, a request to try, and a decision with its reasons."""
    took = f", ready after {state.ready_after_s:.0f} s" if state.ready_after_s is not None else ""
    lines = ["", f"Parlance is up: {len(state.models)} model{'s' * (len(state.models) != 1)}{took}."]
    if state.gateway_url:
        lines += [f"  gateway     {state.gateway_url}/v1", f"  operator    {state.admin_url}"]
    if state.prometheus_url:
        lines.append(f"  Prometheus  {state.prometheus_url}   (alerts: {state.prometheus_url}/alerts)")
    if state.autoscaler_url:
        lines.append(f"  autoscaler  {state.autoscaler_url}/plan")
    lines += [
        f"  engines     {state.serve_url}/<model>/v1   ({', '.join(state.models)})",
        f"  Ray         {state.dashboard_url}",
        f"  logs        {logs}",
        "",
    ]
    if state.gateway_url:
        base, model = state.gateway_url, "auto"
    else:
        base, model = f"{state.serve_url}/{state.models[0]}", state.models[0]
    chats = state.gateway_url or plan.fleet.model(model).card.chats
    path, prompt = (
        ("chat/completions", f'"messages": [{{"role": "user", "content": "{EXAMPLE}"}}]')
        if chats
        else ("completions", f'"prompt": "{EXAMPLE}"')
    )
    lines += [
        "Try it:",
        f"  curl {base}/v1/{path} -H 'content-type: application/json' \\",
        f'    -d \'{{"model": "{model}", {prompt}, "max_tokens": 32}}\'',
    ]
    if explained := _explain(plan):
        lines += ["", f"How `auto` chooses for «{EXAMPLE}»:", *(f"  {text}" for text in explained.splitlines())]
    return [*lines, "", "End it with `make down` (`parlance down`)."]


def _explain(plan: Plan) -> str:
    try:
        from serve.commands.route import explain
    except ImportError:
        return ""
    return explain(plan.fleet, EXAMPLE)
