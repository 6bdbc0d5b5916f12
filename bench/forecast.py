"""The forecast against what came, beside "no change": python bench/forecast.py [TRACE.csv] [--horizon S ...]

Walks over a trace minute by minute, as the autoscaler does: at each the forecast knows only what came before. What is
forecast is the peak of the load until another replica could serve. Printed for each horizon:

    error of the point: mean size of the error of the peak's logarithm (0.1: a tenth off) of "no change" (the load now),
        of the level that the forecast's quantiles stand on, and of the same minute a day before
    above q: how often the peak was above that quantile, which should be 10%, 5% and 2%
    score q: the quantile's pinball loss over that of "no change times a constant", the constant fitted in hindsight to
        the very trace (below 1: better than anybody could have done with a constant)
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from autoscaling.capacity.sustained import Mix, sustained
from autoscaling.forecast import EVERY_S, LEAST_LOAD, Forecast
from autoscaling.simulate.traces import Trace, read
from serve.fleet import Fleet, Model, load

HERE = Path(__file__).parent
TRACE = HERE.parent / "tests" / "data" / "traces" / "servegen-m-large-2d.csv"
QUANTILES = (0.9, 0.95, 0.98)
# What is learnt in the first day is not judged: there is no day before it either.
FIRST_S = DAY_S = 86400.0


def loads(trace: Trace, model: Model, fleet: Fleet) -> list[float]:
    """Logarithms of the load of each minute, in replicas at their limit. Raises ValueError without a roofline."""
    found = []
    for window in trace.windows:
        limit = sustained(model, Mix(window.prompt, window.output), fleet.slo)
        if limit is None:
            raise ValueError(f"{model.id}: no roofline, so its load cannot be reckoned in replicas")
        each = max(window.requests_per_s / limit.requests_per_s, LEAST_LOAD)
        found += [math.log(each)] * max(round(window.seconds / EVERY_S), 1)
    return found


def judged(series: list[float], horizon_s: float) -> tuple[str, ...]:
    """One line of the table."""
    known, span, day = Forecast(), round(horizon_s / EVERY_S), round(DAY_S / EVERY_S)
    rises: list[float] = []  # of the peak over the load now
    levels: list[float] = []
    yesterday: list[float] = []
    bounds: dict[float, list[float]] = {quantile: [] for quantile in QUANTILES}  # over the load now
    for index, now in enumerate(series[:-span]):
        known = known.after(index * EVERY_S, math.exp(now), horizon_s)
        if index * EVERY_S < FIRST_S:
            continue
        peak = max(series[index : index + span + 1])
        rises.append(peak - now)
        levels.append(abs(math.log(known.level) - peak))
        yesterday.append(abs(max(series[index - day : index - day + span + 1]) - peak))
        for quantile, told in bounds.items():
            told.append(math.log(known.quantile(quantile)) - now)
    count = len(rises)
    cells = [f"{horizon_s:g}", *(f"{sum(errors) / count:.3f}" for errors in (map(abs, rises), levels, yesterday))]
    ranked = sorted(rises)
    for quantile, told in bounds.items():
        above = sum(rise > bound for rise, bound in zip(rises, told, strict=True)) / count
        best = ranked[min(int(quantile * count), count - 1)]
        score = _pinball(quantile, rises, told) / _pinball(quantile, rises, [best] * count)
        cells += [f"{above:.1%}", f"{score:.2f}"]
    return tuple(cells)


def _pinball(quantile: float, came: list[float], told: list[float]) -> float:
    """The loss that the true quantile minimises (Koenker and Bassett 1978)."""
    return sum(
        (quantile if rise > bound else quantile - 1) * (rise - bound) for rise, bound in zip(came, told, strict=True)
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", nargs="?", type=Path, default=TRACE)
    parser.add_argument("--fleet", type=Path, default=HERE / "fleets" / "one-70b.yaml")
    parser.add_argument("--horizon", type=float, nargs="+", default=[135.0, 255.0, 675.0], metavar="S")
    args = parser.parse_args()
    fleet = load(args.fleet)
    series = loads(read(args.trace), fleet.model(fleet.reference), fleet)
    print(f"{args.trace.name}: {len(series)} minutes, judged from the second day on")
    heads = ["horizon s", "no change", "level", "yesterday"]
    heads += [f"{what} {quantile:.0%}" for quantile in QUANTILES for what in ("above", "score")]
    print("  ".join(f"{head:>10}" for head in heads))
    for horizon in args.horizon:
        print("  ".join(f"{cell:>10}" for cell in judged(series, horizon)), flush=True)


if __name__ == "__main__":
    main()
