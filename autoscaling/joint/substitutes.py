"""Who may answer a language's requests in a model's place, by the very rules that routing chooses by.

Requests to `auto` in one language are of several tasks, and a model that is good enough for a summary may not be for
code. What ends at a model is what routing gives it: the tasks in which it is good enough, and no model that is good
enough too has cheaper prompts and cheaper answers. Another model stands in for it only where it is above the floor in
each of those tasks, and able of all that the first one is (tools, system prompts): then every one of those requests may
go there. What a single caller forbids (a key's models, a floor of its own) the router still sees, request by request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from serve.fleet import Fleet, Kind
from serve.fleet.routing import PriceBasis
from serve.fleet.tasks import Task
from serve.routing.cost import REASONING_FACTOR
from serve.routing.quality import passes
from serve.routing.records import Endpoint
from serve.routing.table import Entry, Need, Table, View, table_of

# What is not told apart by a hint or its text is judged by the mean of the tasks.
TASKS: tuple[Task | None, ...] = (None, *Task)


@dataclass(frozen=True, slots=True)
class StandIn:
    """`to` may answer; it counts `prompt` tokens for each prompt token of the model that it stands in for, and writes
    `output` for each of that one's answers: the same text has other tokens on other tokenizers."""

    to: str
    prompt: float
    output: float


def stand_ins(fleet: Fleet, language: str) -> Mapping[str, tuple[StandIn, ...]]:
    """Who may stand in for each model in a language (BCP-47), by id; models with an engine only. Remembered with the
    fleet's routing table."""
    table = table_of(fleet)
    return table.grounds_of(("stand_ins", language), lambda: dict(_stand_ins(table, language)))


def context_share(prompt: float, output: float, one: StandIn, context_tokens: int) -> float:
    """Share of requests that fit another model's context at the least, of a mean `prompt` and `output` length.

    Markov's inequality, which holds for every distribution of lengths: P(length > c) <= mean / c.
    """
    return max(1.0 - (prompt * one.prompt + output * one.output) / context_tokens, 0.0)


def _stand_ins(table: Table, language: str) -> Iterator[tuple[str, tuple[StandIn, ...]]]:
    able = {task: _above_floor(table, language, task) for task in TASKS}
    models = {view.entry.id: view for views in able.values() for view in views}
    listed = table.fleet.routing.price_basis is PriceBasis.LIST
    for model, view in sorted(models.items()):
        if view.entry.model.engine is None:
            continue
        tasks = [views for views in able.values() if _taken(view, views, listed)]
        # Where it is nobody's first choice, what it answers is what others had no room for: of any task.
        tasks = tasks or [views for views in able.values() if any(one.entry.id == model for one in views)]
        others = set.intersection(*({one.entry.id for one in views} for views in tasks)) - {model}
        found = (models[other] for other in sorted(others))
        yield model, tuple(_counted(view, other) for other in found if _may(view.entry, other.entry))


def _above_floor(table: Table, language: str, task: Task | None) -> tuple[View, ...]:
    """The models that `auto` may choose for a chat in this language and task, whatever it costs."""
    views, proven = table.views_of(Need((language,), language, "", task))
    floor = table.fleet.routing.floor(task)
    return tuple(
        view
        for view in views
        if view.entry.auto
        and view.entry.chats
        and Endpoint.CHAT in view.entry.endpoints
        and view.standing.covered
        and passes(view.standing, floor, proven)
    )


def _taken(view: View, able: tuple[View, ...], listed: bool) -> bool:
    """Whether routing may give this task to the model: no other one is cheaper for prompts and for answers alike.

    Measured prices move, so that under them each of the models may be the cheapest one.
    """
    if all(one.entry.id != view.entry.id for one in able):
        return False
    mine = _prices(view)
    return not listed or not any(_below(_prices(one), mine) for one in able)


def _prices(view: View) -> tuple[float, float]:
    """USD of the same prompt and of the same answer, up to a factor that all models share."""
    entry = view.entry
    return entry.input_usd * view.fertility.prose, entry.output_usd * _answer(view)


def _below(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[0] and one[1] <= other[1] and one != other


def _answer(view: View) -> float:
    return view.same_content * (REASONING_FACTOR if view.entry.kind is Kind.REASONING else 1.0)


def _may(model: Entry, other: Entry) -> bool:
    return other.model.engine is not None and model.abilities <= other.abilities and model.endpoints <= other.endpoints


def _counted(view: View, other: View) -> StandIn:
    prompt = other.fertility.prose / view.fertility.prose
    return StandIn(other.entry.id, prompt, _answer(other) / _answer(view))
