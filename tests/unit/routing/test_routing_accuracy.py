"""Figures of an evaluation, against ones counted by hand."""

from __future__ import annotations

import pytest

from serve.routing.accuracy import Accuracy, best_guess
from serve.routing.records import Posterior

pytestmark = pytest.mark.unit


def top(tag: str, p: float) -> Posterior:
    return ((tag, p), ("other", 1 - p))


def counted() -> dict[str, object]:
    accuracy = Accuracy({"nb", "da", "sv"})
    for truth, said, p in [
        ("nb", "nb", 0.95),
        ("nb", "nb", 0.95),
        ("nb", "da", 0.65),
        ("da", "da", 0.85),
        ("sv", "other", 0.35),
    ]:
        accuracy.add(truth, said, top(said, p), abstained=p < 0.5)
    for truth, said in [("af", "af"), ("af", "da"), ("other", "other"), ("bs", "sv")]:
        accuracy.add(truth, said, top(said, 0.9), abstained=False)
    accuracy.seconds = 9e-4
    return accuracy.as_dict()


def test_figures_are_what_is_counted_by_hand() -> None:
    figures = counted()
    covered, outside = figures["covered"], figures["outside"]
    assert isinstance(covered, dict)
    assert isinstance(outside, dict)
    # nb: 2 of 3 found, none wrong: F1 4/5; da: found, once wrongly: 2/3; sv: never: 0.
    assert covered["macro_f1"] == pytest.approx((4 / 5 + 2 / 3 + 0) / 3)
    assert covered["accuracy"] == pytest.approx(3 / 5)
    # |1.9 - 2| + |0.65 - 0| + |0.85 - 1| + |0.35 - 0| over 5 texts.
    assert covered["calibration_error"] == pytest.approx((0.1 + 0.65 + 0.15 + 0.35) / 5)
    assert [b["texts"] for b in covered["reliability"]] == [1, 1, 1, 2]
    assert covered["worst"][0] == {"lang": "sv", "texts": 1, "f1": 0.0, "taken_for": {"other": 1}}
    assert outside["recognised"] == pytest.approx(2 / 4)
    assert outside["taken_for"] == [
        {"lang": "af", "said": "da", "texts": 1},
        {"lang": "bs", "said": "sv", "texts": 1},
    ]
    assert figures["abstained"] == pytest.approx(1 / 9)
    assert figures["microseconds_per_text"] == pytest.approx(100)


def test_without_texts_there_are_no_figures() -> None:
    figures = Accuracy({"nb"}).as_dict()
    assert figures["abstained"] is figures["covered"]["macro_f1"] is figures["outside"]["recognised"] is None


def test_a_macrolanguage_is_right_with_either_of_its_members() -> None:
    accuracy = Accuracy({"nb", "nn"})
    accuracy.add("no", "nn", top("nn", 0.9), abstained=False)
    assert accuracy.as_dict()["covered"]["accuracy"] == 1


def test_the_norwegian_standards_compete_together() -> None:
    assert best_guess((("da", 0.4), ("nb", 0.35), ("nn", 0.25))) == "nb"
    assert best_guess((("da", 0.7), ("nn", 0.2), ("nb", 0.1))) == "da"
    assert best_guess((("other", 1.0),)) == "other"
