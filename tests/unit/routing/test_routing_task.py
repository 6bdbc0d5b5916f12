"""The task classifier: what it tells, what it leaves open, how long it takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.fleet.tasks import Task
from serve.routing import tags, task_score
from serve.routing.task import CLEAR, classify
from serve.routing.task_score import Labelled, score

pytestmark = pytest.mark.unit

PROMPTS = Path(__file__).parents[2] / "data" / "tasks.jsonl"
ROWS = [json.loads(line) for line in PROMPTS.read_text(encoding="utf-8").splitlines()]
LABELS = """
ar bg ca cs da de el en es et fi fo fr ga gl hi hr hu is it ja ko lt lv mt nb nl nn pl pt ro ru se sk sl sv th tr uk zh
"""
ARTICLE = (
    "The council met on Tuesday and decided, after hours of talk, that the harbour would be rebuilt by 2031. "
    "Members asked how many houses would be lost, and a translation of the report was promised. "
) * 20


def labelled(split: str) -> list[Labelled]:
    return [Labelled(row["text"], Task(row["task"]), row["lang"]) for row in ROWS if row["split"] == split]


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("Oversett til engelsk: Jeg kommer på fredag.", Task.TRANSLATION),
        ("Přelož to do němčiny, prosím.", Task.TRANSLATION),
        ("この記事を要約してください。", Task.SUMMARY),
        ("سلام! این مقاله را خلاصه کن", Task.SUMMARY),
        ("Extract every date as JSON.", Task.EXTRACTION),
        ("def f(x):\n    return x +\n", Task.CODE),
        ("SELECT name FROM users WHERE id = 3; why is this slow?", Task.CODE),
        ("12 * 7 = ?", Task.REASONING),
        ("Ile kosztuje 5 jabłek, jeśli 3 kosztują 6 zł?", Task.REASONING),
        ("Hei! Kan du fortelle en vits?", Task.CHAT),
        ("Hvem vant fotball-VM i 1998?", Task.CHAT),
        ("Hva handler denne eposten om? Hei alle sammen. Vi flytter i mars.", Task.SUMMARY),
        ("docker容器为什么退出", Task.CODE),
        ("xyzzy", None),
        ("", None),
        ("🙂🙂🙂", None),
        ("1234567", None),
    ],
)
def test_what_a_text_asks_for(text: str, task: Task | None) -> None:
    found, probability = classify(text)
    assert found is task
    assert 0 < probability <= 1
    assert (probability >= CLEAR) == (found is not None)


def test_the_instruction_counts_at_either_end_of_a_long_text() -> None:
    assert classify(f"Oppsummer artikkelen:\n{ARTICLE}")[0] is Task.SUMMARY
    assert classify(f"{ARTICLE}\nOppsummer artikkelen.")[0] is Task.SUMMARY


def test_what_stands_in_the_middle_of_a_long_text_says_nothing() -> None:
    prose = "Ordene i en lang tekst handler om mangt. " * 30
    assert classify(prose + "Translate this into German." + prose) == classify(prose + prose)


def test_a_system_prompt_decides_where_the_text_says_nothing() -> None:
    assert classify("Møtet er utsatt.")[0] is None
    assert classify("Møtet er utsatt.", "You are a translator. Translate what the user writes.")[0] is Task.TRANSLATION
    assert classify("Oppsummer saken i tre punkter.", "You translate.")[0] is Task.SUMMARY


def test_the_probabilities_of_the_tasks_are_a_distribution() -> None:
    assert classify("")[1] < 0.5


@given(st.text(max_size=2000), st.text(max_size=200))
@settings(max_examples=150, deadline=None)
def test_no_text_makes_it_raise(text: str, instructions: str) -> None:
    task, probability = classify(text, instructions)
    assert task is None or isinstance(task, Task)
    assert 0 < probability <= 1


def test_broken_surrogates_and_huge_texts_are_texts() -> None:
    assert classify("\ud800" * 50)[0] is None
    assert classify("a" * 200_000)[0] is None


def test_every_row_of_the_table_is_sound_and_every_catalogue_language_is_there() -> None:
    rows = list(tags.rows("tasks.tsv"))
    seen = [(row[0], row[1]) for row in rows]
    assert len(seen) == len(set(seen))
    for row in rows:
        assert Task(row[1])
        assert any(row[2:]), row
    languages = {row[0].rstrip("*") for row in rows}
    assert set(LABELS.split()) <= languages
    for tag in LABELS.split():
        assert {row[1] for row in rows if row[0].rstrip("*") == tag} == {task.value for task in Task}, tag


def test_the_labelled_prompts_are_what_they_are_said_to_be() -> None:
    assert len({row["lang"] for row in ROWS}) >= 35
    assert {row["task"] for row in ROWS} == {task.value for task in Task}
    assert {(row["licence"], row["source"]) for row in ROWS} == {("Apache-2.0", "written for Parlance")}
    assert len({row["text"] for row in ROWS}) == len(ROWS)


def test_a_guess_on_prompts_that_nothing_was_fitted_on_is_right() -> None:
    found = score(labelled("test"))
    assert found.precision is not None
    assert found.precision >= 0.98
    assert found.macro_f1 >= 0.97
    assert found.none <= 0.04
    assert found.calibration_error <= 0.05
    for one in found.tasks:
        assert one.precision is not None
        assert one.precision >= 0.95, one


def test_scores_by_hand() -> None:
    found = score(
        [
            Labelled("Translate this into German: I am late.", Task.TRANSLATION),
            Labelled("Summarise this article.", Task.CHAT),
            Labelled("xyzzy", Task.CODE),
            Labelled("xyzzy", None),
        ]
    )
    assert (found.accuracy, found.precision, found.none) == (0.5, 0.5, 0.5)
    by_task = {one.task: one for one in found.tasks}
    assert (by_task[Task.TRANSLATION].precision, by_task[Task.TRANSLATION].recall) == (1.0, 1.0)
    assert (by_task[Task.SUMMARY].precision, by_task[Task.SUMMARY].recall) == (0.0, None)
    assert (by_task[Task.CODE].precision, by_task[Task.CODE].recall) == (None, 0.0)
    assert found.macro_f1 == pytest.approx(1 / 3)  # of the three tasks that prompts have
    assert [(one.task, guess) for one, guess, _ in found.wrong] == [(Task.CHAT, Task.SUMMARY)]
    assert sum(one.guesses for one in found.bins) == 2
    assert found.calibration_error == pytest.approx(
        sum(one.guesses * abs(one.probability - one.right) for one in found.bins) / 2
    )
    assert task_score.BINS == 10


@pytest.mark.parametrize(
    "text",
    [
        "Explain in two sentences why the sky is red.",
        "Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht.",
        "Forklar meg i to setninger hvorfor himmelen er blå.",
        "Explique en une phrase pourquoi le ciel est bleu.",
        "用两句话解释为什么天空是蓝色的",
    ],
)
def test_a_length_in_sentences_asks_for_no_summary(text: str) -> None:
    assert classify(text)[0] in (None, Task.CHAT)
