"""`parlance simulate`: what autoscaling policies would have made of a traffic trace."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from serve.commands.tables import aligned
from serve.errors import DescriptionError, LocalError, Problem
from serve.fleet import Fleet, Model, load

if TYPE_CHECKING:
    from autoscaling.simulate.conditions import Conditions
    from autoscaling.simulate.outcome import Outcome
    from autoscaling.simulate.report import Setting
    from autoscaling.simulate.traces import Trace

HELP = "what autoscaling policies would have made of a traffic trace: objectives met, GPU-hours, USD"

EXAMPLE = "elastic.yaml"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--trace", type=Path, metavar="FILE", help="CSV of single requests or of windows")
    parser.add_argument(
        "--traffic",
        type=_pair,
        action="append",
        default=[],
        metavar="MODEL=FILE",
        help="instead of --trace, repeatable: each model's own",
    )
    parser.add_argument("--model", metavar="ID", help="whose traffic --trace is; default: the reference model")
    parser.add_argument("--fleet", type=Path, metavar="F", help="fleet file; default: the example elastic")
    parser.add_argument(
        "--policy",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="default: every policy that scales, and clairvoyant",
    )
    parser.add_argument(
        "--world", choices=("fluid", "exact"), default="fluid", help="exact: request by request; default: fluid"
    )
    parser.add_argument("--cold-start", type=_number(0, 86_400), default=180.0, metavar="S", help="default: 180")
    parser.add_argument("--node-delay", type=_number(0, 86_400), default=0.0, metavar="S", help="before it; default: 0")
    parser.add_argument(
        "--failures", type=_number(0, 60), default=0.0, metavar="PER_HOUR", help="of each replica; default: 0"
    )
    parser.add_argument(
        "--scale", type=_number(1e-6, 1e6), metavar="FACTOR", help="so many times the requests; of windows only"
    )
    parser.add_argument("--hours", type=_number(0.01, 1e6), metavar="H", help="only the first H hours of each trace")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of all randomness; default: 1")
    parser.add_argument("--jobs", type=int, metavar="N", help="policies at once; default: one for each core")
    parser.add_argument("--json", action="store_true", help="everything, for programs")
    parser.add_argument("--minutes", action="store_true", help="with --json: every minute of every model, too")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw load and replicas, up to four policies")


def run(args: argparse.Namespace) -> int:
    """Simulates and prints. Raises LocalError and DescriptionError for what cannot be simulated, and says why."""
    from autoscaling.simulate import plot, report
    from autoscaling.simulate.conditions import Conditions
    from autoscaling.simulate.many import Job, run_all

    if args.minutes and not args.json:
        raise LocalError("--minutes is for --json")
    if args.jobs is not None and args.jobs < 1:
        raise LocalError(f"--jobs {args.jobs}: at least 1")
    fleet = load(args.fleet or _example())
    traffic = _traffic(args, fleet)
    if args.plot:
        plot.check(args.plot)
    conditions = Conditions(
        cold_start_s=args.cold_start,
        node_s=args.node_delay,
        failures_per_hour=args.failures,
        seed=args.seed,
    )
    policies = _policies(args.policy, fleet, traffic, conditions)
    setting = report.Setting(fleet.name, traffic, conditions, args.world, fleet.slo)
    jobs = [Job(name, fleet, traffic, conditions, args.world) for name in policies]
    processes = min(args.jobs or len(os.sched_getaffinity(0)), len(jobs))
    began = perf_counter()
    found: dict[int, Outcome] = {}
    try:
        for number, outcome in run_all(jobs, processes):
            found[number] = outcome
            _say(f"{len(found)} of {len(jobs)}: {outcome.policy}, {outcome.took_s:.1f} s")
    except ValueError as error:
        raise LocalError(str(error)) from error
    except BrokenProcessPool as error:
        raise LocalError("a process that simulated has died: too little memory? --jobs 1 takes least") from error
    took_s = perf_counter() - began
    outcomes = [found[number] for number in range(len(jobs))]
    _tell(args, setting, outcomes, took_s, processes)
    return 0


def _tell(
    args: argparse.Namespace, setting: Setting, outcomes: Sequence[Outcome], took_s: float, processes: int
) -> None:
    from autoscaling.simulate import plot, report

    if args.json:
        told = report.as_dict(setting, outcomes, took_s, args.minutes)
        print(json.dumps(told, ensure_ascii=False, indent=None if args.minutes else 2, allow_nan=False))
    else:
        print(report.description(setting, len(outcomes), took_s, processes))
        print(f"objectives: TTFT {setting.slo.ttft_s:g} s, ITL {setting.slo.itl_s:g} s; met: requests within both")
        print()
        print("\n".join(aligned(*report.rows(outcomes))))
    if args.plot:
        drawn = outcomes[: plot.MOST_POLICIES]
        plot.draw(setting, drawn, args.plot)
        left = [outcome.policy for outcome in outcomes[plot.MOST_POLICIES :]]
        rest = f"; not drawn: {', '.join(left)} (--policy chooses)" if left else ""
        _say(f"{args.plot}: {', '.join(outcome.policy for outcome in drawn)}{rest}")


def _policies(
    asked: Sequence[str] | None, fleet: Fleet, traffic: Mapping[str, Trace], conditions: Conditions
) -> tuple[str, ...]:
    """Names in the order asked for, each once. Raises LocalError for one that is not known."""
    from autoscaling.simulate.many import known, made, scaling

    for name in asked or ():
        try:
            made(name, fleet, traffic, conditions)
        except KeyError:
            raise LocalError(f"--policy {name}: one of {', '.join(known())}") from None
        except ValueError as error:
            raise LocalError(f"--policy {name}: {error}") from error
    return tuple(dict.fromkeys(asked or scaling()))


def _traffic(args: argparse.Namespace, fleet: Fleet) -> dict[str, Trace]:
    """Each model's trace, cut and scaled. Raises LocalError for models that cannot be simulated."""
    if bool(args.trace) == bool(args.traffic):
        raise LocalError("give --trace FILE, or --traffic MODEL=FILE for each model")
    if args.traffic and args.model:
        raise LocalError("--model says whose traffic --trace is; --traffic says it itself")
    pairs: list[tuple[str, Path]] = args.traffic or [(args.model or fleet.reference, args.trace)]
    if not args.model and not args.traffic and len(fleet.models) > 1:
        _say(f"the traffic is that of {fleet.reference}, the reference model; other models have none (--model)")
    models = [_model(fleet, name) for name, _ in pairs]
    if len({model.id for model in models}) < len(models):
        raise LocalError("--traffic: a model is named twice")
    traffic: dict[str, Trace] = {}
    for model, (_, path) in zip(models, pairs, strict=True):
        traffic[model.id] = _trace(path, args.scale, args.hours)
        _say_where_it_is_too_much(fleet, model, traffic[model.id])
    return traffic


