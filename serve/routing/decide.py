"""The one function: a request, the fleet, its live state and the time make a Decision. It never raises."""

from __future__ import annotations

from msgspec.structs import replace

from serve.fleet.description import Fleet
from serve.fleet.lexicon import lexicon
from serve.fleet.routing import Preset, floor_points
from serve.fleet.tasks import Task
from serve.routing import policy
from serve.routing.candidates import Weighed, weigh
from serve.routing.identify import scorer
from serve.routing.language import resolve, script_of_language
from serve.routing.observe import observe
from serve.routing.policy import Choice, choose
from serve.routing.reasons import sentence
from serve.routing.records import Candidate, Decision, Language, Live, Mode, Observed, Request, TaskSource
from serve.routing.shifts import NO_SHIFTS, Shifts, shifted
from serve.routing.table import Need, table_of
from serve.routing.tags import OTHER, normal

# A second Norwegian standard with at least this probability is provided for as well.
BOTH_FROM = 0.1

_TASKS = {task.value: task for task in Task}

_NORWEGIAN = frozenset(("nb", "nn"))


def decide(
    request: Request, fleet: Fleet, live: Live, now: float, shifts: Shifts = NO_SHIFTS, uniform: float = 0.0
) -> Decision:
    """The model for a request, with every candidate and the reason. `now` in seconds since the epoch.

    `shifts` are those of the plan in force, `uniform` the conversation's number (`serve.routing.shifts.uniform_of`).

    `Decision.model` is None when no model may take it; `reason_code` then says why (`serve.routing.policy.REASONS`):
    `unknown_model` for a name that the fleet does not have.
    """
    return decide_observed(observe(request), request, fleet, live, now, shifts, uniform)


def decide_observed(
    observed: Observed,
    request: Request,
    fleet: Fleet,
    live: Live,
    now: float,
    shifts: Shifts = NO_SHIFTS,
    uniform: float = 0.0,
) -> Decision:
    """`decide` from what was observed of the text: of the request, its text and turns are not looked at again."""
    table = table_of(fleet)
    routing = fleet.routing
    language = resolve(observed, request.hints.language, request.mix, routing.prior, routing.min_confidence)
    task, task_source = _task(observed, request.hints.task)
    need = Need(languages_of_text(language), language.answer, script_of_language(observed, language), task)
    floor, notes = _floor(request, fleet, task)
    if request.hints.task and task_source is not TaskSource.HINT:
        notes.append(f"the task hint is none of {', '.join(Task)}, and was not used")
    if request.hints.language and normal(request.hints.language) is None:
        notes.append("the language hint is no BCP-47 tag, and was not used")
    target = fleet.aliases.get(request.model, request.model)
    if request.model == "auto" or target == "auto":
        mode = Mode.AUTO
    else:
        mode = Mode.EXACT if request.model in table.ids else Mode.ALIAS
    weighed = weigh(request, table, live, need, floor, auto=mode is Mode.AUTO, shape=observed.shape)
    candidates = tuple(one.candidate for one in weighed)
    if mode is Mode.AUTO:
        choice = choose(weighed, fleet.reference, floor, language_known=bool(need.languages))
        if choice.ranking:
            candidates = _cleared(candidates, choice.ranking) if choice.fallback else candidates
        if shifts and request.hints.models is None:  # who names models chooses among them by price
            choice = shifted(choice, shifts.get(language.tag, ()), uniform)
    else:
        choice, candidates = _named(target, mode, request, weighed, candidates, notes)
    model = choice.ranking[0] if choice.ranking else None
    return Decision(
        model=model,
        requested=request.model,
        mode=mode,
        language=language,
        floor=floor,
        reason=sentence(request, fleet.reference, language, candidates, choice),
        reason_code=choice.code,
        candidates=candidates,
        ranking=choice.ranking,
        decided_at=now,
        fallback=choice.fallback,
        notes=tuple(notes),
        task=task,
        task_source=task_source,
        shift=choice.shift,
    )


def prepare(fleet: Fleet) -> None:
    """Loads what the first decisions would load: the language model (about 1 s, 130 MB), the tables of words and of
    requests, and the fleet's table."""
    scorer()
    lexicon()
    for text in ("Answer in English: how are you today, and what is the plan?", "用英语 in English"):
        observe(Request(text=text))
    table_of(fleet)


def languages_of_text(language: Language) -> tuple[str, ...]:
    """The languages of the text that a model must cover: the most probable, and the other Norwegian standard when it
    may be meant; none when the language is unknown."""
    if language.tag == OTHER:
        return ()
    if language.tag not in _NORWEGIAN:
        return (language.tag,)
    likely = [tag for tag, p in language.posterior if tag in _NORWEGIAN and p >= BOTH_FROM]
    return tuple(sorted({language.tag, *likely}))


def _task(observed: Observed, hint: str | None) -> tuple[Task | None, TaskSource]:
    if hint and hint in _TASKS:
        return _TASKS[hint], TaskSource.HINT
    if observed.task is not None:
        return observed.task, TaskSource.TEXT
    return None, TaskSource.NONE


def _floor(request: Request, fleet: Fleet, task: Task | None) -> tuple[float, list[str]]:
    asked = request.hints.quality_floor
    if asked is not None:
        try:
            return floor_points(Preset(asked) if isinstance(asked, str) else asked), []
        except (TypeError, ValueError):
            return fleet.routing.floor(task), ["the quality_floor hint is no floor, and was not used"]
    return fleet.routing.floor(task), []


def _named(
    target: str,
    mode: Mode,
    request: Request,
    weighed: tuple[Weighed, ...],
    candidates: tuple[Candidate, ...],
    notes: list[str],
) -> tuple[Choice, tuple[Candidate, ...]]:
    """A model that was asked for by name is the one that answers, whatever `auto` would have done. Only a key that may
    not use it stands above that."""
    found = next((one for one in weighed if one.candidate.model == target), None)
    if found is None:
        return Choice((), policy.UNKNOWN_MODEL), candidates
    if request.allowed_models is not None and target not in request.allowed_models:
        return Choice((), policy.NOT_ALLOWED), candidates
    if found.candidate.rejection is not None:
        notes.append(f"asked for by name; auto would reject it: {found.candidate.rejection} ({found.candidate.detail})")
    choice = Choice((target,), policy.EXACT if mode is Mode.EXACT else policy.ALIAS)
    return choice, _cleared(candidates, (target,))


def _cleared(candidates: tuple[Candidate, ...], ranking: tuple[str, ...]) -> tuple[Candidate, ...]:
    """The candidates with no rejection on those that may answer all the same; the detail keeps what spoke against."""
    return tuple(
        replace(one, rejection=None, detail=f"all the same: {one.detail}")
        if one.rejection is not None and one.model in ranking
        else one
        for one in candidates
    )
