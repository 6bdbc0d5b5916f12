"""Known models and GPUs, one YAML file each, with the source of every fact."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from serve.fleet import yaml

HERE = Path(__file__).parent


@cache
def names() -> tuple[str, ...]:
    """Names of the catalogue's models, sorted."""
    return tuple(sorted(path.stem for path in (HERE / "models").glob("*.yaml")))


@cache
def _read(name: str) -> Any:
    return yaml.read(HERE / "models" / f"{name}.yaml")


def raw(name: str) -> dict[str, Any]:
    """One entry as it stands in its file. Raises KeyError when there is none of that name."""
    if name not in names():
        raise KeyError(name)
    return dict(_read(name))
