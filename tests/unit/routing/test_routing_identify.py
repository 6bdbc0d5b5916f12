"""The language model as it ships: right on unseen texts, calibrated, the same every time, and with its licence."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.routing import identify
from serve.routing.accuracy import Accuracy, best_guess
from serve.routing.identify import EXPECTED, LEAST, scorer, settled
from serve.routing.mixed import read
from serve.routing.tags import DATA, OTHER

pytestmark = pytest.mark.unit
TEXTS = Path(__file__).parents[2] / "data"


def rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (TEXTS / name).read_text(encoding="utf-8").splitlines()]


def measured(name: str) -> Accuracy:
    accuracy = Accuracy(EXPECTED)
    for row in rows(name):
        posterior = read(row["text"]).posterior or ((OTHER, 1.0),)
        accuracy.add(row["lang"], best_guess(posterior), posterior, False)
    return accuracy


def test_sentences_are_in_their_language() -> None:
    covered = measured("sentences.jsonl").as_dict()["covered"]
    assert covered["languages"] == 40
    assert covered["macro_f1"] >= 0.98
    assert covered["calibration_error"] <= 0.03


def test_short_everyday_lines_are_in_their_language() -> None:
    figures = measured("short_lines.jsonl").as_dict()
    assert figures["covered"]["macro_f1"] >= 0.9, figures["covered"]["worst"]
    assert figures["covered"]["calibration_error"] <= 0.12, "few texts: the bound is wide"
    assert figures["outside"]["recognised"] >= 0.8, figures["outside"]["taken_for"]


def test_what_is_sure_is_right() -> None:
    sure = [(row["lang"], read(row["text"]).posterior) for row in rows("sentences.jsonl")]
    certain = [(truth, posterior[0][0]) for truth, posterior in sure if posterior and posterior[0][1] >= 0.99]
    assert len(certain) >= 90
    assert sum(truth != said for truth, said in certain) <= 1


def test_the_same_text_has_the_same_posterior_in_a_model_loaded_anew() -> None:
    texts = [row["text"] for row in rows("sentences.jsonl")[::4]]
    first = [scorer()(text, "Latn") for text in texts]
    assert first == [scorer()(text, "Latn") for text in texts]
    assert first == [scorer.__wrapped__()(text, "Latn") for text in texts]


def test_the_beginning_of_a_long_text_is_enough_where_it_is_sure() -> None:
    start = "Voitko selittää minulle, miten haen vanhempainrahaa, kun olen yrittäjä ja asun "
    assert scorer()(start + "ulkomailla enkä ole töissä?", "Latn") == scorer()(start * 2, "Latn")


def test_a_script_without_a_model_is_other() -> None:
    assert scorer()("ᎣᏏᏲ", "Cher") == [(OTHER, 1.0)]


def test_the_model_is_small_and_says_what_it_was_made_from() -> None:
    path = DATA / identify.MODEL
    assert path.stat().st_size <= 4_000_000
    notice = (DATA / "NOTICE.md").read_text(encoding="utf-8")
    for word in (identify.MODEL, "CC BY-SA 4.0", "NTREX-128", "wordfreq", "Home Assistant"):
        assert word in notice
    with np.load(path, allow_pickle=False) as model:
        tags = {str(tag) for name in model if name.endswith(".tags") for tag in model[name]}
        assert all(model[name].dtype == np.int8 for name in model if name.endswith(".table"))
    alone = {"el", "ko", "th"}  # their script says it
    assert tags >= EXPECTED - alone


def test_a_model_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / identify.MODEL, version=np.array(999))
    monkeypatch.setattr(identify, "DATA", tmp_path)
    with pytest.raises(RuntimeError, match=r"version 999; this code reads \d+"):
        scorer.__wrapped__()


@pytest.mark.parametrize(
    "tag", ["af", "be", "cy", "eu", "fa", "he", "id", "lb", "mk", "sq", "vi", "sr-Cyrl", "sr-Latn"]
)
def test_a_language_that_no_model_speaks_is_itself(tag: str) -> None:
    of: dict[str, list[str]] = defaultdict(list)
    for row in rows("short_lines.jsonl"):
        of[row["lang"]].append(row["text"])
    posterior = read(". ".join(of[tag])).posterior
    assert posterior is not None
    assert posterior[0][0] not in EXPECTED


def test_settled_sums_to_one_and_gives_the_rest_to_other() -> None:
    assert settled({"nb": 0.7, "nn": 0.2, "da": LEAST / 2}) == [("nb", 0.7), ("nn", 0.2), (OTHER, pytest.approx(0.1))]


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=300))
def test_any_text_is_read(text: str) -> None:
    reading = read(text)
    if reading.posterior is not None:
        assert sum(p for _, p in reading.posterior) == pytest.approx(1.0, abs=1e-6)
        assert all(p > 0 for _, p in reading.posterior)
        assert [p for _, p in reading.posterior] == sorted((p for _, p in reading.posterior), reverse=True)
    assert read(text) == reading
