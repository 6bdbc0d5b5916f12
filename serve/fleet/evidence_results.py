"""Scores from the result files of lm-evaluation-harness and EuroEval, as both programs write them.

* lm-evaluation-harness (0.4): `results_*.json`, an object whose `results` has, by task, `metric,filter` and
  `metric_stderr,filter` (a standard error, or "N/A"); `group_subtasks`, `higher_is_better`, `configs`, `model_name`.
* EuroEval: `euroeval_benchmark_results.jsonl`, a line a model and dataset. Older lines have `test_METRIC` and
  `test_METRIC_se` in `results.total`, newer ones follow "Every Eval Ever" (`schema_version`, `evaluation_results`).
  `_se` is the half-width of a 95% interval all the same (1.96 standard errors; EuroEval's `scores.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from serve.errors import DescriptionError, Problem
from serve.fleet.evidence_benchmarks import EUROEVAL, family_of, language_of, tag_of
from serve.fleet.tasks import Task

Z95: Final = 1.96

# Which metric of a benchmark counts, the first that is there; and those that are given in points of 100 already.
_METRICS: Final = (
    "mcc", "f1", "acc_norm", "exact_match", "em", "acc", "pass@1", "pass_at_1", "prompt_level_strict_acc", "chrf3pp",
    "chrf", "bleu", "rougeL", "rouge1", "bertscore", "micro_f1_no_misc", "micro_f1", "macro_f1", "instruction_accuracy",
)  # fmt: skip
_IN_POINTS: Final = frozenset(("chrf", "bleu"))


@dataclass(frozen=True, slots=True)
class Score:
    """A model on one benchmark in one language: 0 to 100, higher is better. `guess` is what guessing gets; `error` the
    standard error, None where the file gives none. `key` is what two models' scores must share to be compared."""

    model: str
    benchmark: str
    language: str
    task: Task
    metric: str
    value: float
    error: float | None
    guess: float
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Results:
    """The scores of a file, what was left out and why, the program, and the time of the newest run (seconds since the
    epoch; None: not said)."""

    scores: tuple[Score, ...]
    left_out: tuple[str, ...]
    program: str
    time: float | None


def read(text: str, source: str, language: str | None = None) -> Results:
    """The scores of a result file of either program. `language` stands in where a benchmark's name says none.

    Raises DescriptionError when the file is of neither.
    """
    try:
        whole = json.loads(text)
    except ValueError:
        return _euroeval(text, source)
    if isinstance(whole, Mapping) and isinstance(whole.get("results"), Mapping) and "dataset" not in whole:
        return _lm_eval(whole, source, language)
    return _euroeval(text, source)


def _lm_eval(whole: Mapping[str, Any], source: str, language: str | None) -> Results:
    results: Mapping[str, Any] = whole["results"]
    model = str(whole.get("model_name") or _pretrained(whole) or "")
    if not model:
        raise DescriptionError(source, [Problem("model_name", "", "the file does not say which model it is about")])
    groups: Mapping[str, Any] = whole.get("group_subtasks") or {}
    members = {child for children in groups.values() for child in children}
    higher: Mapping[str, Any] = whole.get("higher_is_better") or {}
    shots: Mapping[str, Any] = whole.get("n-shot") or {}
    scores: list[Score] = []
    left_out: list[str] = []
    for name, figures in results.items():
        tag = language_of(name, _dataset_name(whole, name)) or (language if name not in members else None)
        if any(_stands_for(group, tag) and list(_metrics(results.get(group), {})) for group in _above(name, groups)):
            continue  # a part of one benchmark: its group is the score
        children = groups.get(name) or ()
        if children and tag is None:
            continue  # a mean over languages: the languages are there themselves
        family = family_of(name)
        metrics = list(_metrics(figures, higher.get(name) or {}))
        if family is None or tag is None or not metrics:
            left_out.append(f"{name}: {_why_not(family is None, tag is None)}")
            continue
        task, guess = family
        for metric, value, error in metrics:
            key = (name, metric, str(shots.get(name, "")))
            scores.append(Score(model, name, tag, task, metric, value, error, guess, key))
    time = whole.get("date")
    version = f" {whole['lm_eval_version']}" if whole.get("lm_eval_version") else ""
    return Results(
        tuple(scores),
        tuple(left_out),
        f"lm-evaluation-harness{version}",
        float(time) if isinstance(time, int | float) else None,
    )


def _above(name: str, groups: Mapping[str, Any]) -> Iterator[str]:
    """The groups that a benchmark is in, and those that these are in."""
    for group, children in groups.items():
        if name in children and group != name:
            yield group
            yield from _above(group, {other: some for other, some in groups.items() if other != group})


def _stands_for(group: str, language: str | None) -> bool:
    """Whether a group is one benchmark in one language: its part says the same one, or none."""
    own = language_of(group, "")
    return own is not None and language in (None, own)


