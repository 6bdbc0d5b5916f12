"""py3langid behind one function: a calibrated distribution over BCP-47 tags for a text of known script.

py3langid (BSD-3-Clause, model included) is a multinomial naive Bayes over byte n-grams that an automaton finds. Its
walk over the bytes is used as it is; the sum over features is done here in float32 (its table is float16, whose
conversion at every call takes longer than all the rest), with a prior and a temperature of our own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from math import exp
from typing import Any

import numpy as np
import numpy.typing as npt
from py3langid.langid import MODEL_FILE, LanguageIdentifier, visit_counts

from serve.routing.scripts import SHARED, SOLE
from serve.routing.tags import OTHER

# py3langid's labels where they are not the tag that routing uses. Its `no` is Bokmål (it has `nn` beside it); the
# rest are varieties that share a written standard, and its class for text in no language.
FOLD = {
    "no": "nb", "wuu": "zh", "yue": "zh", "arz": "ar", "ary": "ar", "uzs": "uz", "sdh": "ku", "grc": "el", "hbo": "he",
    "gug": "gn", "zxx": OTHER,
}  # fmt: skip

# The catalogue's languages. Prompts in them are likelier than in the other hundred that py3langid knows.
EXPECTED = frozenset(
    ("ar", "bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "fi", "fo", "fr", "ga", "gl", "hi", "hr", "hu", "is",
     "it", "ja", "ko", "lt", "lv", "mt", "nb", "nl", "nn", "pl", "pt", "ro", "ru", "se", "sk", "sl", "sv", "th", "tr",
     "uk", "zh")
)  # fmt: skip
# In nats of py3langid's own score: e^3 = 20 times likelier each. A judgement: it decides only near ties.
EXPECTED_NATS = 3.0

# Scores are divided by TEMPERATURE x bytes^EXPONENT. Fitted by least cross-entropy over 12,000 lines of 40 languages,
# 60% of them cut to 3-6 words (NTREX-128 and UD_North_Sami-Giella, CC BY-SA 4.0, lines apart from every test):
# 0.142 nats a line; expected calibration error 0.003 on sentences, 0.010 on 3-6 words, 0.024 on chat lines that
# took no part in the fit.
TEMPERATURE = 0.8
EXPONENT = 0.3

# Entries below this are summed up as `other`: a posterior is for reading and for logs.
LEAST = 0.005

# Most texts are settled by their beginning: the rest is read only when the first bytes leave a doubt. The accuracy is
# the same (4,000 sentences of NTREX-128 and UD_North_Sami-Giella).
FIRST_BYTES = 64
SURE = 0.999
# An application's prompts begin alike, and an agent sends the same turn with every tool's result.
BEGINNINGS = 4096

# Columns less than e^-7 = 0.0009 times as likely as the best one are not summed.
NEGLECTED_NATS = 7.0

# Tags of shared scripts that are written in Latin letters as well.
LATIN_TOO = frozenset(("uz", "crh", "az", "ku", "tk", "tt"))

Scorer = Callable[[str, str], list[tuple[str, float]]]


class _Columns:
    """The part of the model that one script needs: its languages' columns, side by side in memory.

    Log-likelihoods are kept as 16-bit steps, `likelihood = table x step + a constant` (which changes no comparison): a
    request touches some fifty rows, each in another page of memory, and short rows are what makes it quick.
    """

    __slots__ = ("prior", "step", "table", "tags")

    def __init__(
        self, model_table: npt.NDArray[Any], prior: npt.NDArray[np.float32], tags: list[str], wanted: list[bool]
    ) -> None:
        kept = [i for i, keep in enumerate(wanted) if keep]
        self.tags = [tags[i] for i in kept]
        self.prior = prior[kept]
        exact = np.ascontiguousarray(model_table[:, kept], dtype=np.float32)
        centre = (float(exact.max()) + float(exact.min())) / 2
        self.step = (float(exact.max()) - centre) / 32_767
        self.table: npt.NDArray[np.int16] = np.rint((exact - centre) / self.step).astype(np.int16)


@cache
def scorer() -> Scorer:
    """The function (text, script) -> descending (tag, probability) pairs that sum to 1. Loads the model: about 1 s."""
    model: Any = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    moves, outputs = model.tk_nextmove, model.tk_output
    rows = [row << 8 for row in model.tk_row]
    tags = [FOLD.get(label, label) for label in model.nb_classes]
    # The second `sr` column is Serbian in Latin letters.
    serbian = [i for i, tag in enumerate(tags) if tag == "sr"]
    for i, tag in zip(serbian, ("sr-Cyrl", "sr-Latn"), strict=False):
        tags[i] = tag
    prior = np.asarray(model.nb_pc, dtype=np.float32) + np.asarray(
        [EXPECTED_NATS if tag in EXPECTED else 0.0 for tag in tags], dtype=np.float32
    )
    columns = {
        script: _Columns(model.nb_ptc, prior, tags, [tag in allowed for tag in tags])
        for script, allowed in SHARED.items()
    }
    foreign = set().union(*SHARED.values(), SOLE.values()) - LATIN_TOO
    latin = _Columns(model.nb_ptc, prior, tags, [tag not in foreign for tag in tags])
    del model  # with it the float16 table, 28 MB
    logs = np.log1p(np.arange(1024, dtype=np.float32))

    def score(text: str, script: str) -> list[tuple[str, float]]:
        data = text.encode("utf-8", "replace")
        if len(data) > FIRST_BYTES * 3 // 2:
            found = beginning(data[:FIRST_BYTES], script)
            if found[0][1] >= SURE and found[0][0] != OTHER:
                return found
        return over(data, script)

    @lru_cache(maxsize=BEGINNINGS)
    def beginning(data: bytes, script: str) -> list[tuple[str, float]]:
        return over(data, script)

    def over(data: bytes, script: str) -> list[tuple[str, float]]:
        visits = visit_counts(moves, rows, outputs, data)
        if not visits:
            return [(OTHER, 1.0)]
        size = len(visits)
        part = columns.get(script, latin)
        features = np.fromiter(visits, dtype=np.intp, count=size)
        counts = logs.take(np.fromiter(visits.values(), dtype=np.intp, count=size), mode="clip")
        scores = counts @ part.table.take(features, axis=0).astype(np.float32)
        scores *= part.step
        scores += part.prior
        best = float(scores[scores.argmax()])
        scale = 1.0 / (TEMPERATURE * float(len(data)) ** EXPONENT)
        weights: dict[str, float] = {}
        total = 0.0
        for column in (scores > best - NEGLECTED_NATS / scale).nonzero()[0].tolist():
            weight = exp((float(scores[column]) - best) * scale)
            total += weight
            tag = part.tags[column]
            weights[tag] = weights.get(tag, 0.0) + weight
        return settled({tag: weight / total for tag, weight in weights.items()})

    return score


def settled(weights: dict[str, float]) -> list[tuple[str, float]]:
    """Probabilities in descending order that sum to 1; what is below `LEAST`, or missing from 1, is `other`'s."""
    kept = [(tag, p) for tag, p in weights.items() if p >= LEAST and tag != OTHER]
    rest = 1.0 - sum(p for _, p in kept)
    if rest > 1e-9:
        kept.append((OTHER, rest))
    kept.sort(key=lambda entry: (-entry[1], entry[0]))
    return kept
