"""A fleet as it is understood, in plain values: what `parlance fleet check` prints, and its warnings."""

from __future__ import annotations

import ipaddress
from typing import Any

from serve.fleet import memory
from serve.fleet.description import Fleet, Model
from serve.fleet.gpus import gpus
from serve.fleet.memory import GIB
from serve.fleet.routing import floor_points
from serve.fleet.shapes import architecture, kv_room_tokens

Plain = dict[str, Any]


def summary(fleet: Fleet) -> Plain:
    """Everything that a reader checks before starting a fleet, ready for JSON. Sizes in GiB carry it in their name."""
    gateway, routing = fleet.gateway, fleet.routing
    return {
        "name": fleet.name,
        "models": [_model(fleet, model) for model in fleet.models],
        "aliases": fleet.aliases,
        "reference": fleet.reference,
        "routing": {
            "quality_floor": str(routing.quality_floor),
            "quality_floor_points": floor_points(routing.quality_floor),
            "expected_output_tokens": routing.expected_output_tokens,
            "min_confidence": routing.min_confidence,
        },
        "gateway": {
            "address": f"http://{_bracketed(gateway.host)}:{gateway.port}",
            "admin_address": f"http://{_bracketed(gateway.admin_host)}:{gateway.admin_port}",
            "keys_file": gateway.keys_file,
        },
        "clusters": {name: cluster.model_dump() for name, cluster in fleet.clusters.items()},
        "gpus": _gpu_counts(fleet),
        "warnings": warnings(fleet),
    }


def warnings(fleet: Fleet) -> list[str]:
    """What is allowed and may surprise."""
    found = []
    for model in fleet.models:
        engine = model.engine
        if engine is not None and engine.weights == "hub" and model.card.licence.gated:
            found.append(
                f"{model.id}: gated weights ({model.card.licence.name}): accept the terms of {model.card.source} on "
                "the hub, and give the engine an HF_TOKEN"
            )
        if engine is not None and engine.device == "gpu" and architecture(model.card, engine) is None:
            found.append(f"{model.id}: its card has no architecture: whether it fits was not checked")
        if model.price is model.card.price and model.price.status == "proxy":
            found.append(f"{model.id}: its price is nobody's list price but a proxy (`parlance catalogue show`)")
        if model.auto and not model.card.quality and not model.card.languages_declared:
            found.append(f"{model.id}: neither declares a language nor has evidence in one: `auto` will not choose it")
    if tiny := [model.id for model in fleet.models if model.engine and model.engine.weights == "tiny"]:
        found.append(f"tiny random weights, which write no language: {', '.join(tiny)}")
    if floor_points(fleet.routing.quality_floor) > 0:
        found.append(f"routing.quality_floor: {fleet.routing.quality_floor} asks for better than the reference")
    if fleet.gateway.keys_file is None and not _loopback(fleet.gateway.host):
        found.append(f"gateway.host: {fleet.gateway.host} without gateway.keys_file: the gateway will refuse to start")
    return found


def _model(fleet: Fleet, model: Model) -> Plain:
    card = model.card
    return {
        "id": model.id,
        "title": card.title,
        "kind": str(card.kind),
        "source": card.source,
        "licence": card.licence.name,
        "gated": card.licence.gated,
        "auto": model.auto,
        "aliases": sorted(name for name, target in fleet.aliases.items() if target == model.id),
        "context_tokens": model.context_tokens,
        "context_tokens_of_card": card.context_tokens,
        "languages_declared": list(card.languages_declared),
        "languages_with_evidence": sorted(card.quality),
        "price": model.price.model_dump(mode="json"),
        "base_url": fleet.base_url(model),
        "upstream": model.upstream.model_dump() if model.upstream else None,
        "engine": _engine(model),
    }


def _engine(model: Model) -> Plain | None:
    engine = model.engine
    if engine is None:
        return None
    plain = {
        "cluster": model.cluster,
        "device": engine.device,
        "gpu": engine.gpu,
        "tensor_parallel": engine.tensor_parallel,
        "pipeline_parallel": engine.pipeline_parallel,
        "weights": engine.weights,
        "stored_as": engine.quantization or engine.dtype,
        "replicas": engine.replicas.model_dump(),
        "memory_per_worker": None,
        "kv_room_tokens": kv_room_tokens(model.card, engine),
    }
    arch = architecture(model.card, engine)
    gpu = gpus().get(engine.gpu or "") if engine.device == "gpu" else None
    if arch is not None:
        spread = memory.layout(engine, gpu)
        need = memory.need(arch, spread)
        tokens = model.context_tokens
        plain["memory_per_worker"] = {
            "weights_gib": _gib(need.weights),
            "one_context_gib": _gib(need.kv_per_token * tokens),
            "one_context_windowed_gib": _gib(memory.kv_bytes(arch, spread, tokens, windows=True)),
            "activations_and_runtime_gib": _gib(need.activations + need.runtime) if gpu else None,
        }
    return plain


def _gpu_counts(fleet: Fleet) -> Plain:
    """GPUs by model of GPU, with every deployment at its fewest and at its most replicas."""
    counts: dict[str, dict[str, int]] = {}
    for model in fleet.models:
        engine = model.engine
        if engine is None or engine.device != "gpu" or engine.gpu is None:
            continue
        count = counts.setdefault(engine.gpu, {"min": 0, "max": 0})
        count["min"] += engine.workers * engine.replicas.min
        count["max"] += engine.workers * engine.replicas.max
    return counts


def _gib(size: int) -> float:
    """Two decimals, and more where a tiny model would show as nothing."""
    return round(size / GIB, 2 if size >= GIB // 10 else 4)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
