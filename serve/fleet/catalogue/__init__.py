"""Known models and GPUs, with the source of every fact.

`models/*.yaml` are written by hand, one a model; `quality.tsv` and `gpus.yaml` are generated (`build`).
"""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

from serve.fleet import evidence, yaml

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


@cache
def hubs() -> frozenset[str]:
    """Hub repositories of the catalogue's models."""
    return frozenset(str(source) for name in names() if (source := _read(name).get("source")))


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
def quality() -> evidence.Evidence:
    """The evidence that the catalogue ships, rows without figures included. Raises DescriptionError when damaged."""
    path = HERE / "quality.tsv"
    return evidence.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def _quality() -> dict[str, dict[str, dict[str, Any]]]:
    """`quality` of cards, by model and language. What has no figure is left out: never 0."""
    return evidence.by_model(quality().rows)
