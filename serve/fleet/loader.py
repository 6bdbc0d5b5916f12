"""The one way from a file to a `Fleet`. Every problem of a file is found before any is reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from serve.errors import DescriptionError, Problem
from serve.fleet import catalogue, evidence, evidence_files, rayservices, yaml
from serve.fleet.base import Alias
from serve.fleet.card import ModelCard
from serve.fleet.description import Fleet, FleetFile, Model, ModelEntry
from serve.fleet.engine import Engine
from serve.fleet.problems import dotted, problems_of, shown
from serve.fleet.shapes import shape_problems

__all__ = ["LAPTOP", "MACROLANGUAGES", "dotted", "laptop", "load", "merged", "problems_of", "resolve", "shown"]

LAPTOP = Path(__file__).with_name("examples") / "laptop.yaml"
MACROLANGUAGES: dict[str, tuple[str, ...]] = {"no": ("nb", "nn")}

AUTO = "auto"


def load(path: Path | str) -> Fleet:
    """The fleet that a file describes, its own relative paths made absolute.

    Raises DescriptionError with every problem found.
    """
    path = Path(path)
    fleet = resolve(yaml.read(path), str(path), path.absolute().parent)
    keys = fleet.gateway.keys_file
    if keys is None:
        return fleet
    absolute = str(path.absolute().parent / Path(keys).expanduser())
    return fleet.model_copy(update={"gateway": fleet.gateway.model_copy(update={"keys_file": absolute})})


@cache
def laptop() -> Fleet:
    """The fleet that `parlance up` serves when none is named."""
    return load(LAPTOP)


def resolve(raw: Any, source: str, folder: Path | None = None) -> Fleet:
    """The fleet of a parsed file; `source` names it in errors, `folder` is where the files that it names lie (default:
    the working directory)."""
    if not isinstance(raw, Mapping):
        value = "an empty file" if raw is None else shown(raw)
        raise DescriptionError(source, [Problem("", value, "a fleet is a mapping with `models:`")])
    problems: list[Problem] = []
    file, entries, broken = _read(raw, problems)
    models: dict[int, Model] = {}
    own = evidence_files.read(file.evidence, entries.values(), folder or Path(), problems)
    for index, entry in entries.items():
        if not entry.enabled:
            continue
        model = _model(entry, f"models[{index}]", file, "clusters" in broken, own.figures, problems)
        if model is not None:
            models[index] = model
    # Names that a broken entry would have had: that they are missing is no further problem.
    absent = {str(name) for index, entry in _raw_entries(raw) if index not in models for name in _claims(entry)}
    aliases = _names(file, models, absent, problems)
    reference = _reference(file, list(models.values()), absent, problems)
    problems.extend(rayservices.problems(file, models.values(), absent))
    if problems or reference is None:
        raise DescriptionError(source, sorted(problems, key=lambda problem: _position(problem, list(raw))))
    return Fleet(
        name=file.name,
        models=tuple(models.values()),
        clusters=file.clusters,
        gateway=file.gateway,
        routing=file.routing,
        slo=file.slo,
        autoscaling=file.autoscaling,
        aliases=aliases,
        reference=reference,
        evidence_date=_evidence_date(entries.values(), own),
    )


def _evidence_date(entries: Iterable[ModelEntry], own: evidence_files.Own) -> str:
    """Of the newest source that anything known of these models' quality comes from; empty: there is none."""
    shipped = [catalogue.quality().newest] if any(entry.use is not None for entry in entries if entry.enabled) else []
    return evidence.newest_date([own.newest, *shipped])


def _read(raw: Mapping[str, Any], problems: list[Problem]) -> tuple[FleetFile, dict[int, ModelEntry], set[str]]:
    """The file, its model entries by index, and the top-level fields that were wrong.

    What is wrong is reported and left out (a field of a section, a whole model entry), so that the rest can be checked
    as well.
    """
    try:
        file = FleetFile.model_validate(raw)
    except ValidationError as error:
        problems.extend(problems_of(error, raw=raw, model=FleetFile))
        wrong = {(str(item["loc"][0]), item["loc"][1:2]) for item in error.errors(include_url=False) if item["loc"]}
        entries = {}
        for index, entry in _raw_entries(raw):
            try:
                entries[index] = ModelEntry.model_validate(entry)
            except ValidationError as entry_error:
                _card_alone(entry, entry_error, f"models[{index}]", problems)
        return _sound_part(raw, wrong, entries), entries, {name for name, _ in wrong}
    return file, dict(enumerate(file.models)), set()


