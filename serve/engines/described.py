"""The Serve application from a model as the fleet describes it: what the chart writes into a RayService.

A template cannot look models up in the catalogue or know vLLM's flags. So it passes the entry on, and the Ray cluster
finds the rest with the functions that `parlance up` uses (serve.engines.config). Ray Serve restarts replicas when an
application's `args` change: `RESTARTS` names what of an entry stands in them. Everything else (prices, evidence, names,
bounds, queues, drain times) is left out by the template, and here if it is given all the same.
"""

# No `from __future__ import annotations` here: Ray Serve reads the builder's annotation, as in `application`.
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from serve.engines import application, tiny
from serve.engines.config import engine_args
from serve.engines.flags import Weights, engine_of, weights
from serve.fleet import Model, loader

IMPORT_PATH: Final = "serve.engines.described:build"
# Where a pod's volume for weights is mounted, and on it what an init container builds of `weights: tiny`.
TINY: Final = Path("/weights/tiny")

RESTARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "engine": (
        "device",
        "gpu",  # not one of the arguments; without it the shape cannot be checked, and its pods are others anyway
        "weights",
        "tensor_parallel",
        "pipeline_parallel",
        "dtype",
        "quantization",
        "kv_cache_dtype",
        "kv_cache_bytes",
        "gpu_memory_utilization",
        "max_model_len",
        "cpus_per_replica",
        "stall_s",
        "surge",
        "flags",
        "env",
    ),
    "card": (
        "source",
        "revision",
        "kind",
        "context_tokens",
        "architecture",
        "tool_parser",
        "reasoning_parser",
    ),
    "template": ("tools", "stop_token_ids"),
    # A tiny model's bytes follow from these too.
    "tiny_card": ("languages_declared", "tokenizer"),
    "tiny_template": ("roles",),
}
"""What of a model's entry an engine depends on: fields of `engine`, of `card`, and of `card.template`."""

# Facts that a card must have, and that no engine looks at.
_FILLED: Final[Mapping[str, Any]] = {
    "title": "described",
    "licence": {"name": "described", "gated": False},
    "languages_declared": [],
    "tokenizer": "described",
    "price": {"input_usd_per_mtok": 0, "output_usd_per_mtok": 0},
}


class Described(BaseModel):
    """`args:` of the Serve application."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: dict[str, Any] = Field(description="An entry of the fleet's `models`; of it only what `RESTARTS` names.")
    resource: str = Field(
        default="",
        description="Ray resource that each pod of the model's worker group has one of: a replica takes it, so that it "
        "starts on these pods only, and one on each. Empty: anywhere.",
    )


def build(args: Described) -> Any:
    """The Serve application (`import_path: serve.engines.described:build`). Raises DescriptionError."""
    return application.build(arguments(args))


def arguments(args: Described, tiny_root: Path = TINY) -> application.EngineArgs:
    """What the model's replicas are built from: the same as `serve_config`'s, with the pod's resource.

    Raises DescriptionError with every problem of the entry.
    """
    model = resolve(args.model)
    return engine_args(model, loaded(model, tiny_root), {args.resource: 1} if args.resource else {})


def resolve(entry: Mapping[str, Any]) -> Model:
    """The model of an entry, complete as far as its engine needs. Raises DescriptionError."""
    wanted = {name: entry[name] for name in ("use", "id", "engine") if name in entry}
    wanted["card"] = _card(entry.get("card") or {}, filled="use" not in entry)
    (model,) = loader.resolve({"models": [wanted]}, f"model {entry.get('id') or entry.get('use')}").models
    return model


def loaded(model: Model, tiny_root: Path = TINY) -> Weights:
    """What its engine loads; a tiny model from where `serve.engines.fetch` builds it."""
    needs = engine_of(model).weights == "tiny"
    return weights(model, str(tiny.directory(model, tiny_root)) if needs else None)


def _card(given: Mapping[str, Any], *, filled: bool) -> dict[str, Any]:
    """The card with what engines look at, and for an own model what a card must have besides."""
    names = {*RESTARTS["card"], *RESTARTS["tiny_card"]}
    card = {name: value for name, value in given.items() if name in names}
    if isinstance(template := given.get("template"), Mapping):
        parts = {*RESTARTS["template"], *RESTARTS["tiny_template"]}
        card["template"] = {name: value for name, value in template.items() if name in parts}
    return {**_FILLED, **card} if filled else card
