"""How well languages are told, over texts whose language is known: macro-F1, calibration, confusions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from serve.routing.identify import EXPECTED
from serve.routing.records import Posterior
from serve.routing.tags import OTHER, members

BINS = 10


class Accuracy:
    """Counts over texts; figures when asked.

    Rows in a `covered` language count for accuracy, macro-F1 and calibration; every other row (a language that no
    model speaks, or `other`) counts as recognised when no covered language is said.
    """

    def __init__(self, covered: Collection[str]) -> None:
        self.covered = frozenset(covered)
        self.seconds = 0.0
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._outside: Counter[tuple[str, str]] = Counter()
        self._abstained = 0
        self._bins = [[0, 0.0, 0] for _ in range(BINS)]  # texts, sum of the top probability, right ones

    def add(self, truth: str, said: str, posterior: Posterior, abstained: bool) -> None:
        """Counts one text: its true tag, the tag that was said, the posterior, and whether routing would look on."""
        self._abstained += abstained
        if not self.covered.intersection(members(truth)):
            self._outside[truth, said] += 1
            return
        truth = said if said in members(truth) else truth
        self._pairs[truth, said] += 1
        top, probability = posterior[0]
        cell = self._bins[min(int(probability * BINS), BINS - 1)]
        cell[0] += 1
        cell[1] += probability
        cell[2] += top in members(truth)

    def as_dict(self, worst: int = 10) -> dict[str, Any]:
        """All figures: shares from 0 to 1, None where no row says anything. `worst`: languages listed, lowest F1
        first, each with up to three that it was taken for."""
        inside, outside = self._pairs.total(), self._outside.total()
        languages = self._languages()
        return {
            "texts": inside + outside,
            "covered": {
                "texts": inside,
                "languages": len(languages),
                "macro_f1": sum(one["f1"] for one in languages) / len(languages) if languages else None,
                "accuracy": sum(n for (a, b), n in self._pairs.items() if a == b) / inside if inside else None,
                "calibration_error": self._calibration_error(),
                "reliability": self._reliability(),
                "worst": [one for one in languages if one["f1"] < 1][:worst],
            },
            "outside": {
                "texts": outside,
                "recognised": (
                    sum(n for (_, said), n in self._outside.items() if said not in self.covered) / outside
                    if outside
                    else None
                ),
                "taken_for": [
                    {"lang": truth, "said": said, "texts": n}
                    for (truth, said), n in sorted(self._outside.items(), key=lambda item: (-item[1], item[0]))
                    if said in self.covered
                ][:worst],
            },
            "abstained": self._abstained / (inside + outside) if inside + outside else None,
            "microseconds_per_text": self.seconds / (inside + outside) * 1e6 if inside + outside else None,
        }

    def _languages(self) -> list[dict[str, Any]]:
        true: Counter[str] = Counter()
        told: Counter[str] = Counter()
        for (truth, said), n in self._pairs.items():
            true[truth] += n
            told[said] += n
        found = []
        for tag, n in true.items():
            wrong = {said: k for (truth, said), k in self._pairs.items() if truth == tag != said}
            found.append(
                {
                    "lang": tag,
                    "texts": n,
                    "f1": 2 * self._pairs[tag, tag] / (n + told[tag]),
                    "taken_for": dict(sorted(wrong.items(), key=lambda item: (-item[1], item[0]))[:3]),
                }
            )
        return sorted(found, key=lambda one: (one["f1"], one["lang"]))

    def _reliability(self) -> list[dict[str, Any]]:
        return [
            {"from": k / BINS, "to": (k + 1) / BINS, "texts": n, "probability": total / n, "right": right / n}
            for k, (n, total, right) in enumerate(self._bins)
            if n
        ]

    def _calibration_error(self) -> float | None:
        """Expected calibration error (Naeini et al. 2015, https://doi.org/10.1609/aaai.v29i1.9602), ten bins."""
        texts = sum(n for n, _, _ in self._bins)
        return sum(abs(total - right) for _, total, right in self._bins) / texts if texts else None


def best_guess(posterior: Posterior) -> str:
    """The most probable tag. Bokmål and Nynorsk compete with the rest together, the likelier of them for both; so do
    the languages that no model speaks: where they are likelier together than the likeliest other one, one of them it
    is."""
    covered = max((p for tag, p in posterior if tag in EXPECTED), default=0.0)
    outside = [(tag, p) for tag, p in posterior if tag not in EXPECTED]
    if outside and sum(p for _, p in outside) > max(covered, sum(p for tag, p in posterior if tag in ("nb", "nn"))):
        return outside[0][0]
    norwegian = [entry for entry in posterior if entry[0] in ("nb", "nn")]
    top = posterior[0] if posterior else (OTHER, 1.0)
    return norwegian[0][0] if norwegian and sum(p for _, p in norwegian) > top[1] else top[0]