def _model(fleet: Fleet, name: str) -> Model:
    """The model, whose replicas can be simulated."""
    from autoscaling.capacity.sizing import not_computable

    able = ", ".join(model.id for model in fleet.models if not_computable(model) is None) or "none of this fleet"
    try:
        model = fleet.model(fleet.aliases.get(name, name))
    except KeyError:
        raise LocalError(f"{name!r} is no model of fleet {fleet.name}; these can be simulated: {able}") from None
    if why := not_computable(model):
        raise LocalError(f"{model.id} cannot be simulated: {why}; these can: {able}")
    return model


def _trace(path: Path, scale: float | None, hours: float | None) -> Trace:
    from autoscaling.simulate.traces import read

    try:
        trace = read(path)
    except (OSError, UnicodeDecodeError) as error:
        raise DescriptionError(str(path), [Problem("", "", f"cannot be read: {error}")]) from error
    try:
        trace = trace if hours is None else trace.first(hours * 3600)
        return trace if scale is None else trace.scaled(scale)
    except ValueError as error:
        raise LocalError(str(error)) from error


def _say_where_it_is_too_much(fleet: Fleet, model: Model, trace: Trace) -> None:
    """On stderr, where the busiest window needs more replicas than the description allows: no policy can help it."""
    from autoscaling.capacity.sizing import most_replicas
    from autoscaling.capacity.sustained import Mix

    engine = model.engine
    assert engine is not None
    need = most_replicas(model, ((w.requests_per_s, Mix(w.prompt, w.output)) for w in trace.windows), fleet.slo)
    if need > engine.replicas.max:
        _say(
            f"{model.id}: the busiest window takes about {need:,.0f} replicas at full use, engine.replicas.max is "
            f"{engine.replicas.max}: no policy meets the objectives then (--scale, or another fleet)"
        )


def _example() -> Path:
    from serve.fleet.loader import LAPTOP

    return LAPTOP.with_name(EXAMPLE)


def _pair(text: str) -> tuple[str, Path]:
    """For argparse."""
    model, equals, path = text.partition("=")
    if not (model and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r}: MODEL=FILE, as gemma-2-9b-it=trace.csv")
    return model, Path(path)


class _number:
    """For argparse: a number between two others, ends included."""

    def __init__(self, least: float, most: float) -> None:
        self._least, self._most = least, most

    def __call__(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not self._least <= value <= self._most:
            raise argparse.ArgumentTypeError(f"{text!r}: a number from {self._least:g} to {self._most:g}")
        return value


def _say(words: str) -> None:
    print(f"parlance simulate: {words}", file=sys.stderr)
