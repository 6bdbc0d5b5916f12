"""Fleets by the thousand: a small whole one, and every way to put another value somewhere in it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]

CARD = {
    "title": "House model",
    "source": "example-org/house-model",
    "licence": {"name": "Apache-2.0", "gated": False},
    "context_tokens": 8192,
    "languages_declared": ["nb", "nn"],
    "template": {"roles": ["system", "user", "assistant"]},
    "tokenizer": "llama-3",
    "price": {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.2},
    "quality": {"nb": {"delta": -3, "low": -5, "high": -1, "tasks": {"summary": {"delta": 1}}}},
}
BASE: dict[str, Any] = {
    "models": [
        {"use": "llama-3.3-70b-instruct", "engine": {"gpu": "H100-SXM-80GB", "tensor_parallel": 4}, "cluster": "main"},
        {"id": "house", "card": CARD, "engine": {"gpu": "L40S-48GB"}, "cluster": "main", "aliases": ["home"]},
        {
            "use": "gemma-2-9b-it",
            "engine": {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 50_331_648},
            "cluster": "main",
        },
        {"use": "eurollm-9b-instruct", "upstream": {"base_url": "https://api.example.com/openai"}},
    ],
    "clusters": {"main": {}, "other": {"serve_url": "http://ray.example.com:8000"}},
    "routing": {"reference": "llama-3.3-70b-instruct", "floors": {"code": "best"}, "prior": {"nb": 0.5}},
    "aliases": {"gpt-4o": "auto"},
    "autoscaling": {"kubernetes": {}, "budget": {"gpus": {"H100-SXM-80GB": 16}}},
}
PLACES: tuple[tuple[str, Path], ...] = (
    ("ModelEntry", ("models", 0)),
    ("Engine", ("models", 2, "engine")),
    ("Upstream", ("models", 3, "upstream")),
    ("ModelCard", ("models", 1, "card")),
    ("Price", ("models", 0, "price")),
    ("Cluster", ("clusters", "other")),
    ("Gateway", ("gateway",)),
    ("Routing", ("routing",)),
    ("Slo", ("slo",)),
    ("Autoscaling", ("autoscaling",)),
)
"""Parts of the schema, and where the base has (or takes) one."""
VALUES: tuple[Any, ...] = (None, True, "word", "", 0, -1, 1, 7, 0.5, 1.5, 1e12, [], {}, ["word"], {"word": 1})


def places(schema: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every field of a fleet by its path, with its schema; fields of parts within parts too."""
    for name, path in PLACES:
        yield from _fields(schema["$defs"], schema["$defs"][name], path)
    for name, field in schema["properties"].items():
        yield (name,), field


def _fields(parts: Mapping[str, Any], part: Mapping[str, Any], at: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for name, field in part.get("properties", {}).items():
        yield (*at, name), field
        for one in (field, *field.get("anyOf", ())):
            if "$ref" in one and "properties" in (below := parts[one["$ref"].rpartition("/")[2]]):
                yield from _fields(parts, below, (*at, name))
    yield (*at, "no_such_field"), {}


def candidates(field: Mapping[str, Any]) -> Iterator[Any]:
    """Values to try in a field: of all types, and those at and just beyond its bounds."""
    yield from VALUES
    for one in (field, *field.get("anyOf", ())):
        for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            if bound in one:
                yield from (one[bound], one[bound] - 1, one[bound] + 1)
        yield from one.get("enum", ())
        if "const" in one:
            yield one["const"]


def put(fleet: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """The fleet with another value there; mappings on the way are made."""
    out: Any = copy.deepcopy(dict(fleet))
    here = out
    for step in path[:-1]:
        if isinstance(here, dict) and not isinstance(here.get(step), dict | list):
            here[step] = {}
        here = here[step]
    here[path[-1]] = value
    assert isinstance(out, dict)
    return out


def mutations(schema: Mapping[str, Any]) -> Iterator[tuple[Path, Any, dict[str, Any]]]:
    """Each path, the value that is put there, and the fleet that this makes."""
    for path, field in places(schema):
        tried: list[Any] = []
        for value in candidates(field):
            if not any(value == other and type(value) is type(other) for other in tried):
                tried.append(value)
                yield path, value, put(BASE, path, value)