def _why_not(no_task: bool, no_language: bool) -> str:
    if no_task:
        return "not known to be about any of the tasks"
    if no_language:
        return "its name says no language: give --language"
    return "has no metric that is known, and better when higher"


def _pretrained(whole: Mapping[str, Any]) -> str | None:
    found = re.search(r"(?:pretrained|model)=([^,]+)", str((whole.get("config") or {}).get("model_args", "")))
    return found[1] if found else None


def _dataset_name(whole: Mapping[str, Any], name: str) -> str:
    config = (whole.get("configs") or {}).get(name)
    return str(config.get("dataset_name") or "") if isinstance(config, Mapping) else ""


def _metrics(figures: Any, higher: Mapping[str, Any]) -> Iterator[tuple[str, float, float | None]]:
    """The known metrics of a benchmark, the one that counts first, in points of 100 with their standard errors."""
    if not isinstance(figures, Mapping):
        return
    known = []
    for key, value in figures.items():
        metric, _, kind = str(key).partition(",")
        if metric in _METRICS and _is_number(value) and higher.get(metric) is not False:
            error = figures.get(f"{metric}_stderr,{kind}")
            scale = 1.0 if metric in _IN_POINTS or value > 1 else 100.0
            known.append((_METRICS.index(metric), key, value * scale, _scaled(error, scale)))
    for _, key, value, error in sorted(known, key=lambda one: one[0]):
        yield key, value, error


def _euroeval(text: str, source: str) -> Results:
    scores: list[Score] = []
    left_out: list[str] = []
    times: list[float] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            problems.append(Problem(f"line {number}", line[:60], f"is no JSON: {error}"))
            continue
        plain = _plain(row) if isinstance(row, Mapping) else None
        if plain is None:
            allowed = "a result of lm-evaluation-harness (`results_*.json`) or of EuroEval (a JSON object a line)"
            problems.append(Problem(f"line {number}", line[:60], allowed))
            continue
        if _is_number(plain["time"]):
            times.append(plain["time"])
        scores.extend(_euroeval_scores(plain, left_out))
    if problems or not (scores or left_out):
        raise DescriptionError(source, problems[:20] or [Problem("", "", "has no results")])
    return Results(tuple(scores), tuple(dict.fromkeys(left_out)), "EuroEval", max(times, default=None))


def _plain(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """A line of either version as: model, dataset, task, languages, total, setting, time. None: it is neither."""
    try:
        if "evaluation_results" not in row:
            return {
                **{key: row[key] for key in ("model", "dataset", "task")},
                "languages": row.get("languages") or row["dataset_languages"],
                "total": row["results"]["total"],
                "setting": (str(row.get("few_shot")), str(row.get("validation_split"))),
                "time": None,
            }
        details = row["eval_library"]["additional_details"]
        total: dict[str, Any] = {}
        for one in row["evaluation_results"]:
            score = one["score_details"]
            total[one["evaluation_name"]] = score["score"]
            interval = (score.get("uncertainty") or {}).get("confidence_interval")
            if interval:
                total[f"{one['evaluation_name']}_se"] = (interval["upper"] - interval["lower"]) / 2
        stamp = str(row.get("retrieved_timestamp", ""))
        return {
            "model": row["model_info"]["id"],
            "dataset": details["dataset"],
            "task": details["task"],
            "languages": json.loads(details["languages"]),
            "total": total,
            "setting": (
                str(details.get("few_shot")).lower(),
                str(details.get("validation_split")).lower(),
            ),
            "time": float(stamp) if stamp.isdecimal() else None,
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _euroeval_scores(plain: Mapping[str, Any], left_out: list[str]) -> Iterable[Score]:
    task = EUROEVAL.get(plain["task"])
    total = {
        key.removeprefix("test_"): value
        for key, value in plain["total"].items()
        if key.startswith("test_") and _is_number(value)
    }
    metrics = [metric for metric in _METRICS if metric in total]
    if task is None or not metrics:
        left_out.append(f"{plain['dataset']} ({plain['task']}): {_why_not(task is None, no_language=False)}")
        return
    tags = [tag for language in plain["languages"] if (tag := tag_of(str(language)))]
    if {"nb", "nn"} & set(tags):
        tags = [tag for tag in tags if tag != "no"]
    for tag in dict.fromkeys(tags):
        for metric in metrics:
            radius = total.get(f"{metric}_se")
            setting = tuple(part.lower() for part in plain["setting"])
            yield Score(
                model=str(plain["model"]),
                benchmark=f"{plain['dataset']} ({plain['task']})",
                language=tag,
                task=task,
                metric=metric,
                value=float(total[metric]),
                error=None if radius is None else radius / Z95,
                guess=0.0,
                key=(str(plain["dataset"]), metric, *setting),
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value  # NaN is none


def _scaled(value: Any, scale: float) -> float | None:
    return float(value) * scale if _is_number(value) else None
