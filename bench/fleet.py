"""Four models of the default fleet that share room, beside the same models planned each by itself.

    python bench/fleet.py TRACE.csv [--days 2] [--policy slo] [--replicas 2] [--cold-start 180] [--floor -15]

The trace (windows) is every model's, at a size of its own; `together`: the very same moments, `apart`: each model's day
six hours after the one before. Each model has the languages that routing gives it in this fleet (`parlance route`), in
equal parts.
Printed: SLO attainment, GPU-hours and USD of both plans, and what the difference is made of, by taking one freedom away
after another:

    rounding   each model rounds its need up to whole replicas by itself: what is saved when load moves into the
               others' last replicas, headroom staying with each (joint.together = 1, as shipped)
    headroom   what is saved besides when several models lean on the same headroom, as for peaks that are independent
               (joint.together = 0.4143)
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from autoscaling.joint.problem import INDEPENDENT
from autoscaling.policies import POLICIES
from autoscaling.policies.joint import Joint
from autoscaling.simulate.conditions import Conditions
from autoscaling.simulate.fleet_traffic import Part, mixed
from autoscaling.simulate.outcome import Outcome
from autoscaling.simulate.run import simulate
from autoscaling.simulate.splitter import Spoken
from autoscaling.simulate.traces import read
from serve.fleet import Fleet, load
from serve.routing.report import languages, report

FLEET = Path(__file__).with_name("fleets") / "four.yaml"
APART_S = 6 * 3600.0
DAY_S = 86400.0


@dataclass(frozen=True)
class Case:
    """One simulation."""

    name: str
    apart: bool
    joint: bool
    together: float | None
    options: argparse.Namespace

    def run(self) -> Outcome:
        """Minutes."""
        options = self.options
        fleet = fleet_of(self.together, options.floor)
        later = APART_S if self.apart else 0.0
        parts = {
            model: Part(options.replicas, index * later, Spoken(dict.fromkeys(tags, 1 / len(tags)), options.auto))
            for index, (model, tags) in enumerate(languages_of(fleet).items())
        }
        trace = read(options.trace)
        traffic = mixed(fleet, trace.first(options.days * DAY_S), parts)
        inner = POLICIES[options.policy]
        policy = Joint(inner) if self.joint else inner
        conditions = Conditions(cold_start_s=options.cold_start, warm_up_s=3600.0, seed=options.seed)
        spoken = {model: part.spoken for model, part in parts.items()}
        return simulate(fleet, traffic, policy, conditions, spoken=spoken)


def languages_of(fleet: Fleet) -> dict[str, tuple[str, ...]]:
    """The languages of the default fleet by the model that `auto` takes for a chat whose task is not known; models that
    are the cheapest good enough one in none are left out, and so are languages that nobody covers."""
    found: dict[str, list[str]] = {model.id: [] for model in fleet.models}
    for line in report(fleet, languages("default", fleet)).lines:
        if line.model is not None and not line.fallback:
            found[line.model].append(line.language)
    return {model: tuple(tags) for model, tags in found.items() if tags}


def fleet_of(together: float | None, floor: float | None = None) -> Fleet:
    """The fleet, with another share of headroom that comes together, and another quality floor (index points)."""
    fleet = load(FLEET)
    if floor is not None:
        fleet = fleet.model_copy(update={"routing": fleet.routing.model_copy(update={"quality_floor": floor})})
    if together is None:
        return fleet
    joint = fleet.autoscaling.joint.model_copy(update={"together": together})
    return fleet.model_copy(update={"autoscaling": fleet.autoscaling.model_copy(update={"joint": joint})})


def main() -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", type=Path)
    parser.add_argument("--days", type=float, default=2.0)
    parser.add_argument("--policy", choices=("slo", "token-work"), default="slo")
    parser.add_argument(
        "--replicas", type=float, default=2.0, help="each model's mean load, in replicas at their limit"
    )
    parser.add_argument("--floor", type=float, help="quality floor in index points (default: the fleet's)")
    parser.add_argument("--cold-start", type=float, default=180.0)
    parser.add_argument("--auto", type=float, default=1.0, help="share of requests that ask for auto")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    cases = [
        Case(name, apart, joint, together, options)
        for apart in (True, False)
        for name, joint, together in (
            ("each by itself", False, None), ("joint, own headroom", True, 1.0), ("joint, shared", True, INDEPENDENT),
        )
    ]  # fmt: skip
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        outcomes = list(pool.map(Case.run, cases))
    for apart in (True, False):
        print(f"\npeaks {'apart' if apart else 'together'}")
        several = [(case, out) for case, out in zip(cases, outcomes, strict=True) if case.apart == apart]
        table(several)
    return 0


def table(several: list[tuple[Case, Outcome]]) -> None:
    """One arrangement of peaks."""
    alone = several[0][1]
    print(f"{'plan':22} {'met':>8} {'worst model':>12} {'GPU-h':>9} {'USD':>10} {'of alone':>9} {'starts':>7} {'s':>6}")
    for case, out in several:
        worst = min(one.met for one in out.models.values())
        starts = sum(one.cold_starts for one in out.models.values())
        print(
            f"{case.name:22} {out.met:8.3%} {worst:12.3%} {out.gpu_hours:9,.1f} {out.usd:10,.2f} "
            f"{out.usd / alone.usd:9.3f} {starts:7} {out.took_s:6.0f}"
        )
    own, joint = several[1][1], several[2][1]
    print(
        f"saved: {1 - joint.usd / alone.usd:.1%}; room shared {(alone.usd - own.usd) / alone.usd:.1%}, "
        f"headroom shared {(own.usd - joint.usd) / alone.usd:.1%}"
    )
    for model, one in alone.models.items():
        other = joint.models[model]
        print(f"  {model:32} {one.usd:9,.2f} -> {other.usd:9,.2f} USD, met {one.met:.3%} -> {other.met:.3%}")


if __name__ == "__main__":
    sys.exit(main())
