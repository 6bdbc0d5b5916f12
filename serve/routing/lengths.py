"""How long answers are, by model, language and task, comparable between models.

An answer's tokens are divided by what an English token of Llama 3 becomes in the model's tokenizer and the answer's
language, so that histograms of all models and languages have one unit. Then, in logarithms,

    length(model, language, task) = usual length(language, task) + verbosity(model)

Verbosity comes only from what different models did for the same tenant, language and task: a model that happened to get
short questions is not taken for a terse one. Usual lengths count after the models' verbosity is taken off. Both are
brought together over tenants by `serve.routing.tenants`, so that no tenant moves them by 5%.

An answer that `max_tokens` cut off was longer, nobody knows how much: it counts where answers of at least that length
were seen (redistribution to the right), so that a low cap does not make answers look short.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from math import exp, isfinite, log, log2
from typing import NamedTuple

import msgspec

from serve.routing.tenants import together

# Half octaves: bucket b holds lengths around 2^(b / 2); the last is 2^14 = 16,384 tokens.
BUCKETS = 29
MIDDLES = tuple(2 ** (b / 2) for b in range(BUCKETS))
_LOGS = tuple(log(middle) for middle in MIDDLES)
HALF_LIFE_S = 3 * 24 * 3600.0
FULL = 30.0  # answers that give a tenant its whole weight
CAP = 1_000.0
GROUPS = 2_048  # of model, language, task and tenant
# How far a usual length may lie from what the fleet assumes, and a model's verbosity from its kind's.
LIMIT, LIMIT_ALONE = log(4), log(16)
VERBOSITY = log(2)
# What one tenant can do to each; a model's expected length is their sum, and moves by less than 5%.
USUAL_SHARE, VERBOSITY_SHARE = 0.024, 0.02
SWEEPS = 4
# Answers of one kind lie around their geometric mean about as a lognormal with sigma 0.8 does (the Azure
# conversation trace of 2023 has 0.86 over all kinds together): nine quantiles of it stand for what was not yet seen.
_SPREAD = tuple(0.8 * z for z in (-1.593, -0.967, -0.589, -0.282, 0.0, 0.282, 0.589, 0.967, 1.593))
_SPREAD_MEAN = sum(map(exp, _SPREAD)) / len(_SPREAD)
_FAR = log(4)  # an answer further from the middle counts as this far in a mean
# What an answer is expected to be spread by before any were seen: a cut answer of c tokens counts as 1.5 to 3 times c.
_TAIL = (0.4, 0.3, 0.2, 0.1)

Key = tuple[str, str, str, str]  # model, language of the answer, task or "", tenant


class Histogram(msgspec.Struct):
    """Answers of one group by length, decayed to `at` (seconds since the epoch)."""

    counts: list[float]
    at: float

    def decay(self, now: float) -> None:
        """Brings the counts to `now`; a clock that goes back leaves them as they are."""
        if now > self.at:
            factor = 0.5 ** ((now - self.at) / HALF_LIFE_S)
            self.counts = [count * factor for count in self.counts]
            self.at = now

    def add(self, length: float, cut: bool) -> None:
        """One more answer; `cut`: it was at least so long."""
        place = 2 * log2(min(max(length, 1.0), MIDDLES[-1]))
        counts, bucket = self.counts, min(int(place), BUCKETS - 2)
        if not cut:  # shared between the two buckets that it lies between: their mean is its own
            counts[bucket + 1] += place - bucket
            counts[bucket] += 1.0 - (place - bucket)
        else:
            bucket += 1
            longer = counts[bucket:]
            total = sum(longer)
            known = total / (total + 4)  # with few answers of that length their spread says little
            for at, count in enumerate(longer):
                counts[bucket + at] += known * count / total if total else 0.0
            for at, share in enumerate(_TAIL):
                counts[min(bucket + at, BUCKETS - 1)] += (1 - known) * share
        size = sum(counts)
        if size > CAP:
            self.counts = [count * CAP / size for count in counts]


class Length(NamedTuple):
    """Answers of one kind in tokens of the model's own tokenizer."""

    mean: float
    p50: float
    p90: float