def _sound_part(raw: Mapping[str, Any], wrong: Any, entries: Mapping[int, ModelEntry]) -> FleetFile:
    """The file without its wrong fields. Never empty of models: `entries` says which are really there."""
    kept: dict[str, Any] = {}
    for name, value in raw.items():
        inner = {place[0] for section, place in wrong if section == name and place}
        if (name, ()) not in wrong and isinstance(value, Mapping):
            kept[name] = {key: below for key, below in value.items() if key not in inner}
        elif not inner and (name, ()) not in wrong:
            kept[name] = value
    kept["models"] = list(entries.values()) or [ModelEntry(use="none")]
    try:
        return FleetFile.model_validate(kept)
    except ValidationError:
        # A section that is wrong as a whole, as two equal ports are: its defaults stand in.
        return FleetFile(models=tuple(kept["models"]))


def _card_alone(entry: Any, error: ValidationError, path: str, problems: list[Problem]) -> None:
    """Checks the card of an entry whose other fields are wrong."""
    wrong = {item["loc"][0] for item in error.errors(include_url=False) if item["loc"]}
    if isinstance(entry, Mapping) and not wrong & {"use", "id", "card"}:
        rest = {key: value for key, value in entry.items() if key in ("use", "id", "card")}
        _card(ModelEntry.model_validate(rest), path, problems)


def _position(problem: Problem, sections: list[str]) -> tuple[int, int]:
    """Where a problem's field stands in the file: its section, and its place in a list."""
    section, _, index = problem.path.partition(".")[0].partition("[")
    place = index.partition("]")[0]
    return (
        sections.index(section) if section in sections else len(sections),
        int(place) if place.isdecimal() else -1,
    )


def _raw_entries(raw: Mapping[str, Any]) -> list[tuple[int, Any]]:
    models = raw.get("models")
    return list(enumerate(models)) if isinstance(models, Sequence) and not isinstance(models, str) else []


def _claims(entry: Any) -> list[Any]:
    """What a model entry, perhaps a broken one, wants to be called."""
    if not isinstance(entry, Mapping) or entry.get("enabled") is False:
        return []
    aliases = entry.get("aliases")
    return [entry.get("id") or entry.get("use"), *(aliases if isinstance(aliases, list | tuple) else [])]


def _model(
    entry: ModelEntry,
    path: str,
    file: FleetFile,
    no_clusters: bool,
    own: Sequence[evidence_files.Figures],
    problems: list[Problem],
) -> Model | None:
    """One entry, complete; its problems are appended, and None is returned when there are any."""
    before = len(problems)
    card = _card(entry, path, problems, own)
    if entry.engine is not None and entry.upstream is not None:
        problems.append(Problem(path, "both `engine` and `upstream`", "give one of them"))
    elif entry.engine is None and entry.upstream is None:
        problems.append(Problem(path, "", "give `engine:` (vLLM here) or `upstream:` (an endpoint of others)"))
    cluster = None
    if entry.engine is not None and not no_clusters:
        cluster = _cluster(entry, path, file, problems)
    elif entry.upstream is not None and entry.cluster is not None:
        problems.append(Problem(f"{path}.cluster", shown(entry.cluster), "an upstream runs on none: leave it out"))
    model_id = entry.id or entry.use
    if model_id == AUTO:
        problems.append(Problem(f"{path}.id", shown(model_id), "is the name that lets Parlance choose: take another"))
    price = entry.price or (card.price if card else None)
    if card is not None and price is None:
        problems.append(Problem(f"{path}.price", "", f"{model_id} has no price in its card: give one"))
    if card is not None and entry.engine is not None:
        if entry.engine.weights == "hub" and card.source is None:
            problems.append(Problem(f"{path}.card.source", "", "is required by engine.weights: hub"))
        problems.extend(shape_problems(card, entry.engine, path))
    if len(problems) > before or card is None or price is None or model_id is None:
        return None
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


