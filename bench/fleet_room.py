"""How much a fleet could save at most by sharing room, if its planner knew every load.

    python bench/fleet_room.py TRACE.csv [--days 2] [--replicas 2] [--floor -15 -25 -100]

Each ten-minute window is planned with its true load: as many replicas as carry it, started at once and for nothing, no
headroom kept. Alone, each model rounds up by itself; together, load of `auto` may go to any other model above the floor
in its language. No real plan can save a larger share by moving load that has arrived, so what is printed bounds what
`bench/fleet.py` can show of it. A lower floor lets more models answer a language: it costs quality, not money.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from fleet import APART_S, DAY_S, FLEET, languages_of

from autoscaling.capacity.sustained import Mix, sustained
from autoscaling.demand import weights, work_of
from autoscaling.joint.problem import Lane, Problem, Road, Site, Terms
from autoscaling.joint.program import solve
from autoscaling.joint.substitutes import stand_ins
from autoscaling.simulate.fleet_traffic import Part, mixed
from autoscaling.simulate.splitter import Spoken
from autoscaling.simulate.traces import Trace, read
from serve.fleet import Fleet, load
from serve.routing.cost import usd_per_replica_hour

# Work without a replica costs this much an hour for each replica of it: no answer leaves any.
NEVER = 1000.0
FREE = Terms(shift=0.0, change=0.0, lean=0.0, start=0.0)


def main() -> int:
    """Prints a line a floor and arrangement of peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", type=Path)
    parser.add_argument("--days", type=float, default=2.0)
    parser.add_argument("--replicas", type=float, default=2.0)
    parser.add_argument("--floor", type=float, nargs="+", default=[-15.0, -25.0, -100.0])
    options = parser.parse_args()
    trace = read(options.trace).first(options.days * DAY_S)
    print(f"{'floor':>6} {'peaks':9} {'alone USD':>10} {'shared USD':>11} {'at most':>8}  languages of each model")
    for floor in options.floor:
        shipped = load(FLEET)
        fleet = shipped.model_copy(update={"routing": shipped.routing.model_copy(update={"quality_floor": floor})})
        tags = languages_of(fleet)
        for apart in (True, False):
            alone, shared = ideal(fleet, trace, tags, options.replicas, APART_S if apart else 0.0)
            listed = "; ".join(f"{model.split('-')[0]} {','.join(its)}" for model, its in tags.items())
            print(
                f"{floor:6.0f} {'apart' if apart else 'together':9} {alone:10.2f} {shared:11.2f} "
                f"{1 - shared / alone:8.1%}  {listed}"
            )  # fmt: skip
    return 0


def ideal(
    fleet: Fleet, trace: Trace, tags: dict[str, tuple[str, ...]], replicas: float, later_s: float
) -> tuple[float, float]:
    """USD of all windows, alone and shared."""
    parts = {
        model: Part(replicas, index * later_s, Spoken(dict.fromkeys(its, 1 / len(its))))
        for index, (model, its) in enumerate(tags.items())
    }
    traffic = mixed(fleet, trace, parts)
    alone = shared = 0.0
    for index, window in enumerate(trace.windows):
        mixes, sites = {}, {}
        for model, its in traffic.items():
            now = its.windows[index]
            mixes[model] = Mix(now.prompt, now.output)
            sites[model] = _site(fleet, model, mixes[model], now.requests_per_s)
        problem = Problem(sites, _roads(fleet, tags, sites, mixes), {}, FREE)
        hours = window.seconds / 3600
        for roads in (False, True):
            one = problem if roads else replace(problem, roads={})
            answer = solve(one, 10.0).answer
            usd = hours * sum(sites[model].usd * count for model, count in answer.replicas.items())
            alone, shared = (alone, shared + usd) if roads else (alone + usd, shared)
    return alone, shared


def _site(fleet: Fleet, name: str, mix: Mix, requests_per_s: float) -> Site:
    model = fleet.model(name)
    limit, engine = sustained(model, mix, fleet.slo), model.engine
    assert limit is not None
    assert engine is not None
    usd, work = usd_per_replica_hour(model), work_of(mix, weights(fleet.autoscaling))
    usable = limit.requests_per_s * work
    return Site(
        name, usd, usable, requests_per_s * work, 0.0, engine.replicas.min, engine.replicas.max, engine.replicas.max,
        NEVER * usd / usable,
    )  # fmt: skip


def _roads(
    fleet: Fleet, tags: dict[str, tuple[str, ...]], sites: dict[str, Site], mixes: dict[str, Mix]
) -> dict[Lane, Road]:
    found, worth = {}, weights(fleet.autoscaling)
    for source, its in tags.items():
        mix = mixes[source]
        for language in its:
            for other in stand_ins(fleet, language).get(source, ()):
                if other.to in sites:
                    there = Mix(mix.prompt * other.prompt, mix.output * other.output)
                    lane = Lane(language, source, other.to)
                    # Work is in the other model's own tokens, as it weighs them at its own mix.
                    ratio = work_of(there, worth) / work_of(mix, worth)
                    found[lane] = Road(lane, sites[source].base / len(its), 0.0, ratio, 1.0)
    return found


if __name__ == "__main__":
    sys.exit(main())
