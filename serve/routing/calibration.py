"""How many prompt tokens engines count for each that was expected, by model and language: the online correction.

Of every tenant the tokens counted and expected are summed up, halved every `HALF_LIFE_S`; one request weighs at most
`MOST_TOKENS`. A tenant's ratio is what it counted over what was expected; `serve.routing.tenants` says how they are
brought together, so that no tenant moves a ratio by 5%. What is published lies within `LEAST` and `MOST`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, isfinite, log

import msgspec

from serve.routing.tenants import together

LEAST, MOST = 0.5, 2.0
HALF_LIFE_S = 3 * 24 * 3600.0
MOST_TOKENS = 2_000.0  # of one request: a long document is one text, not many
FULL_TOKENS = 5_000.0  # with so many a tenant has its whole weight; with fewer, in proportion
# A tenant's sums are cut back to this, so that its texts of last month do not outweigh those of this one.
CAP_TOKENS = 200_000.0
CELLS = 4_096  # pairs of model and language
TENANTS = 64  # in one pair


class Sums(msgspec.Struct):
    """Tokens of one tenant, decayed to `at` (seconds since the epoch)."""

    expected: float
    counted: float
    at: float

    def decay(self, now: float) -> None:
        """Brings the sums to `now`; a clock that goes back leaves them as they are."""
        if now > self.at:
            factor = 0.5 ** ((now - self.at) / HALF_LIFE_S)
            self.expected *= factor
            self.counted *= factor
            self.at = now


class Calibration:
    """The ratios of one gateway. Bounded: the pairs and tenants that were seen longest ago are forgotten."""

    def __init__(self, alone: bool = False) -> None:
        """`alone`: there is one tenant, or all are trusted."""
        self._alone = alone
        self._cells: dict[tuple[str, str], dict[str, Sums]] = {}
        self.observations = 0

    def observe(self, model: str, language: str, tenant: str, expected: float, counted: float, now: float) -> None:
        """An engine counted so many prompt tokens where so many were expected without any correction."""
        if not (isfinite(expected) and isfinite(counted) and expected >= 1 and counted >= 1):
            return
        self.observations += 1
        weight = min(expected, MOST_TOKENS)
        ratio = min(max(counted / expected, LEAST), MOST)
        tenants = self._tenants(model, language)
        sums = tenants.pop(tenant, None)
        if sums is None:
            sums = Sums(0.0, 0.0, now)
            while len(tenants) >= TENANTS:
                del tenants[next(iter(tenants))]
        tenants[tenant] = sums  # the newest last
        sums.decay(now)
        sums.expected += weight
        sums.counted += weight * ratio
        if sums.expected > CAP_TOKENS:
            sums.counted *= CAP_TOKENS / sums.expected
            sums.expected = CAP_TOKENS

    def ratios(self, now: float) -> dict[str, dict[str, float]]:
        """The corrections by model and language; 1 stands for itself and is left out."""
        found: dict[str, dict[str, float]] = {}
        for (model, language), tenants in self._cells.items():
            said = []
            for sums in tenants.values():
                sums.decay(now)
                if sums.expected > 1:
                    said.append((log(sums.counted / sums.expected), min(1.0, sums.expected / FULL_TOKENS)))
            ratio = round(exp(together(said, log(MOST), self._alone)), 4)
            if ratio != 1:
                found.setdefault(model, {})[language] = ratio
        return found

    def state(self) -> list[tuple[str, str, str, Sums]]:
        """Everything that is known, to be kept on disk."""
        return [
            (model, language, tenant, msgspec.structs.replace(sums))
            for (model, language), tenants in self._cells.items()
            for tenant, sums in tenants.items()
        ]

    def restore(self, state: list[tuple[str, str, str, Sums]], models: Mapping[str, object]) -> None:
        """Takes up what was kept, of the models that the fleet still has; sums that cannot be are left out."""
        for model, language, tenant, sums in state:
            sane = 0 < sums.expected <= CAP_TOKENS * 1.01 and isfinite(sums.at)
            if model in models and sane and LEAST * 0.99 <= sums.counted / sums.expected <= MOST * 1.01:
                tenants = self._tenants(model, language)
                if len(tenants) < TENANTS:
                    tenants[tenant] = sums

    def _tenants(self, model: str, language: str) -> dict[str, Sums]:
        key = (model, language)
        tenants = self._cells.pop(key, None)
        if tenants is None:
            tenants = {}
            while len(self._cells) >= CELLS:
                del self._cells[next(iter(self._cells))]
        self._cells[key] = tenants
        return tenants
