"""What answers in wrong languages take off a model's evidence, in index points by language.

    share(model, language) = (PRIOR_WRONG + wrong) / (PRIOR_WRONG + PRIOR_RIGHT + wrong + right)
    points = min(MOST, WORTH x max(0, share - PRIOR_WRONG / (PRIOR_WRONG + PRIOR_RIGHT)))

`wrong` and `right` are replies that were judged, each counting half as much after `HALF_LIFE_S`. Of one tenant at most
`cap` replies count (the newest weigh most, for older ones decay): with the cap of 5 a single tenant can take off
14 points of a model at the most, whatever it sends. A language without replies has no points; what is not known of a
model stays unknown.
"""

from __future__ import annotations

from collections.abc import Mapping

# Before anything was seen: one reply in a hundred is in a wrong language, and twenty replies' worth of certainty. A
# judgement: no figure is published for the catalogue's models.
PRIOR_WRONG = 0.2
PRIOR_RIGHT = 19.8
# An answer in a wrong language is worth nothing: about what the reference scores on generative tasks, in index points.
WORTH = 70.0
MOST = 30.0
HALF_LIFE_S = 24 * 3600.0
# Replies of one tenant that count in one language of one model; with one tenant alone there is nobody to protect.
CAP = 5.0
CAP_ALONE = 60.0
# Tenants kept apart in one cell; beyond them the one with the least weight is forgotten.
TENANTS = 32
# Points below this change nothing.
LEAST = 0.05
# Languages of one model; beyond them replies are not counted. (The gateway's label values are fewer.)
LANGUAGES = 512


class _Cell:
    """The replies of one model in one language: (right, wrong) by tenant, decayed to `at`."""

    __slots__ = ("at", "tenants")

    def __init__(self, now: float) -> None:
        self.at = now
        self.tenants: dict[str, list[float]] = {}

    def decay(self, now: float) -> None:
        if now > self.at:  # a clock that goes back leaves the counts as they are
            factor = 0.5 ** ((now - self.at) / HALF_LIFE_S)
            for counts in self.tenants.values():
                counts[0] *= factor
                counts[1] *= factor
            self.at = now

    def points(self, cap: float) -> float:
        right = wrong = 0.0
        for r, w in self.tenants.values():
            weight = min(1.0, cap / (r + w)) if r + w > 0 else 0.0
            right += r * weight
            wrong += w * weight
        share = (PRIOR_WRONG + wrong) / (PRIOR_WRONG + PRIOR_RIGHT + wrong + right)
        excess = share - PRIOR_WRONG / (PRIOR_WRONG + PRIOR_RIGHT)
        return min(MOST, WORTH * max(0.0, excess))


class Penalties:
    """The replies that were judged, and the points that follow."""

    def __init__(self, cap: float = CAP) -> None:
        self._cap = cap
        self._cells: dict[str, dict[str, _Cell]] = {}

    def add(self, model: str, language: str, tenant: str, wrong: bool, now: float) -> None:
        """A reply was judged. `language` is the wanted one, `now` seconds."""
        cells = self._cells.setdefault(model, {})
        cell = cells.get(language)
        if cell is None:
            if len(cells) >= LANGUAGES:
                return
            cell = cells[language] = _Cell(now)
        cell.decay(now)
        tenants = cell.tenants
        counts = tenants.get(tenant)
        if counts is None:
            if len(tenants) >= TENANTS:
                del tenants[min(tenants, key=lambda name: sum(tenants[name]))]
            counts = tenants[tenant] = [0.0, 0.0]
        counts[wrong] += 1.0
        # What lies beyond the cap is forgotten, so that a tenant's recent replies show through its old ones.
        excess = (counts[0] + counts[1]) / self._cap
        if excess > 1.0:
            counts[0] /= excess
            counts[1] /= excess

    def points(self, model: str, now: float) -> Mapping[str, float]:
        """The points of a model by language, where there are any; between 0 and `MOST`."""
        found: dict[str, float] = {}
        for language, cell in self._cells.get(model, {}).items():
            cell.decay(now)
            points = cell.points(self._cap)
            if points >= LEAST:
                found[language] = round(points, 3)
        return found

    def models(self) -> tuple[str, ...]:
        """The models of which a reply was judged."""
        return tuple(self._cells)