def _card(
    entry: ModelEntry, path: str, problems: list[Problem], own_evidence: Sequence[evidence_files.Figures] = ()
) -> ModelCard | None:
    """The catalogue's card with the owner's evidence and the entry's overrides, or the entry's own."""
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
    for file in own_evidence:
        for name in evidence_files.names(entry):
            if name in file:
                base["quality"] = evidence.merged(base.get("quality", {}), file[name])
    raw = merged(base, entry.card)
    # A figure and its source belong together: what the owner states replaces the catalogue's whole statement.
    if "price" in entry.card:
        raw["price"] = entry.card["price"]
    if isinstance(own := entry.card.get("quality"), Mapping) and isinstance(base.get("quality"), Mapping):
        raw["quality"] = {**base["quality"], **own}
    try:
        return ModelCard.model_validate(raw)
    except ValidationError as error:
        problems.extend(problems_of(error, f"{path}.card", raw=raw, model=ModelCard))
        return None


def _context(card: ModelCard, engine: Engine | None) -> int:
    limit = engine.max_model_len if engine else None
    return min(card.context_tokens, limit) if limit else card.context_tokens


def _cluster(entry: ModelEntry, path: str, file: FleetFile, problems: list[Problem]) -> str | None:
    if entry.cluster is None and len(file.clusters) == 1:
        return next(iter(file.clusters))
    if entry.cluster is None or entry.cluster not in file.clusters:
        known = ", ".join(file.clusters) or "none is described"
        value = "" if entry.cluster is None else shown(entry.cluster)
        problems.append(Problem(f"{path}.cluster", value, f"one of clusters: {known}"))
        return None
    return entry.cluster


def _names(file: FleetFile, models: Mapping[int, Model], absent: set[str], problems: list[Problem]) -> dict[str, str]:
    """Every further name and the id it stands for. One name may mean one model only."""
    first: dict[str, int] = {}
    for index, model in models.items():
        if model.id in first:
            other = f"is the id of models[{first[model.id]}] too: give one of them another `id:`"
            problems.append(Problem(f"models[{index}].id", shown(model.id), other))
        first.setdefault(model.id, index)
    wanted = [
        (alias, model.id, f"models[{index}].aliases[{place}]")
        for index, model in models.items()
        for place, alias in enumerate(model.aliases)
    ]
    wanted += [(alias, target, f"aliases.{alias}") for alias, target in file.aliases.items()]
    names: dict[str, str] = {}
    for name, target, path in wanted:
        if target != AUTO and target not in first:
            if target not in absent:
                problems.append(Problem(path, shown(target), f"one of {', '.join([AUTO, *first, *sorted(absent)])}"))
        elif name in first or name == AUTO:
            problems.append(Problem(path, shown(name), "is a model's id, and cannot be an alias"))
        elif names.setdefault(name, target) != target:
            problems.append(Problem(path, shown(name), f"already stands for {names[name]}"))
    return names | _hub_names(models.values(), {*names, *first, AUTO})


def _hub_names(models: Sequence[Model] | Any, taken: set[str]) -> dict[str, str]:
    """Hub repositories as names, where that is one model's only and a client could write it."""
    sources = [model.card.source for model in models]
    return {
        model.card.source: model.id
        for model in models
        if model.card.source
        and sources.count(model.card.source) == 1
        and model.card.source not in taken
        and _is_alias(model.card.source)
    }


_ALIAS: TypeAdapter[str] = TypeAdapter(Alias)


def _is_alias(name: str) -> bool:
    try:
        _ALIAS.validate_python(name)
    except ValidationError:
        return False
    return True


def _reference(file: FleetFile, models: Sequence[Model], absent: set[str], problems: list[Problem]) -> str | None:
    wanted = file.routing.reference
    chat_models = [model for model in models if model.card.chats]
    if wanted is not None:
        if wanted not in {model.id for model in chat_models} | absent:
            known = ", ".join(sorted({model.id for model in chat_models} | absent)) or "none is enabled"
            problems.append(Problem("routing.reference", shown(wanted), f"one of the chat models: {known}"))
        return wanted
    if not models:
        if not problems:
            problems.append(Problem("models", "", "at least one model must be enabled"))
        return None
    return max(chat_models or models, key=lambda m: m.card.architecture.parameters if m.card.architecture else 0).id


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` on top; mappings are merged key by key, all else is replaced."""
    out = dict(base)
    for key, value in over.items():
        below = out.get(key)
        out[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return out
