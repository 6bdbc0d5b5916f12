"""How long the plan across models takes to solve, and what it saves: random fleets of growing size.

    python bench/joint.py [--seed 1] [--limit 0.8] [--models 50] [--languages 40]

Printed for each: lanes before and after reduction, seconds and CPU seconds of the whole solution, how it was found, its
gap to the bound, and its cost beside every model by itself and beside the greedy rule.
"""

from __future__ import annotations

import argparse
import sys
import time
from random import Random

from autoscaling.joint.greedy import greedy
from autoscaling.joint.problem import Lane, Problem, Road, Site, judge
from autoscaling.joint.program import solve
from autoscaling.joint.reduce import reduced

GPU = "H100-SXM-80GB"


def fleet(models: int, languages: int, families: int, random: Random, budget: bool) -> Problem:
    """Models of very different sizes; each language belongs to a family, whose models may stand in for one another."""
    sites: dict[str, Site] = {}
    for number in range(models):
        usable = random.uniform(500, 5000)
        base = usable * random.uniform(0.1, 6)
        workers = random.choice([1, 1, 2, 4])
        name = f"m{number:02}"
        reserve, least, present = base * random.uniform(0.1, 0.5), random.choice([0, 1]), random.randint(0, 6)
        sites[name] = Site(name, 3.97 * workers, usable, base, reserve, least, 12, present, 0.45, GPU, workers)
    names = list(sites)
    able = [random.sample(names, max(models // 2, min(models, 3))) for _ in range(families)]
    roads: dict[Lane, Road] = {}
    for name in names:
        weights = [random.expovariate(1) for _ in range(languages)]
        for language, weight in enumerate(weights):
            family = able[language % families]
            for other in family if name in family else ():
                if other == name:
                    continue
                lane, part = Lane(f"l{language:02}", name, other), weight / sum(weights)
                site = sites[name]
                roads[lane] = Road(lane, site.base * part, site.reserve * part, random.uniform(0.7, 1.5), 0.8)
    needed = sum(site.gpus * ((site.base + site.reserve) / site.usable + 0.5) for site in sites.values())
    return Problem(sites, roads, {GPU: int(0.9 * needed)} if budget else {})


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=0.8)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--languages", type=int, default=40)
    options = parser.parse_args()
    random = Random(options.seed)  # noqa: S311 - a benchmark
    solve(fleet(2, 2, 1, random, budget=False), options.limit)  # imports
    print(
        f"{'models':>6} {'langs':>5} {'families':>8} {'budget':>6} {'lanes':>6} {'kept':>5} {'s':>6} {'cpu s':>6} "
        f"{'way':>9} {'gap':>7} {'USD/h':>10} {'alone':>10} {'greedy':>10}"
    )
    sizes = [(4, 20, 3), (10, 40, 5), (20, 40, 5), (options.models, options.languages, 5)]
    sizes += [(options.models, options.languages, options.languages), (options.models, options.languages, 1)]
    for models, languages, families in sizes:
        for budget in (False, True):
            row(fleet(models, languages, families, random, budget), models, languages, families, options.limit)
    return 0


def row(problem: Problem, models: int, languages: int, families: int, limit_s: float) -> None:
    """One problem."""
    began, cpu = time.perf_counter(), time.process_time()
    found = solve(problem, limit_s)
    took, used = time.perf_counter() - began, time.process_time() - cpu
    alone = judge(problem, greedy(Problem(problem.sites, {}, problem.budget)))
    simple = judge(problem, greedy(problem))
    gap = f"{found.gap:.2%}" if found.gap is not None else "-"
    print(
        f"{models:6} {languages:5} {families:8} {'yes' if problem.budget else 'no':>6} {len(problem.roads):6} "
        f"{len(reduced(problem).problem.roads):5} {took:6.2f} {used:6.2f} {found.way:>9} {gap:>7} "
        f"{found.judged.usd:10,.2f} {alone.usd:10,.2f} {simple.usd:10,.2f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
