"""The fleet as it is written (`FleetFile`) and as it is understood (`Fleet`), with nothing left to look up."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from serve.fleet.autoscaling import Autoscaling
from serve.fleet.base import Alias, Frozen, ModelId
from serve.fleet.card import ModelCard, Price
from serve.fleet.engine import Cluster, Engine, Upstream
from serve.fleet.gateway import Gateway
from serve.fleet.routing import Routing
from serve.fleet.slo import Slo


class ModelEntry(Frozen):
    """One model of a fleet file: a catalogue entry with overrides, an own model, or an external endpoint."""

    use: str | None = Field(default=None, description="Name of a catalogue entry (`parlance catalogue list`).")
    id: ModelId | None = Field(default=None, description="Name in the API; default: the catalogue's.")
    aliases: tuple[Alias, ...] = Field(default=(), description="Further names that clients may write.")
    enabled: bool = Field(default=True, description="Off: as if the entry did not stand here.")
    auto: bool = Field(default=True, description="Whether `auto` may choose it; an exact id always works.")
    card: dict[str, Any] = Field(
        default_factory=dict, description="Facts that differ from the catalogue's, or all of an own model's card."
    )
    price: Price | None = Field(default=None, description="Default: the card's.")
    cluster: str | None = Field(default=None, description="Which of `clusters`; default: the only one.")
    engine: Engine | None = Field(default=None, description="vLLM here; or else `upstream`.")
    upstream: Upstream | None = Field(default=None, description="An OpenAI-compatible endpoint that others run.")


class FleetFile(Frozen):
    """`fleet.yaml`, before catalogue entries are looked up."""

    version: Literal[1] = Field(default=1, description="Of this description's format.")
    name: str = Field(default="fleet", min_length=1, max_length=63, description="For people, logs and metrics.")
    models: tuple[ModelEntry, ...] = Field(min_length=1, description="At least one.")
    clusters: dict[ModelId, Cluster] = Field(
        default_factory=lambda: {"local": Cluster()}, description="Ray clusters by name; default: `local`."
    )
    gateway: Gateway = Gateway()
    routing: Routing = Routing()
    slo: Slo = Slo()
    autoscaling: Autoscaling = Autoscaling()
    aliases: dict[Alias, ModelId] = Field(default_factory=dict, description="Further names, e.g. gpt-4o-mini: auto.")
    evidence: tuple[str, ...] = Field(
        default=(),
        description="Files of the owner's own evidence (`parlance quality import`), relative to this one; each counts "
        "above the catalogue's and those before it, and below `card.quality`.",
    )


class Model(Frozen):
    """A model of the fleet, complete: its card, its price here, and where it answers."""

    id: ModelId
    aliases: tuple[Alias, ...]
    auto: bool
    card: ModelCard
    price: Price
    cluster: str | None
    engine: Engine | None
    upstream: Upstream | None
    context_tokens: int = Field(description="What this deployment accepts: the card's, or the engine's lower limit.")

    @property
    def sleeps(self) -> bool:
        """Whether the autoscaler may leave it without a replica."""
        return self.engine is not None and self.engine.replicas.min == 0


class Fleet(Frozen):
    """What all parts of Parlance read."""

    name: str
    models: tuple[Model, ...]
    clusters: dict[str, Cluster]
    gateway: Gateway
    routing: Routing
    slo: Slo = Slo()
    autoscaling: Autoscaling = Autoscaling()
    aliases: dict[Alias, str] = Field(description="Every further name of a model, resolved to its id or `auto`.")
    reference: ModelId
    evidence_date: str = Field(default="", description="Of the newest source of evidence: 2026-04-20; empty: none.")

    def model(self, model_id: str) -> Model:
        """The model of that id. Raises KeyError."""
        for model in self.models:
            if model.id == model_id:
                return model
        raise KeyError(model_id)

    def base_url(self, model: Model) -> str:
        """Where the model's OpenAI API answers, without the /v1."""
        if model.upstream:
            return model.upstream.base_url
        assert model.cluster is not None  # the loader gives every engine a cluster
        return f"{self.clusters[model.cluster].serve_url.rstrip('/')}/{model.id}"
