"""py3langid's opinion on a text: log-likelihoods of given classes.

py3langid (BSD-3-Clause, model included) is a multinomial naive Bayes over byte n-grams that an automaton finds. Its
walk over the bytes is used as it is; the sum over features is done here, for the columns of one script only.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from py3langid.langid import MODEL_FILE, LanguageIdentifier, visit_counts

# py3langid's labels where they are not the tag that routing uses. Its `no` is Bokmål (it has `nn` beside it); the
# rest are varieties that share a written standard.
FOLD = {
    "no": "nb", "wuu": "zh", "yue": "zh", "arz": "ar", "ary": "ar", "uzs": "uz", "sdh": "ckb", "gug": "gn",
}  # fmt: skip
Floats = npt.NDArray[np.float32]


class Second:
    """The model, and for each list of classes its columns side by side in memory."""

    def __init__(self) -> None:
        model: Any = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        self._moves, self._outputs = model.tk_nextmove, model.tk_output
        self._rows = [row << 8 for row in model.tk_row]
        labels = [FOLD.get(label, label) for label in model.nb_classes]
        # The second `sr` column is Serbian in Latin letters.
        serbian = [i for i, label in enumerate(labels) if label == "sr"]
        for i, label in zip(serbian, ("sr-Cyrl", "sr-Latn"), strict=False):
            labels[i] = label
        self._labels = labels
        self._table, self._prior = model.nb_ptc, np.asarray(model.nb_pc, dtype=np.float32)
        self._parts: dict[tuple[str, ...], _Columns] = {}
        self._logs = np.log1p(np.arange(1024, dtype=np.float32))

    def columns(self, tags: tuple[str, ...]) -> None:
        """Makes room for these classes; to be called for all of them before the first text."""
        if tags not in self._parts:
            self._parts[tags] = _Columns(self._table, self._prior, self._labels, tags)

    def ready(self) -> None:
        """Lets go of py3langid's own table, 28 MB."""
        self._table = None

    def scores(self, text: str, tags: tuple[str, ...]) -> Floats | None:
        """Log-likelihoods of the classes below that of the best one, NaN for those it lacks; None when it found
        nothing in the text."""
        visits = visit_counts(self._moves, self._rows, self._outputs, text.encode("utf-8", "replace"))
        if not visits:
            return None
        size = len(visits)
        part = self._parts[tags]
        features = np.fromiter(visits, dtype=np.intp, count=size)
        counts = self._logs.take(np.fromiter(visits.values(), dtype=np.intp, count=size), mode="clip")
        sums = (counts @ part.table.take(features, axis=0).astype(np.float32)) * part.step + part.prior
        best = np.maximum.reduceat(sums, part.starts) if part.folded else sums
        scores = np.full(len(tags), np.nan, dtype=np.float32)
        scores[part.places] = best - best.max()
        return scores


class _Columns:
    """The columns of some classes; several of one class stand together, and the best of them counts.

    Log-likelihoods are kept as 16-bit steps, `likelihood = table x step + a constant` (which changes no comparison): a
    text touches some fifty rows, each in another page of memory, and short rows are what makes it quick.
    """

    __slots__ = ("folded", "places", "prior", "starts", "step", "table")

    def __init__(self, table: npt.NDArray[Any], prior: Floats, labels: list[str], tags: tuple[str, ...]) -> None:
        kept: list[int] = []
        places: list[int] = []
        starts: list[int] = []
        for place, tag in enumerate(tags):
            columns = [i for i, label in enumerate(labels) if label == tag]
            if columns:
                starts.append(len(kept))
                places.append(place)
                kept += columns
        self.places = np.array(places, dtype=np.intp)
        self.starts = np.array(starts, dtype=np.intp)
        self.folded = len(kept) > len(places)
        self.prior = prior[kept]
        exact = np.ascontiguousarray(table[:, kept], dtype=np.float32)
        centre = (float(exact.max()) + float(exact.min())) / 2
        self.step = (float(exact.max()) - centre) / 32_767
        self.table: npt.NDArray[np.int16] = np.rint((exact - centre) / self.step).astype(np.int16)


@cache
def second() -> Second:
    """The model, loaded once: about 1 s."""
    return Second()


def second_opinion(text: str, tags: list[str]) -> Floats:
    """The scores of one text, for fitting; all equal when it found nothing."""
    classes = tuple(tags)
    second().columns(classes)
    found = second().scores(text, classes)
    return np.zeros(len(tags), dtype=np.float32) if found is None else found
