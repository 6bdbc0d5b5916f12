"""How well the task classifier does on labelled prompts. Precision before recall: a wrong task moves the choice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from serve.fleet.tasks import Task
from serve.routing.task import classify

BINS = 10


@dataclass(frozen=True, slots=True)
class Labelled:
    """A prompt and what it asks for; None: nothing that is one of the tasks."""

    text: str
    task: Task | None
    lang: str = ""


@dataclass(frozen=True, slots=True)
class TaskScore:
    """One task: how many prompts have it, and how often a guess of it was right, and how many were found."""

    task: Task
    prompts: int
    precision: float | None  # None: never guessed
    recall: float | None  # None: no prompt has it

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where either is missing."""
        if not self.precision or not self.recall:
            return 0.0
        return 2 * self.precision * self.recall / (self.precision + self.recall)


@dataclass(frozen=True, slots=True)
class Bin:
    """Guesses whose probability lies in one tenth: how many, their mean probability, and how many were right."""

    guesses: int
    probability: float
    right: float


@dataclass(frozen=True, slots=True)
class Scores:
    """The classifier on a set. `accuracy` counts None as wrong where a prompt has a task; `precision` is among the
    guesses. `calibration_error`: mean of |probability - share right| over the bins of guesses that were made."""

    prompts: int
    accuracy: float
    precision: float | None
    macro_f1: float
    none: float
    tasks: tuple[TaskScore, ...]
    bins: tuple[Bin, ...]
    calibration_error: float
    wrong: tuple[tuple[Labelled, Task, float], ...]  # with the guess and its probability, the surest first


def score(prompts: Sequence[Labelled]) -> Scores:
    """The scores over at least one prompt."""
    guesses = [(one, *classify(one.text)) for one in prompts]
    made = [(one, task, p) for one, task, p in guesses if task is not None]
    right = [one for one, task, _ in made if task is one.task]
    tasks = tuple(_task_score(task, guesses) for task in Task)
    known = [one for one in tasks if one.prompts]
    wrong = sorted(((one, task, p) for one, task, p in made if task is not one.task), key=lambda row: -row[2])
    bins = _bins((p, task is one.task) for one, task, p in made)
    error = sum(one.guesses * abs(one.probability - one.right) for one in bins) / len(made) if made else 0.0
    return Scores(
        prompts=len(guesses),
        accuracy=sum(task is one.task for one, task, _ in guesses) / len(guesses),
        precision=len(right) / len(made) if made else None,
        macro_f1=sum(one.f1 for one in known) / len(known) if known else 0.0,
        none=1 - len(made) / len(guesses),
        tasks=tasks,
        bins=bins,
        calibration_error=error,
        wrong=tuple(wrong),
    )


def _task_score(task: Task, guesses: Iterable[tuple[Labelled, Task | None, float]]) -> TaskScore:
    made = has = both = 0
    for one, guess, _ in guesses:
        made += guess is task
        has += one.task is task
        both += guess is task and one.task is task
    return TaskScore(task, has, both / made if made else None, both / has if has else None)


def _bins(guesses: Iterable[tuple[float, bool]]) -> tuple[Bin, ...]:
    sums = [[0.0, 0.0, 0.0] for _ in range(BINS)]
    for probability, right in guesses:
        one = sums[min(int(probability * BINS), BINS - 1)]
        one[0] += 1
        one[1] += probability
        one[2] += right
    return tuple(Bin(int(n), p / n, right / n) for n, p, right in sums if n)
