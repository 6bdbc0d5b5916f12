"""Other autoscalers' rules, each tuned in hindsight on a trace, beside our policies with their shipped settings.

    python bench/autoscaling/hindsight.py [--trace FILE] [--cold-start S] [--grid small|full] [--policies NAME ...]

Nobody can tune on the days to come. Each rule is simulated with every setting of a grid, over the very trace that it is
judged by, and the cheapest setting that meets the objectives' attainment stands for it: a rule as good as it could be.
`slo` runs as it is shipped. The grids are fractions of what one replica sustains for the trace's mean request, so that
they fit every model and GPU; what was tried is printed, and what falls short too.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from grids import Point, TunedJob, grids, scales_of, tuned

from autoscaling.policies import POLICIES
from autoscaling.simulate.conditions import Conditions
from autoscaling.simulate.many import CLAIRVOYANT, run_all
from autoscaling.simulate.outcome import Outcome
from autoscaling.simulate.report import minutes, missed, moment
from autoscaling.simulate.traces import Trace, read
from serve.commands.tables import aligned
from serve.fleet import load

HERE = Path(__file__).resolve().parent
FLEET = HERE.parent / "fleets" / "one-70b.yaml"
TRACE = HERE.parent.parent / "tests" / "data" / "traces" / "servegen-m-large-2d.csv"
SHIPPED = "shipped settings"


@dataclass(frozen=True, slots=True)
class Tried:
    """One setting of one policy, and what came of it."""

    policy: str
    point: Point
    outcome: Outcome

    @property
    def words(self) -> str:
        """The setting as a person reads it."""
        told = (f"{path.split('.')[-1]} {value:.4g}" for path, value in self.point.items())
        return ", ".join(told) or SHIPPED


def best(tried: Sequence[Tried], attainment: float) -> Tried:
    """The cheapest that meets the attainment; where none does, the one that comes closest."""
    enough = [one for one in tried if one.outcome.met >= attainment]
    if enough:
        return min(enough, key=lambda one: one.outcome.gpu_hours)
    return max(tried, key=lambda one: one.outcome.met)


def grid_table(tried: Sequence[Tried], attainment: float) -> Iterator[str]:
    """Every setting that was tried; `*` where it meets the attainment."""
    rows = [("policy", "setting", "met", "", "GPU-hours", "reversals", "cold starts")]
    for one in tried:
        told = one.outcome
        star = "*" if told.met >= attainment else ""
        counts = (f"{_count(told, 'reversals'):,}", f"{_count(told, 'cold_starts'):,}")
        rows.append((one.policy, one.words, f"{told.met:.3%}", star, _hours(told), *counts))
    yield from aligned(rows, {2, 4, 5, 6})


def result_table(chosen: Mapping[str, Tried], attainment: float) -> Iterator[str]:
    """The policies beside each other, cheapest first; what does not meet the attainment stands below."""
    head = ("policy", "setting", "met", "GPU-hours", "to clairvoyant", "to slo", "reversals", "cold starts")
    rows = [(*head, "worst minute")]
    least, ours = (chosen[name].outcome.gpu_hours if name in chosen else math.nan for name in (CLAIRVOYANT, "slo"))
    order = sorted(chosen.values(), key=lambda one: (one.outcome.met < attainment, one.outcome.gpu_hours))
    for one in order:
        told = one.outcome
        rows.append(
            (
                one.policy,
                one.words,
                f"{told.met:.3%}" + ("" if told.met >= attainment else ", not enough"),
                _hours(told),
                _ratio(told.gpu_hours, least),
                _ratio(told.gpu_hours, ours),
                f"{_count(told, 'reversals'):,}",
                f"{_count(told, 'cold_starts'):,}",
                _worst(told),
            )
        )
    yield from aligned(rows, {3, 4, 5, 6, 7})


def _hours(outcome: Outcome) -> str:
    return f"{outcome.gpu_hours:,.0f}" if outcome.gpu_hours >= 100 else f"{outcome.gpu_hours:.2f}"


def _ratio(hours: float, base: float) -> str:
    return f"{hours / base:.2f}" if base and not math.isnan(base) else "-"


def _count(outcome: Outcome, name: str) -> int:
    return sum(getattr(one, name) for one in outcome.models.values())


def _worst(outcome: Outcome) -> str:
    worst = max(minutes(outcome), key=missed, default=None)
    if worst is None or not missed(worst):
        return "-"
    return f"{moment(worst.at_s, outcome.seconds)}: {worst.met:.0%} of {worst.requests:,.0f} met"


def main() -> int:
    """Prints the grid, then the table."""
    args = _arguments()
    fleet, trace = load(args.fleet), read(args.trace)
    if args.hours is not None:
        kept = tuple(w for w in trace.windows if w.start_s < args.hours * 3600)
        trace = Trace(trace.name, kept, tuple(a for a in trace.arrivals if a.at_s < args.hours * 3600))
    model = fleet.reference
    traffic = {model: trace}
    scales = scales_of(fleet, model, trace)
    conditions = Conditions(cold_start_s=args.cold_start, seed=args.seed)
    points = {name: grid for name, grid in grids(scales, args.grid == "full").items() if name in args.policies}
    points |= {name: [{}] for name in args.policies if name not in points}
    work = [(name, point) for name, grid in points.items() for point in grid]
    jobs = [TunedJob(name, tuned(fleet, point), traffic, conditions) for name, point in work]
    began = perf_counter()
    found: dict[int, Tried] = {}
    for number, outcome in run_all(jobs, args.jobs):
        name, point = work[number]
        found[number] = Tried(name, point, outcome)
        print(f"{len(found)} of {len(jobs)}: {name}, {outcome.took_s:.1f} s", file=sys.stderr, flush=True)
    took_s = perf_counter() - began
    tried = [found[number] for number in range(len(jobs))]
    attainment = fleet.slo.attainment
    chosen = {name: best([one for one in tried if one.policy == name], attainment) for name in points}
    if args.json:
        print(json.dumps(_as_dict(args, trace, tried, chosen, took_s), indent=2))
        return 0
    print(
        f"{trace.name}: {trace.seconds / 3600:,.1f} h, {trace.requests:,.0f} requests to {model}; cold start "
        f"{args.cold_start:g} s; a replica sustains {scales.limit.requests_per_s:.1f} requests/s in batches of "
        f"{scales.limit.sequences:.0f}; {len(jobs)} runs in {took_s:,.0f} s"
    )
    print(f"\nTried (* meets {attainment:.1%}):\n")
    print("\n".join(grid_table(tried, attainment)))
    print("\nThe cheapest of each:\n")
    print("\n".join(result_table(chosen, attainment)))
    return 0


def _as_dict(
    args: argparse.Namespace, trace: Trace, tried: Sequence[Tried], chosen: Mapping[str, Tried], took_s: float
) -> dict[str, Any]:
    return {
        "trace": trace.name,
        "hours": trace.seconds / 3600,
        "requests": trace.requests,
        "cold_start_s": args.cold_start,
        "seed": args.seed,
        "took_s": took_s,
        "tried": [
            {
                "policy": one.policy,
                "setting": dict(one.point),
                "met": one.outcome.met,
                "gpu_hours": one.outcome.gpu_hours,
                "reversals": _count(one.outcome, "reversals"),
                "cold_starts": _count(one.outcome, "cold_starts"),
                "chosen": chosen[one.policy] is one,
            }
            for one in tried
        ],
    }


def _arguments() -> argparse.Namespace:
    names = (CLAIRVOYANT, *POLICIES)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", type=Path, default=TRACE, help="default: two days that the project carries")
    parser.add_argument("--hours", type=float, help="only its first hours")
    parser.add_argument("--fleet", type=Path, default=FLEET, help="its reference model gets the traffic")
    parser.add_argument("--cold-start", type=float, default=180.0, metavar="S")
    parser.add_argument("--grid", choices=("small", "full"), default="small")
    parser.add_argument(
        "--policies", nargs="+", choices=names, default=list(names), metavar="NAME", help=", ".join(names)
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="processes")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
