"""`parlance status`: what runs, how each engine is, and where it answers."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

HELP = "show what runs and where it answers"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's words."""
    parser.add_argument("--state", type=Path, help="state directory (default: $PARLANCE_STATE or .state)")


def run(args: argparse.Namespace) -> int:
    """0 when everything answers, 1 when something does not or nothing runs."""
    from serve.local import processes, serve_api
    from serve.local.stack import health
    from serve.local.state import Store

    store = Store(args.state)
    state = store.load()
    if state is None:
        print(f"No stack runs from {store.root}.")
        return 1
    alive = processes.find(state.marker, state.sessions)
    if not alive:
        print(f"The stack of {store.root} has ended without `parlance down`; run it to remove what is left.")
        return 1
    memory = sum(processes.memory_bytes(state.marker, state.sessions).values()) / 2**30
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(state.started_at))
    print(f"{state.phase}, started {since}, {len(alive)} processes, {memory:.1f} GiB, fleet {state.fleet}")
    applications = serve_api.applications(state.dashboard_url)
    found = health(state)
    width = max(len(name) for name in state.models)
    for name, well in found.models.items():
        application = applications.get(name)
        replicas = f"{application.running} of {application.target} replicas" if application else "unknown to Ray Serve"
        took = f", ready after {state.model_ready_s[name]:.0f} s" if name in state.model_ready_s else ""
        print(
            f"  {name:<{width}}  {'healthy' if well else 'NOT ANSWERING'}, {replicas}{took}, {state.serve_url}/{name}"
        )
    where = {
        "gateway": f"{state.gateway_url}/v1, operator {state.admin_url}",
        "Prometheus": f"{state.prometheus_url}",
        "autoscaler": f"{state.autoscaler_url}/plan",
    }
    for part, well in found.parts.items():
        print(f"  {part}: {'ready' if well else 'NOT READY'}, {where[part]}")
    print(f"  Ray: {state.dashboard_url}, metrics http://127.0.0.1:{state.ports.metrics}/metrics, logs {store.logs}")
    return 1 if found.ill else 0
