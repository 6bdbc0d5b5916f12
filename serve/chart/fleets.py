"""The fleet that a chart's values install, with helm's own rules for what goes over what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml as pyyaml
from pydantic import ValidationError

from serve.chart.render import CHART
from serve.chart.values import Values
from serve.errors import DescriptionError, LocalError, Problem
from serve.fleet import Fleet, yaml
from serve.fleet.loader import merged, problems_of, resolve


def installed(values: Sequence[Path], fleet: Path | None = None, chart: Path = CHART) -> Fleet:
    """What `helm install -f VALUES… --set-file fleet=FLEET` serves; without a fleet in any of them, the chart's own.

    Raises DescriptionError with what is wrong in the values or in the fleet, LocalError for a file that is not there.
    """
    source = ", ".join(map(str, values))
    given = layered([_read(file) for file in values])
    if fleet is not None:
        given["fleet"] = yaml.read(fleet)
    given.pop("global", None)  # helm's own
    try:
        # Over the chart's own, as helm holds them: `images: {engine: {tag: …}}` leaves the repository as it is.
        checked = Values.model_validate(layered([Values().model_dump(by_alias=True, mode="json"), given]))
    except ValidationError as error:
        raise DescriptionError(source, problems_of(error, raw=given, model=Values)) from error
    raw, named = _fleet(checked.fleet, f"{source}: fleet" if fleet is None else str(fleet), chart)
    described = _with_changes(raw, checked.models, source)
    # The chart puts RayServices, a Lease and a ConfigMap there: what needs them is complete once it is installed.
    on_kubernetes: dict[str, Any] = {"autoscaling": {"kubernetes": {}}}
    return resolve(merged(on_kubernetes, described), named, (fleet or values[0]).absolute().parent)


def layered(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Values files as helm lays later ones over earlier ones: mappings by key, null takes away, all else replaces."""
    out: dict[str, Any] = {}
    for over in values:
        out = _over(out, over)
    return out


def _over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in over.items():
        below = out.get(key)
        if value is None:
            out.pop(key, None)
        else:
            out[key] = _over(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return out


def _read(file: Path) -> Mapping[str, Any]:
    raw = yaml.read(file)
    if raw is None:
        return {}  # as helm takes an empty file
    if not isinstance(raw, Mapping):
        raise DescriptionError(str(file), [Problem("", type(raw).__name__, "values are a mapping")])
    return raw


def _fleet(given: Any, named: str, chart: Path) -> tuple[Mapping[str, Any], str]:
    """The description as a mapping, and what errors call it."""
    if given is None:
        own = chart / "files" / "fleet.yaml"
        if not own.is_file():
            raise LocalError(f"these values name no fleet, and the chart's own ({own}) is not there: give --fleet")
        given, named = yaml.read(own), str(own)
    if isinstance(given, str):
        try:
            given = pyyaml.safe_load(given)
        except pyyaml.YAMLError as error:
            raise DescriptionError(named, [Problem("", "", f"is no YAML: {error}")]) from error
    if not isinstance(given, Mapping):
        raise DescriptionError(named, [Problem("", type(given).__name__, "a fleet is a mapping with `models:`")])
    return given, named


def _with_changes(fleet: Mapping[str, Any], changes: Mapping[str, Mapping[str, Any]], source: str) -> Mapping[str, Any]:
    """The fleet with the values' `models:` over its own, by id or catalogue name; an id's goes over a name's."""
    entries = fleet.get("models")
    if not changes or not isinstance(entries, list):
        return fleet
    known = {str(entry.get(key)) for entry in entries if isinstance(entry, Mapping) for key in ("id", "use")} - {"None"}
    if unknown := sorted(set(changes) - known):
        one_of = f"one of the fleet's models: {', '.join(sorted(known))}"
        raise DescriptionError(source, [Problem(f"models.{name}", "", one_of) for name in unknown])
    models = [_changed(entry, changes) if isinstance(entry, Mapping) else entry for entry in entries]
    return {**fleet, "models": models}


def _changed(entry: Mapping[str, Any], changes: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    for name in dict.fromkeys((entry.get("use"), entry.get("id"))):
        entry = merged(entry, changes.get(str(name), {}))
    return entry