class Lengths:
    """The lengths of one gateway. Bounded: the groups that were seen longest ago are forgotten."""

    def __init__(self, assumed: float, alone: bool = False) -> None:
        """`assumed`: English tokens of an answer before any was seen. `alone`: there is one tenant, or all are
        trusted."""
        self._assumed = log(assumed / _SPREAD_MEAN)
        self._alone = alone
        self._limit = LIMIT_ALONE if alone else LIMIT
        self._groups: dict[Key, Histogram] = {}
        self.observations = 0

    def observe(
        self, model: str, language: str, task: str, tenant: str, tokens: float, unit: float, cut: bool, now: float
    ) -> None:
        """An answer had so many tokens; `unit` is what an English token of Llama 3 becomes there, times what the
        model's kind multiplies answers by."""
        if not (isfinite(tokens) and isfinite(unit) and tokens >= 0 and unit > 0):
            return
        self.observations += 1
        key = (model, language, task, tenant)
        histogram = self._groups.pop(key, None)
        if histogram is None:
            histogram = Histogram([0.0] * BUCKETS, now)
            while len(self._groups) >= GROUPS:
                del self._groups[next(iter(self._groups))]
        self._groups[key] = histogram
        histogram.decay(now)
        histogram.add(tokens / unit, cut)

    def expected(
        self, models: Collection[str], unit: Callable[[str, str], float], now: float
    ) -> dict[str, dict[tuple[str, str], Length]]:
        """By model, then by language and task. `unit` is a model's in a language, as in `observe`. Every model has a
        figure for every kind of answer that any of them gave: they are compared by them."""
        groups = self._means(now)
        verbosity = self._verbosity(groups)
        kinds: defaultdict[tuple[str, str], list[_Group]] = defaultdict(list)
        for group in groups:
            kinds[group.kind].append(group)
        found: dict[str, dict[tuple[str, str], Length]] = {model: {} for model in models}
        for kind, members in kinds.items():
            said = _by_tenant((one.tenant, one.mean - verbosity.get(one.model, 0.0), one.weight) for one in members)
            usual = self._assumed + together(
                [(v - self._assumed, w) for v, w in said], self._limit, self._alone, USUAL_SHARE
            )
            spread = _spread(members, 1.0 if self._alone else LIMIT / USUAL_SHARE)
            for model in models:
                middle = exp(usual + verbosity.get(model, 0.0)) * unit(model, kind[0])
                found[model][kind] = Length(*(middle * factor for factor in spread))
        return found

    def verbosity(self, now: float) -> dict[str, float]:
        """How much longer a model's answers are than others' to the same tenants, languages and tasks: a factor."""
        groups = self._means(now)
        return {model: exp(value) for model, value in self._verbosity(groups).items()}

    def _means(self, now: float) -> list[_Group]:
        groups = []
        for (model, language, task, tenant), histogram in self._groups.items():
            histogram.decay(now)
            size = sum(histogram.counts)
            if size > 0.5:
                mean = sum(c * at for c, at in zip(histogram.counts, _LOGS, strict=True)) / size
                groups.append(_Group(model, (language, task), tenant, mean, min(1.0, size / FULL), histogram.counts))
        return groups

    def _verbosity(self, groups: list[_Group]) -> dict[str, float]:
        """Logarithms by model: alternately what each tenant asks for, and what each model adds to it."""
        asked: defaultdict[tuple[str, tuple[str, str]], list[_Group]] = defaultdict(list)
        for group in groups:
            asked[group.tenant, group.kind].append(group)
        compared = [members for members in asked.values() if len(members) > 1]
        found: dict[str, float] = {}
        for _ in range(SWEEPS):
            differences: defaultdict[str, list[tuple[str, float, float]]] = defaultdict(list)
            for members in compared:
                weights = sum(one.weight for one in members)
                middle = sum((one.mean - found.get(one.model, 0.0)) * one.weight for one in members) / weights
                for one in members:
                    differences[one.model].append(
                        (one.tenant, one.mean - middle, min(one.weight, weights - one.weight))
                    )
            found = {
                model: together(_by_tenant(said), VERBOSITY, self._alone, VERBOSITY_SHARE)
                for model, said in differences.items()
            }
        return found

    def state(self) -> list[tuple[Key, Histogram]]:
        """Everything that is known, to be kept on disk."""
        return [(key, Histogram(list(one.counts), one.at)) for key, one in self._groups.items()]

    def restore(self, state: list[tuple[Key, Histogram]], models: Mapping[str, object]) -> None:
        """Takes up what was kept, of the models that the fleet still has; counts that cannot be are left out."""
        for key, histogram in state:
            counts = histogram.counts
            sane = len(counts) == BUCKETS and isfinite(histogram.at) and all(0 <= count <= CAP for count in counts)
            if key[0] in models and sane and len(self._groups) < GROUPS:
                self._groups[key] = histogram


class _Group(NamedTuple):
    model: str
    kind: tuple[str, str]
    tenant: str
    mean: float
    weight: float
    counts: list[float]


def _by_tenant(said: Iterable[tuple[str, float, float]]) -> list[tuple[float, float]]:
    """One (value, weight) a tenant: the weighted mean of its own, with the weight of its largest."""
    sums: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for tenant, value, weight in said:
        one = sums[tenant]
        one[0] += value * weight
        one[1] += weight
        one[2] = max(one[2], weight)
    return [(total / weight, most) for total, weight, most in sums.values() if weight > 0]


def _spread(members: list[_Group], unseen: float) -> tuple[float, float, float]:
    """Mean, median and 90th percentile over the geometric mean: of the groups' histograms laid on each other at their
    own geometric means, a tenant's together with weight 1 at most, and of what is assumed with the weight `unseen`."""
    points = [(at, unseen / len(_SPREAD)) for at in _SPREAD]
    tenants: defaultdict[str, float] = defaultdict(float)
    for one in members:
        tenants[one.tenant] += one.weight
    for one in members:
        weight = one.weight / max(tenants[one.tenant], 1.0) / sum(one.counts)
        points += [(at - one.mean, count * weight) for at, count in zip(_LOGS, one.counts, strict=True) if count]
    points.sort()
    total = sum(weight for _, weight in points)
    mean = sum(exp(min(at, _FAR)) * weight for at, weight in points) / total
    return mean, exp(_quantile(points, 0.5 * total)), exp(_quantile(points, 0.9 * total))


def _quantile(points: list[tuple[float, float]], at: float) -> float:
    passed = 0.0
    for value, weight in points:
        passed += weight
        if passed >= at:
            return value
    return points[-1][0]
