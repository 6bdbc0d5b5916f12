"""Which language a text of known script is in, as a calibrated distribution over BCP-47 tags.

Two models vote. Ours (`ngrams.py`, tables in `data/ngrams.npz`, trained by bench/languages/train.py) is linear over
hashed character n-grams; py3langid (BSD-3-Clause, model included) is a naive Bayes over byte n-grams. Ours is asked
first, and alone where it is sure. Where it is not, the logarithms of both are added, each with a weight that depends on
the length of the text: the weights, like the temperature of ours alone, were fitted by least cross-entropy on texts
that ours was not trained on (bench/languages/fit.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from math import exp
from typing import Any

import numpy as np
import numpy.typing as npt

from serve.routing import neighbours
from serve.routing.neighbours import SERBO_CROATIAN
from serve.routing.ngrams import rows
from serve.routing.second import Second, second
from serve.routing.tags import DATA, OTHER

# The catalogue's languages: what an evaluation of languages is about.
EXPECTED = frozenset(
    ("ar", "bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "fi", "fo", "fr", "ga", "gl", "hi", "hr", "hu", "is",
     "it", "ja", "ko", "lt", "lv", "mt", "nb", "nl", "nn", "pl", "pt", "ro", "ru", "se", "sk", "sl", "sv", "th", "tr",
     "uk", "zh")
)  # fmt: skip
# The class of names and of letters at random.
NO_LANGUAGE = "zxx"
MODEL = "ngrams.npz"
VERSION = 1

# Among Croatian, Bosnian and Serbian in Latin letters ours only says that it is one of them: what it was trained on
# differs in its subject more than in its language. py3langid, trained on far more, divides them: by its scores over
# TEMPERATURE x bytes^EXPONENT, as fitted on 12,000 lines for py3langid alone, Croatian e^0.85 likelier, about as the
# languages of the catalogue are altogether.
TEMPERATURE = 0.8
EXPONENT = 0.3
CROATIAN_NATS = 0.85

# Most texts are settled by their beginning: the rest, and the second model, are asked only where a doubt is left.
FIRST_CHARACTERS = 64
SURE_AT_FIRST = 0.998
SURE = 0.99
# An application's prompts begin alike, and an agent sends the same turn with every tool's result.
BEGINNINGS = 4096
# Entries below this are summed up as `other`: a posterior is for reading and for logs.
LEAST = 0.005

Scorer = Callable[[str, str], list[tuple[str, float]]]
Floats = npt.NDArray[np.float32]


class _Classes:
    """One script's classes and our table of them: one row of 8-bit steps for each feature that is known, and a row of
    zeros for all others."""

    __slots__ = ("_bias", "_bits", "_outside", "_place", "_step", "_table", "tags")

    def __init__(self, model: Any, script: str) -> None:
        self.tags = tuple(str(tag) for tag in model[f"{script}.tags"])
        self._step: Floats = model[f"{script}.step"]
        self._bias: Floats = model[f"{script}.bias"]
        self._outside = np.array([tag not in EXPECTED for tag in self.tags], dtype=np.float32)
        self._bits = int(model[f"{script}.bits"])
        keys = np.cumsum(model[f"{script}.keys"], dtype=np.int64)
        self._table: npt.NDArray[np.int8] = model[f"{script}.table"]
        self._place = np.full(1 << self._bits, len(keys), dtype=np.uint16)
        self._place[keys] = np.arange(len(keys), dtype=np.uint16)

    def scores(self, text: str) -> tuple[Floats, int]:
        """Our scores of the classes, and how many known features they are from."""
        places = self._place.take(rows(text, self._bits))
        known = places.compress(places < len(self._table))
        size = max(len(known), 1)
        if not len(known):
            return self._bias, size
        sums = np.ones(len(known), dtype=np.float32) @ self._table.take(known, axis=0).astype(np.float32)
        found: Floats = sums * self._step / np.float32(size**0.5) + self._bias
        return found, size

    def alone(self, scores: Floats, size: int, fit: Floats) -> Floats:
        """Log-probabilities, up to a constant, by our scores: fit = (log weight, power of the length, prior)."""
        logs: Floats = scores * np.float32(exp(fit[0]) * (size / 100) ** float(fit[1])) + self._outside * fit[2]
        return logs

    def together(self, scores: Floats, size: int, theirs: Floats, length: int, fit: Floats) -> Floats:
        """The same with py3langid's, weighted by fit[3:5] and the bytes. A class that it lacks gets what it gives on
        average to the classes that ours holds likely."""
        logs = self.alone(scores, size, fit)
        missing = np.isnan(theirs)
        shares = np.exp(logs - logs.max())
        shares[missing] = 0.0
        known = theirs.copy()
        known[missing] = 0.0
        known[missing] = float(shares @ known) / (float(shares.sum()) + 1e-6)
        known *= exp(fit[3]) * (length / 60) ** float(fit[4])
        known += logs
        return known


@cache
def scorer() -> Scorer:
    """The function (text, script) -> descending (tag, probability) pairs that sum to 1. Loads the models: about 1 s."""
    with np.load(DATA / MODEL, allow_pickle=False) as model:
        if int(model["version"]) != VERSION:
            raise RuntimeError(f"{DATA / MODEL} is of version {int(model['version'])}; this code reads {VERSION}")
        classes = {
            name[: -len(".tags")]: _Classes(model, name[: -len(".tags")]) for name in model if name.endswith(".tags")
        }
        alone, both = model["alone"], model["both"]
    their = second()
    for part in classes.values():
        their.columns(part.tags)
    their.columns(SERBO_CROATIAN)
    their.ready()
    neighbours.load()

    def score(text: str, script: str) -> list[tuple[str, float]]:
        part = classes.get(script)
        if part is None:
            return [(OTHER, 1.0)]
        if len(text) > FIRST_CHARACTERS * 3 // 2:
            found = beginning(text[:FIRST_CHARACTERS], script)
            if found is not None:
                return found
        scores, size = part.scores(text)
        weights, sure = _weights(part.tags, part.alone(scores, size, alone), SURE)
        if not sure:
            theirs = their.scores(text, part.tags)
            if theirs is not None:
                length = len(text.encode("utf-8", "replace"))
                weights, _ = _weights(part.tags, part.together(scores, size, theirs, length, both), SURE)
        _share(weights, text)
        if not weights.keys().isdisjoint(SERBO_CROATIAN):
            _divide(weights, text, their)
        return settled(weights)

    @lru_cache(maxsize=BEGINNINGS)
    def beginning(text: str, script: str) -> list[tuple[str, float]] | None:
        part = classes[script]
        weights, sure = _weights(part.tags, part.alone(*part.scores(text), alone), SURE_AT_FIRST)
        return settled(weights) if sure and weights.keys().isdisjoint(SERBO_CROATIAN) else None

    return score


def _weights(tags: tuple[str, ...], logs: Floats, enough: float) -> tuple[dict[str, float], bool]:
    """Probabilities from their logarithms up to a constant, small ones left out; whether one language has `enough`."""
    weights = np.exp(logs - logs.max())
    total = float(weights.sum())
    kept = {tags[i]: float(weights[i]) / total for i in (weights >= LEAST * total).nonzero()[0].tolist()}
    nothing = kept.pop(NO_LANGUAGE, 0.0)
    return kept, total <= 1.0 / enough and nothing < enough


def _share(weights: dict[str, float], text: str) -> None:
    """Gives a smaller language its part of what its larger neighbour has, where the text has its words."""
    larger = max(weights, key=weights.__getitem__, default="")
    for tag, nats in neighbours.smaller(text, larger):
        both = weights[larger] + weights.get(tag, 0.0)
        gained = max(weights.get(tag, 0.0), neighbours.LEAST * both) * exp(nats)
        weights[tag] = both * gained / (weights[larger] + gained)
        weights[larger] = both - weights[tag]


def _divide(weights: dict[str, float], text: str, their: Second) -> None:
    """Divides the probability of Croatian, Bosnian and Serbian together among them."""
    whole = sum(weights.pop(tag, 0.0) for tag in SERBO_CROATIAN)
    scores = their.scores(text, SERBO_CROATIAN)
    if scores is None:
        scores = np.zeros(len(SERBO_CROATIAN), dtype=np.float32)
    logs = scores / np.float32(TEMPERATURE * len(text.encode("utf-8", "replace")) ** EXPONENT)
    logs[SERBO_CROATIAN.index("hr")] += CROATIAN_NATS
    logs += np.array(neighbours.serbo_croatian(text), dtype=np.float32)
    shares = np.exp(logs - logs.max())
    for tag, share in zip(SERBO_CROATIAN, (shares / shares.sum()).tolist(), strict=True):
        weights[tag] = whole * share


def settled(weights: dict[str, float]) -> list[tuple[str, float]]:
    """Probabilities in descending order that sum to 1; what is below `LEAST`, or missing from 1, is `other`'s."""
    kept = [(tag, p) for tag, p in weights.items() if p >= LEAST and tag != OTHER]
    rest = 1.0 - sum(p for _, p in kept)
    if rest > 1e-9:
        kept.append((OTHER, rest))
    kept.sort(key=lambda entry: (-entry[1], entry[0]))
    return kept
