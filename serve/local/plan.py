"""What `up` was asked for, as one fleet: chosen models, substituted weights, and the file that the gateway reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml as pyyaml

from serve.errors import LocalError
from serve.fleet import Fleet, Model, loader, yaml


@dataclass(frozen=True, slots=True)
class Plan:
    """A fleet that is to run here. `file` describes exactly `fleet`, and is what the gateway is started with."""

    fleet: Fleet
    file: Path
    engines: tuple[Model, ...]
    substitutes: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Equal for equal fleets and weights: tells whether a running stack is the one that is asked for."""
        text = self.fleet.model_dump_json() + json.dumps(dict(self.substitutes), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def plan(path: Path, models: Sequence[str], substitutes: Mapping[str, str], directory: Path) -> Plan:
    """The plan for a fleet file. `models` are ids or aliases, none for all; `substitutes` weights by id or alias.

    With a choice of models the narrowed description is written below `directory`. Raises DescriptionError for a bad
    file and LocalError for a name that the fleet does not know.
    """
    fleet = loader.load(path)
    swapped = {_resolve(fleet, name).id: source for name, source in substitutes.items()}
    file = path.absolute()
    if models:
        chosen = {_resolve(fleet, name).id for name in models}
        file = directory / "fleet.yaml"
        directory.mkdir(parents=True, exist_ok=True)
        raw = narrowed(yaml.read(path), fleet, chosen, path.absolute().parent)
        file.write_text(pyyaml.safe_dump(raw, sort_keys=False, allow_unicode=True), encoding="utf-8")
        fleet = loader.load(file)
    engines = tuple(model for model in fleet.models if model.engine is not None)
    if left := sorted(swapped.keys() - {model.id for model in engines}):
        raise LocalError(f"--model {left[0]}: that model is not started (see --models)")
    return Plan(fleet, file, engines, swapped)


def narrowed(raw: Mapping[str, Any], fleet: Fleet, chosen: set[str], folder: Path) -> dict[str, Any]:
    """The file's mapping with the engines of `chosen` only; upstreams stay. Names of what is left out go too."""
    kept = chosen | {model.id for model in fleet.models if model.upstream is not None}
    out = dict(raw)
    out["models"] = [entry for entry in raw["models"] if (entry.get("id") or entry.get("use")) in kept]
    out["aliases"] = {
        alias: target for alias, target in (raw.get("aliases") or {}).items() if target == "auto" or target in kept
    }
    routing = dict(raw.get("routing") or {})
    if routing.get("reference") not in kept:
        routing.pop("reference", None)
    out["routing"] = routing
    gateway = dict(raw.get("gateway") or {})
    if keys := gateway.get("keys_file"):
        gateway["keys_file"] = str(folder / keys)
    out["gateway"] = gateway
    return out


def _resolve(fleet: Fleet, name: str) -> Model:
    target = fleet.aliases.get(name, name)
    for model in fleet.models:
        if model.id == target:
            return model
    known = ", ".join(model.id for model in fleet.models)
    raise LocalError(f"{name!r} is no model of this fleet; it has {known}")
