"""What follows from a fleet alone, computed once: a decision then only adds up."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from serve.fleet.card import Kind, Role
from serve.fleet.description import Fleet, Model
from serve.fleet.fertility import Fertility
from serve.fleet.tasks import Task
from serve.routing import tokens
from serve.routing.cost import rates
from serve.routing.quality import Standing, is_proven, measured_languages, standing
from serve.routing.records import Ability, Endpoint
from serve.routing.tags import OTHER

# Fleets whose tables are kept: the one in force, the one before a reload, and what a dry run compares.
FLEETS = 8
# Needs are made of about 140 tags (text, answer) and six tasks: far fewer occur than this.
VIEWS = 4096

_T = TypeVar("_T")

TEMPLATED = frozenset((Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.MESSAGES))


@dataclass(frozen=True, slots=True)
class Entry:
    """One model, reduced to what a decision asks of it. Prices in USD per token."""

    model: Model
    id: str
    auto: bool
    chats: bool
    kind: Kind
    context_tokens: int
    fixed_tokens: int  # of the chat template, in every prompt
    input_usd: float
    cached_usd: float  # of an input token that is in the KV cache
    output_usd: float
    abilities: frozenset[Ability]
    endpoints: frozenset[Endpoint]
    strength: float  # mean evidence over its languages; orders stand-ins where the language is unknown


@dataclass(frozen=True, slots=True)
class View:
    """One model in the languages of one request."""

    entry: Entry
    fertility: Fertility  # of the text
    same_content: float  # of the answer
    standing: Standing


class Need(NamedTuple):
    """What a request needs of a model: the languages of its text (both of nb and nn when either may be meant), of the
    answer, and its task. `text` is empty when the language is unknown; then `script` says how to count its tokens."""

    text: tuple[str, ...]
    answer: str
    script: str
    task: Task | None = None

    @property
    def languages(self) -> tuple[str, ...]:
        """Every language that a model must cover."""
        if self.answer == OTHER or self.answer in self.text:
            return self.text
        return (*self.text, self.answer)


@dataclass(slots=True)
class Table:
    """A fleet's models, sorted by id: the order in the file means nothing."""

    fleet: Fleet
    entries: tuple[Entry, ...]
    ids: frozenset[str]
    measured: frozenset[str]
    serving: Mapping[Endpoint, frozenset[str]]  # ids of the models that serve an API
    views: dict[Need, tuple[tuple[View, ...], bool]] = field(default_factory=dict)
    grounds: dict[Hashable, Any] = field(default_factory=dict)  # kept for serve.routing.candidates

    def views_of(self, need: Need) -> tuple[tuple[View, ...], bool]:
        """Every model in these languages, and whether any of them is covered there by more than a claim."""
        found = self.views.get(need)
        if found is None:
            views = tuple(self._view(entry, need) for entry in self.entries)
            found = views, is_proven(view.standing for view in views)
            if len(self.views) >= VIEWS:
                self.views.clear()
            self.views[need] = found
        return found

    def grounds_of(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """What `make` gives for a key, kept for the next request of its kind."""
        found: _T | None = self.grounds.get(key)
        if found is None:
            if len(self.grounds) >= VIEWS:
                self.grounds.clear()
            found = self.grounds[key] = make()
        return found

    def _view(self, entry: Entry, need: Need) -> View:
        tokenizer = entry.model.card.tokenizer
        texts = need.text or (OTHER,)
        answers = (need.answer,) if need.answer not in need.text else need.text
        script = need.script if need.answer == OTHER else ""
        return View(
            entry=entry,
            fertility=max((tokens.fertility(tokenizer, tag, need.script) for tag in texts), key=lambda row: row.prose),
            same_content=max(tokens.same_content(tokenizer, tag, script) for tag in answers),
            standing=standing(entry.model, need.languages, self.fleet.reference, self.measured, need.task),
        )


# By identity: a Fleet is immutable, and comparing two takes longer than a decision. The fleet is kept with its table,
# so that an id cannot come to mean another one.
_tables: OrderedDict[int, Table] = OrderedDict()


def table_of(fleet: Fleet) -> Table:
    """The fleet's table, computed at its first use."""
    found = _tables.get(id(fleet))
    if found is not None and found.fleet is fleet:
        return found
    entries = tuple(sorted((_entry(model) for model in fleet.models), key=lambda entry: entry.id))
    table = Table(
        fleet=fleet,
        entries=entries,
        serving={api: frozenset(one.id for one in entries if api in one.endpoints) for api in Endpoint},
        ids=frozenset(model.id for model in fleet.models),
        measured=measured_languages(fleet),
    )
    _tables[id(fleet)] = table
    while len(_tables) > FLEETS:
        _tables.popitem(last=False)
    return table


def _entry(model: Model) -> Entry:
    card = model.card
    deltas = [quality.delta for quality in card.quality.values() if quality.delta is not None]
    return Entry(
        model=model,
        id=model.id,
        auto=model.auto,
        chats=card.chats,
        kind=card.kind,
        context_tokens=model.context_tokens,
        fixed_tokens=card.template.fixed_tokens if card.template is not None else 0,
        input_usd=model.price.input_usd_per_mtok / 1e6,
        cached_usd=(rates(model).cached_input_usd_per_mtok or 0.0) / 1e6,
        output_usd=model.price.output_usd_per_mtok / 1e6,
        abilities=_abilities(model),
        endpoints=_endpoints(model),
        strength=sum(deltas) / len(deltas) if deltas else -100.0,
    )


def _abilities(model: Model) -> frozenset[Ability]:
    template = model.card.template
    if template is None:
        return frozenset()
    found = set()
    if Role.SYSTEM in template.roles:
        found.add(Ability.SYSTEM_ROLE)
    if Role.TOOL in template.roles:
        found.add(Ability.TOOL_ROLE)
    # An engine without a parser renders tools and then returns its calls as text: that is not the ability.
    if template.tools and (model.upstream is not None or model.card.tool_parser is not None):
        found.add(Ability.TOOLS)
    return frozenset(found)


def _endpoints(model: Model) -> frozenset[Endpoint]:
    upstream = model.upstream
    if upstream is None:
        return frozenset((Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.RESPONSES, Endpoint.MESSAGES))
    found = {Endpoint.CHAT}
    if upstream.completions:
        found.add(Endpoint.COMPLETIONS)
    if upstream.responses:
        found.add(Endpoint.RESPONSES)
    if upstream.messages:
        found.add(Endpoint.MESSAGES)
    return frozenset(found)
