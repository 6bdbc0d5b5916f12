"""Known models and GPUs, with the source of every fact.

`models/*.yaml` are written by hand, one a model; `quality.tsv` and `gpus.yaml` are generated (`build`).
"""

from __future__ import annotations

import copy
import csv
from functools import cache
from pathlib import Path
from typing import Any

from serve.fleet import yaml

HERE = Path(__file__).parent


@cache
def names() -> tuple[str, ...]:
    """Names of the catalogue's models, sorted."""
    return tuple(sorted(path.stem for path in (HERE / "models").glob("*.yaml")))


def raw(name: str) -> dict[str, Any]:
    """One entry as it stands in its file, with its `quality` from quality.tsv. Raises KeyError when there is none.

    The caller owns the result: changing it changes nothing here.
    """
    if name not in names():
        raise KeyError(name)
    return copy.deepcopy(_read(name))


def raw_gpus() -> dict[str, Any]:
    """`gpus.yaml` by GPU name, not yet validated."""
    return dict(yaml.read(HERE / "gpus.yaml")["gpus"])


@cache
def _read(name: str) -> dict[str, Any]:
    entry = dict(yaml.read(HERE / "models" / f"{name}.yaml"))
    if quality := _quality().get(name):
        entry["quality"] = quality
    return entry


@cache
def _quality() -> dict[str, dict[str, Any]]:
    """By model and language, from quality.tsv. An empty cell is left out: never 0."""
    found: dict[str, dict[str, Any]] = {}
    text = (HERE / "quality.tsv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for row in csv.DictReader(lines, dialect="excel-tab"):
        figures = {key: float(row[key]) for key in ("delta", "low", "high") if row[key]}
        found.setdefault(row["model"], {})[row["language"]] = {
            **figures,
            "status": row["status"],
            "source": row["source"],
        }
    return found
