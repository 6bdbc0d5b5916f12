"""What a benchmark is about, as its name says it: the task and the language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from serve.fleet.tasks import Task

# A benchmark of lm-evaluation-harness belongs to the first family whose words stand in its name: the task, the words,
# and the score of a guess (multiple choice).
_FAMILIES: Final[tuple[tuple[Task, tuple[str, ...], float], ...]] = (
    (Task.CODE, ("humaneval", "mbpp", "multiple", "conala", "livecodebench", "ds1000", "code"), 0.0),
    (Task.TRANSLATION, ("flores", "wmt", "ntrex", "tatoeba", "translation", "iwslt", "opus"), 0.0),
    (Task.SUMMARY, ("xlsum", "xsum", "cnn", "mlsum", "samsum", "summarization", "summ"), 0.0),
    (Task.EXTRACTION, ("belebele",), 25.0),
    (Task.EXTRACTION, ("squad", "squadv2", "xquad", "norquad", "tydiqa", "mlqa", "ner", "drop", "germanquad"), 0.0),
    (Task.REASONING, ("gsm8k", "mgsm", "math", "minerva", "bbh", "aime"), 0.0),
    (Task.REASONING, ("arc", "hellaswag", "logiqa", "gpqa"), 25.0),
    (Task.REASONING, ("copa", "xcopa", "winogrande", "xwinograd", "storycloze", "xstorycloze", "piqa"), 50.0),
    (Task.REASONING, ("commonsense", "csqa", "norcommonsenseqa"), 20.0),
    (Task.CHAT, ("mmlu", "mmmlu", "include", "norquiz", "openbookqa"), 25.0),
    (Task.CHAT, ("triviaqa", "ifeval", "simpleqa"), 0.0),
)
# EuroEval's families; the others (sentiment, acceptability, speed, ...) are about none of our tasks. Its scores are
# corrected for guessing (MCC), or cannot be guessed (F1, chrF).
EUROEVAL: Final = {
    "translation": Task.TRANSLATION,
    "summarization": Task.SUMMARY,
    "named-entity-recognition": Task.EXTRACTION,
    "reading-comprehension": Task.EXTRACTION,
    "multiple-choice-reading-comprehension": Task.EXTRACTION,
    "common-sense-reasoning": Task.REASONING,
    "knowledge": Task.CHAT,
    "instruction-following": Task.CHAT,
}
READING: Final = "reading-comprehension"

# English benchmarks whose names say no language.
_ENGLISH: Final = frozenset((
    "mmlu", "gsm8k", "hellaswag", "arc_challenge", "arc_easy", "winogrande", "piqa", "ifeval", "bbh", "humaneval",
    "mbpp", "gsm8k_cot", "leaderboard_bbh", "leaderboard_ifeval",
    "triviaqa", "drop", "squadv2", "openbookqa", "cnn_dailymail", "xsum", "minerva_math", "hendrycks_math", "copa",
))  # fmt: skip

# ISO 639-2/3 codes to ours; two letters stand for themselves.
_CODES: Final[Mapping[str, str]] = {
    "ara": "ar", "arb": "ar", "bul": "bg", "bos": "bs", "cat": "ca", "ces": "cs", "dan": "da", "deu": "de",
    "ell": "el", "eng": "en", "spa": "es", "est": "et", "eus": "eu", "fin": "fi", "fao": "fo", "fra": "fr",
    "gle": "ga", "glg": "gl", "heb": "he", "hin": "hi", "hrv": "hr", "hun": "hu", "ind": "id", "isl": "is",
    "ita": "it", "jpn": "ja", "kor": "ko", "lit": "lt", "lvs": "lv", "lav": "lv", "mlt": "mt", "nob": "nb",
    "nld": "nl", "nno": "nn", "nor": "no", "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru", "sme": "se",
    "slk": "sk", "slv": "sl", "sqi": "sq", "als": "sq", "srp": "sr", "swe": "sv", "tha": "th", "tur": "tr",
    "ukr": "uk", "vie": "vi", "zho": "zh", "cmn": "zh", "pes": "fa", "mkd": "mk", "cym": "cy",
}  # fmt: skip
_TWO: Final = frozenset(_CODES.values())
_PAIR = re.compile(r"(?:^|[_-])([a-z]{2,3})(?:_[A-Z][a-z]{3})?[-–_]([a-z]{2,3})(?:_[A-Z][a-z]{3})?(?:$|_)")
_PART = re.compile(r"[A-Za-z0-9]+")


def family_of(name: str) -> tuple[Task, float] | None:
    """The task of a benchmark of lm-evaluation-harness, and the score of a guess; None: about none of the tasks."""
    parts = {part.lower() for part in _PART.findall(name)}
    for task, words, guess in _FAMILIES:
        if not parts.isdisjoint(words):
            return task, guess
    return None


def language_of(benchmark: str, dataset: str) -> str | None:
    """The language that a benchmark's name, or else its dataset's configuration, says; None where neither does.

    Of a pair (`flores_en-de`) the one that is not English, or else the second.
    """
    for name in (benchmark, dataset):
        if pair := _PAIR.search(name):
            tags = [tag_of(code) for code in pair.groups()]
            if all(tags):
                return next((tag for tag in reversed(tags) if tag != "en"), "en")
        found = [tag for part in _PART.findall(name)[bool(name == benchmark) :] if (tag := tag_of(part))]
        if found:
            return found[-1]
    return "en" if benchmark in _ENGLISH else None


def tag_of(code: str) -> str | None:
    """Our tag for an ISO 639 code of two or three letters; None for what is none that we know."""
    return _CODES.get(code) or (code if code in _TWO else None)
