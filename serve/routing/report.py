"""Which model serves each language, on what evidence, at what cost. The choice itself is asked; no rule is copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from serve.fleet.card import EvidenceStatus
from serve.fleet.description import Fleet, Model
from serve.fleet.routing import Floor
from serve.fleet.tasks import Task
from serve.routing.cost import expected_cost_usd
from serve.routing.decide import decide
from serve.routing.quality import NONE, declares, figure, measured_languages, standing
from serve.routing.records import Decision, Hints, Request
from serve.routing.tags import name
from serve.routing.words import ENGLISH, word

EU24 = tuple("bg hr cs da nl en et fi fr de el hu ga it lv lt mt pl pt ro sk sl es sv".split())  # noqa: SIM905
NORDIC = ("da", "fi", "fo", "is", "nb", "nn", "se", "sv")
# What the catalogue's tokenizers were counted in; the default of the report is the EU and the Nordic ones.
SETS = {
    "eu24": EU24,
    "nordic": NORDIC,
    "default": (*EU24, *(tag for tag in NORDIC if tag not in EU24)),
}

# The request that is decided on: a prompt of so many words in one turn, and the fleet's usual answer.
PROMPT_WORDS = 150
WORDS = 1000


@dataclass(frozen=True, slots=True)
class Cell:
    """One model in one language: its evidence (None: nobody knows) and whether `auto` may choose it there."""

    model: str
    delta: float | None
    low: float | None
    high: float | None
    status: str
    rejection: str | None


@dataclass(frozen=True, slots=True)
class Cost:
    """USD for 1,000 words of a language, read and written."""

    input_usd: float
    output_usd: float


@dataclass(frozen=True, slots=True)
class Line:
    """A language: the model that serves it and why, what it and the reference cost, and every model's evidence.

    `model` is None where no model may answer. `by_content`: the language has no words between spaces; its costs are
    for the content of 1,000 English words. `without_evidence`: models that `auto` may use and nobody has measured.
    """

    language: str
    name: str
    model: str | None
    reason_code: str
    fallback: bool
    quality: Cell | None
    cost: Cost | None
    reference_cost: Cost
    by_content: bool
    cells: tuple[Cell, ...]
    without_evidence: tuple[str, ...]
    by_task: tuple[tuple[Task, str | None, bool], ...]  # task, model, whether it is a fallback


@dataclass(frozen=True, slots=True)
class Report:
    """The lines, and what was asked."""

    fleet: str
    reference: str
    models: tuple[str, ...]
    task: Task | None
    floor: float
    lines: tuple[Line, ...]


def languages(wanted: str, fleet: Fleet) -> tuple[str, ...]:
    """The tags of a set's name, or of a list with commas. `all`: what the fleet declares or has evidence in."""
    if wanted == "all":
        declared = {tag for model in fleet.models for tag in (*model.card.languages_declared, *model.card.quality)}
        return tuple(sorted((declared | set(SETS["default"])) - {"no"}))
    return SETS[wanted] if wanted in SETS else tuple(dict.fromkeys(part.strip() for part in wanted.split(",")))


def report(fleet: Fleet, tags: Sequence[str], task: Task | None = None, floor: Floor | None = None) -> Report:
    """The report for some languages. `task` and `floor` are given as a caller would give them, as hints."""
    lines = tuple(_line(fleet, tag, task, floor) for tag in tags)
    asked = _decide(fleet, ENGLISH, task, floor)
    models = tuple(model.id for model in fleet.models if model.auto and model.card.chats)
    return Report(fleet.name, fleet.reference, models, task, asked.floor, lines)


def _decide(fleet: Fleet, tag: str, task: Task | None, floor: Floor | None) -> Decision:
    characters = round(PROMPT_WORDS * word(fleet.model(fleet.reference), tag).characters)
    hints = Hints(language=tag, task=task.value if task else None, quality_floor=floor)
    return decide(Request(characters=characters, hints=hints), fleet, {}, 0.0)


def _line(fleet: Fleet, tag: str, task: Task | None, floor: Floor | None) -> Line:
    decision = _decide(fleet, tag, task, floor)
    rejections = {one.model: one.rejection for one in decision.candidates}
    cells = tuple(
        _cell(fleet, model, tag, task, None if (found := rejections[model.id]) is None else found.value)
        for model in fleet.models
        if model.auto and model.card.chats
    )
    reference = fleet.model(fleet.reference)
    chosen = fleet.model(decision.model) if decision.model is not None else None
    tasks = [(one, _decide(fleet, tag, one, floor)) for one in Task] if task is None else []
    return Line(
        language=tag,
        name=name(tag),
        model=decision.model,
        reason_code=decision.reason_code,
        fallback=decision.fallback,
        quality=next((cell for cell in cells if cell.model == decision.model), None),
        cost=_cost(chosen, tag) if chosen else None,
        reference_cost=_cost(reference, tag),
        by_content=word(reference, tag).by_content,
        cells=cells,
        without_evidence=tuple(cell.model for cell in cells if cell.delta is None),
        by_task=tuple((one, made.model, made.fallback) for one, made in tasks),
    )


def _cell(fleet: Fleet, model: Model, tag: str, task: Task | None, rejection: str | None) -> Cell:
    if model.id == fleet.reference:
        own = standing(model, (tag,), fleet.reference, measured_languages(fleet), task)
        if own.covered:
            return Cell(model.id, own.delta, own.low, own.high, own.status, rejection)
        return Cell(model.id, None, None, None, NONE, rejection)  # a difference to it was taken nowhere near
    found, _ = figure(model, tag, task)
    if found is None:
        status = EvidenceStatus.DECLARED.value if declares(model, tag) else NONE
        return Cell(model.id, None, None, None, status, rejection)
    return Cell(model.id, found.delta, found.low, found.high, found.status.value, rejection)


def _cost(model: Model, tag: str) -> Cost:
    """1,000 words read, and 1,000 words written, at the model's price."""
    one = word(model, tag)
    return Cost(
        expected_cost_usd(model.price, WORDS * one.read_tokens, 0),
        expected_cost_usd(model.price, 0, WORDS * one.written_tokens),
    )
