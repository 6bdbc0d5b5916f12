"""The one way from a file to a `Fleet`. Every problem of a file is found before any is reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from serve.errors import DescriptionError, Problem
from serve.fleet import catalogue, yaml
from serve.fleet.card import ModelCard
from serve.fleet.description import Fleet, FleetFile, Model, ModelEntry
from serve.fleet.engine import Engine
from serve.fleet.shapes import shape_problems

LAPTOP = Path(__file__).with_name("examples") / "laptop.yaml"
MACROLANGUAGES: dict[str, tuple[str, ...]] = {"no": ("nb", "nn")}


def load(path: Path | str) -> Fleet:
    """The fleet that a file describes. Raises DescriptionError with every problem found."""
    path = Path(path)
    return resolve(yaml.read(path), str(path))


@cache
def laptop() -> Fleet:
    """The fleet that `parlance up` serves when none is named."""
    return load(LAPTOP)


def resolve(raw: Any, source: str) -> Fleet:
    """The fleet of a parsed file; `source` names it in errors."""
    if not isinstance(raw, Mapping):
        raise DescriptionError(source, [Problem("", shown(raw), "a fleet is a mapping with `models:`")])
    try:
        file = FleetFile.model_validate(raw)
    except ValidationError as error:
        raise DescriptionError(source, problems_of(error)) from error
    problems: list[Problem] = []
    models = [
        model
        for index, entry in enumerate(file.models)
        if entry.enabled and (model := _model(entry, f"models[{index}]", file, problems)) is not None
    ]
    aliases = _names(file, models, problems)
    reference = _reference(file, models, problems)
    if problems or reference is None:
        raise DescriptionError(source, problems)
    return Fleet(
        name=file.name,
        models=tuple(models),
        clusters=file.clusters,
        gateway=file.gateway,
        routing=file.routing,
        aliases=aliases,
        reference=reference,
    )


def _model(entry: ModelEntry, path: str, file: FleetFile, problems: list[Problem]) -> Model | None:
    """One entry, complete; its problems are appended, and None is returned when it cannot be understood."""
    base: dict[str, Any] = {}
    if entry.use is not None:
        try:
            base = catalogue.raw(entry.use)
        except KeyError:
            problems.append(Problem(f"{path}.use", shown(entry.use), f"one of {', '.join(catalogue.names())}"))
            return None
    elif entry.id is None or not entry.card:
        problems.append(Problem(path, "", "give `use:` (a catalogue entry), or `id:` and `card:` for an own model"))
        return None
    model_id = entry.id or entry.use
    assert model_id is not None
    try:
        card = ModelCard.model_validate(merged(base, entry.card))
    except ValidationError as error:
        problems.extend(problems_of(error, f"{path}.card"))
        return None
    if (entry.engine is None) == (entry.upstream is None):
        both = entry.engine is not None
        problems.append(
            Problem(path, "both `engine` and `upstream`" if both else "", "give `engine:` (vLLM here) or `upstream:`")
        )
        return None
    cluster = _cluster(entry, path, file, problems) if entry.engine else None
    price = entry.price or card.price
    if price is None:
        problems.append(Problem(f"{path}.price", "", f"{model_id} has no price in the catalogue: give one"))
        return None
    if entry.engine is not None:
        problems.extend(shape_problems(card, entry.engine, path))
    return Model(
        id=model_id,
        aliases=entry.aliases,
        auto=entry.auto,
        card=card,
        price=price,
        cluster=cluster,
        engine=entry.engine,
        upstream=entry.upstream,
        context_tokens=_context(card, entry.engine),
    )


def _context(card: ModelCard, engine: Engine | None) -> int:
    limit = engine.max_model_len if engine else None
    return min(card.context_tokens, limit) if limit else card.context_tokens


def _cluster(entry: ModelEntry, path: str, file: FleetFile, problems: list[Problem]) -> str | None:
    if entry.cluster is None and len(file.clusters) == 1:
        return next(iter(file.clusters))
    if entry.cluster not in file.clusters:
        known = ", ".join(file.clusters) or "none is described"
        problems.append(Problem(f"{path}.cluster", shown(entry.cluster), f"one of clusters: {known}"))
        return None
    return entry.cluster


def _names(file: FleetFile, models: Sequence[Model], problems: list[Problem]) -> dict[str, str]:
    """Every further name and the id it stands for. One name may mean one model only."""
    ids = [model.id for model in models]
    problems.extend(
        Problem("models", shown(model_id), "two enabled models have this id: give one another `id:`")
        for model_id in sorted({i for i in ids if ids.count(i) > 1})
    )
    names: dict[str, str] = {}
    wanted = [(alias, model.id, f"alias of {model.id}") for model in models for alias in model.aliases]
    wanted += [(alias, target, f"aliases.{alias}") for alias, target in file.aliases.items()]
    wanted += [
        (model.card.source, model.id, "")
        for model in models
        if model.card.source and [m.card.source for m in models].count(model.card.source) == 1
    ]
    for name, target, path in wanted:
        if target != "auto" and target not in ids:
            problems.append(Problem(path, shown(target), f"`auto` or an enabled model: {', '.join(ids)}"))
        elif name in ids or name == "auto":
            if path:
                problems.append(Problem(path, shown(name), "is a model's id, and cannot be another's alias"))
        elif names.setdefault(name, target) != target and path:
            problems.append(Problem(path, shown(name), f"already stands for {names[name]}"))
    return names


def _reference(file: FleetFile, models: Sequence[Model], problems: list[Problem]) -> str | None:
    wanted = file.routing.reference
    if wanted is not None:
        if wanted not in {m.id for m in models if m.card.chats}:
            chat = ", ".join(m.id for m in models if m.card.chats)
            problems.append(Problem("routing.reference", shown(wanted), f"one of the chat models: {chat or 'none'}"))
        return wanted
    chat_models = [m for m in models if m.card.chats] or list(models)
    if not chat_models:
        if not problems:
            problems.append(Problem("models", "", "at least one model must be enabled"))
        return None
    return max(chat_models, key=lambda m: m.card.architecture.parameters if m.card.architecture else 0).id


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` on top; mappings are merged key by key, all else is replaced."""
    out = dict(base)
    for key, value in over.items():
        below = out.get(key)
        out[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return out


def problems_of(error: ValidationError, prefix: str = "") -> list[Problem]:
    """A pydantic error as problems: the path in YAML's words, the value, what is allowed."""
    return [
        Problem(dotted(item["loc"], prefix), shown(item["input"]), _allowed(item["msg"], item["type"]))
        for item in error.errors(include_url=False)
    ]


def dotted(location: Sequence[int | str], prefix: str = "") -> str:
    """`("models", 0, "id")` as `models[0].id`."""
    path = prefix
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith(("function-", "constrained-", "lax-or-strict", "is-instance")):
            path += f".{part}" if path else part
    return path


def shown(value: Any) -> str:
    """A value short enough for one line of an error."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _allowed(message: str, kind: str) -> str:
    if kind == "extra_forbidden":
        return "no such field"
    if kind == "missing":
        return "is required"
    return message.removeprefix("Value error, ")
