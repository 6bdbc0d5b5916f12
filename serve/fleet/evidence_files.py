"""A fleet's own evidence: the files that it names, and by which names they may speak of its models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from serve.errors import DescriptionError, Problem
from serve.fleet import catalogue, evidence
from serve.fleet.card import EvidenceStatus
from serve.fleet.description import ModelEntry
from serve.fleet.problems import shown

Figures = Mapping[str, Mapping[str, Mapping[str, Any]]]  # model, language, fields of `Quality`


class Own(NamedTuple):
    """The owner's evidence, one mapping a file, and the date of the newest source of all; empty: there is none."""

    figures: tuple[Figures, ...] = ()
    newest: str = ""


def read(files: Sequence[str], entries: Iterable[ModelEntry], folder: Path, problems: list[Problem]) -> Own:
    """The owner's evidence. Rows of catalogue models that the fleet does not have are left out; a model that nobody
    has heard of is a problem."""
    own = {name for entry in entries for name in names(entry)}
    known = own | set(catalogue.names()) | catalogue.hubs()
    found: list[Figures] = []
    dates: list[str] = []
    for index, name in enumerate(files):
        try:
            text = (folder / Path(name).expanduser()).read_text(encoding="utf-8")
            told = evidence.parse(text, name)
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(f"evidence[{index}]", shown(name), f"cannot be read: {error}"))
            continue
        except DescriptionError as error:
            problems.extend(
                Problem(f"evidence[{index}] ({name}) {one.path}", one.value, one.allowed) for one in error.problems
            )
            continue
        for row in told.rows:
            if row.model not in known:
                allowed = f"a model of this fleet ({', '.join(sorted(own))}) or of the catalogue"
                problems.append(
                    Problem(f"evidence[{index}] ({name}) line {row.line}, model", shown(row.model), allowed)
                )
        found.append(evidence.by_model(told.rows, EvidenceStatus.OWN))
        dates.append(told.newest)
    return Own(tuple(found), evidence.newest_date(dates))


def names(entry: ModelEntry) -> tuple[str, ...]:
    """What a model may be called in evidence: hub repository, catalogue name, id; what comes later counts more."""
    source = entry.card.get("source")
    if source is None and entry.use in catalogue.names():
        source = catalogue.raw(str(entry.use)).get("source")
    return tuple(dict.fromkeys(str(name) for name in (source, entry.use, entry.id) if name))
