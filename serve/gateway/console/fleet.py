"""The fleet and its health as the operator's page shows them."""

from __future__ import annotations

from importlib.metadata import version
from time import time
from typing import TYPE_CHECKING, Any

from serve.fleet import Model
from serve.fleet.routing import Preset
from serve.fleet.tasks import Task
from serve.gateway.instruments import languages_of
from serve.gateway.upstream import Upstream
from serve.routing.records import Endpoint, MeasuredPrice
from serve.routing.tags import name

if TYPE_CHECKING:
    from serve.gateway.worker import Worker


def facts(worker: Worker) -> dict[str, Any]:
    """What does not change while the worker runs: read once by the page."""
    fleet, settings = worker.fleet, worker.settings
    return {
        "fleet": fleet.name,
        "version": version("parlance"),
        "reference": fleet.reference,
        "started_at": worker.started_at.timestamp(),
        "worker": f"{settings.host}:{settings.port}",
        "keys": None if worker.keyring.open else len(worker.keyring),
        "in_flight_limit": settings.limits.in_flight,
        "models": [_card(model, worker.upstreams[model.id]) for model in fleet.models],
        "aliases": fleet.aliases,
        "languages": {tag: name(tag) for tag in sorted(languages_of(fleet), key=name)},
        "tasks": list(Task),
        "floors": list(Preset),
        "endpoints": list(Endpoint),
    }


def health(worker: Worker) -> dict[str, Any]:
    """What changes from moment to moment."""
    return {
        "now": time(),
        "started_at": worker.started_at.timestamp(),
        "draining": worker.draining,
        "in_flight": worker.in_flight,
        "connections": worker.connections(),
        "models": {model_id: _state(upstream) for model_id, upstream in worker.upstreams.items()},
    }


def _card(model: Model, upstream: Upstream) -> dict[str, Any]:
    price = upstream.price
    return {
        "id": model.id,
        "title": model.card.title,
        "aliases": list(model.aliases),
        "source": model.card.source,
        "auto": model.auto,
        "chats": model.card.chats,
        "context_tokens": model.context_tokens,
        "languages": len(model.card.languages_declared),
        "external": model.upstream is not None,
        "usd_per_mtok": {
            "input": price.input_usd_per_mtok,
            "cached_input": price.cached_input_usd_per_mtok,
            "output": price.output_usd_per_mtok,
        },
    }


def _state(upstream: Upstream) -> dict[str, Any]:
    state = upstream.state
    return {
        "healthy": state.healthy,
        "reason": state.reason,
        "probed": upstream.probed,
        "in_flight": state.in_flight,
        "wait_s": state.wait_s,
        "measured": _measured(state.measured),
    }


def _measured(price: MeasuredPrice | None) -> dict[str, float] | None:
    """What a million tokens cost at what the GPUs really served: idle time shared out, and while replicas are warm."""
    if price is None:
        return None
    return {
        "average_input": price.average_input_usd * 1e6,
        "average_output": price.average_output_usd * 1e6,
        "marginal_input": price.marginal_input_usd * 1e6,
        "marginal_output": price.marginal_output_usd * 1e6,
    }
