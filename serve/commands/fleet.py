"""`parlance fleet`: a description as it is understood, its problems, its schema, and the GPU shapes of a model."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from serve.errors import LocalError
from serve.fleet import catalogue, load, schema
from serve.fleet.card import ModelCard
from serve.fleet.memory import GIB
from serve.fleet.shapes import fitting_shapes
from serve.fleet.summary import summary

HELP = "check a fleet description; print its schema, reference or a model's GPU shapes"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="print a fleet as it is understood, or every problem of it")
    check.add_argument("file", type=Path, metavar="F")
    check.add_argument("--json", action="store_true", help="for programs")
    actions.add_parser("schema", help="JSON schema of a fleet file")
    reference = actions.add_parser("reference", help="the reference table of docs/fleet.md")
    reference.add_argument("--into", type=Path, metavar="FILE", help="write it between the marks of this page")
    shapes = actions.add_parser("shapes", help="GPUs and tensor-parallel degrees that fit a catalogue model")
    shapes.add_argument("name", metavar="NAME")
    shapes.add_argument("--context", type=int, metavar="TOKENS", help="a shorter context than the model's")
    shapes.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace) -> int:
    """Runs one action."""
    if args.action == "check":
        found = summary(load(args.file))
        found["gateway"]["keys_found"] = _keys_found(found["gateway"]["keys_file"])
        print(json.dumps(found, ensure_ascii=False, indent=2) if args.json else "\n".join(_lines(found)))
    elif args.action == "schema":
        print(json.dumps(schema.json_schema(), ensure_ascii=False, indent=2))
    elif args.action == "reference":
        _reference(args.into)
    else:
        _shapes(args.name, args.context, args.json)
    return 0


def _reference(into: Path | None) -> None:
    if into is None:
        print(schema.reference())
        return
    page = into.read_text(encoding="utf-8")
    try:
        page = schema.with_reference(page)
    except ValueError as error:
        raise LocalError(f"{into}: {error}") from error
    into.write_text(page, encoding="utf-8")


def _keys_found(keys_file: str | None) -> bool:
    return keys_file is not None and Path(keys_file).is_file()


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """The summary for people."""
    yield f"fleet {found['name']}: {len(found['models'])} models"
    for model in found["models"]:
        yield ""
        yield from _model_lines(model, found["reference"])
    routing, gateway = found["routing"], found["gateway"]
    further = ", ".join(name for name, target in found["aliases"].items() if target == "auto")
    yield ""
    yield f"auto       {'also called ' + further if further else 'no further names'}"
    yield f"reference  {found['reference']}"
    yield f"floor      {routing['quality_floor']} ({routing['quality_floor_points']:+g} points against the reference)"
    yield f"gateway    {gateway['address']}, operator's port {gateway['admin_address']}"
    if gateway["keys_file"] is None:
        yield "keys       none: loopback only"
    else:
        yield f"keys       {gateway['keys_file']}{'' if gateway['keys_found'] else ' (no such file: parlance keys)'}"
    for name, cluster in found["clusters"].items():
        yield f"cluster    {name}: {cluster['serve_url']}, dashboard {cluster['dashboard_url']}"
    for gpu, count in found["gpus"].items():
        yield f"GPUs       {count['min']} to {count['max']}x {gpu}"
    for warning in found["warnings"]:
        yield f"warning    {warning}"


def _model_lines(model: dict[str, Any], reference: str) -> Iterator[str]:
    price, engine = model["price"], model["engine"]
    yield f"{model['id']}  ({model['title']}, {model['kind']}{'' if model['auto'] else ', never by auto'})"
    yield f"  source     {model['source'] or '-'}; {model['licence']}{', gated' if model['gated'] else ''}"
    if engine is None:
        upstream = model["upstream"]
        key = f", key from ${upstream['api_key_env']}" if upstream["api_key_env"] else ", no key"
        yield f"  upstream   {upstream['base_url']}/v1 as {upstream['model'] or model['id']}{key}"
    else:
        yield from _engine_lines(model, engine)
    yield f"  context    {model['context_tokens']:,} tokens{_cut(model)}"
    yield (
        f"  price      {price['input_usd_per_mtok']:g} in, {price['output_usd_per_mtok']:g} out, "
        f"USD per million tokens ({price['status']})"
    )
    declared, evidence = len(model["languages_declared"]), len(model["languages_with_evidence"])
    if model["id"] == reference:
        yield f"  languages  {declared} declared; it is the reference that evidence compares with"
    else:
        yield f"  languages  {declared} declared, {evidence} with evidence"
    if model["aliases"]:
        yield f"  aliases    {', '.join(model['aliases'])}"


def _cut(model: dict[str, Any]) -> str:
    whole = model["context_tokens_of_card"]
    return f" of the model's {whole:,}" if model["context_tokens"] < whole else ""


def _engine_lines(model: dict[str, Any], engine: dict[str, Any]) -> Iterator[str]:
    workers = engine["tensor_parallel"] * engine["pipeline_parallel"]
    where = f"{workers}x {engine['gpu']}" if engine["device"] == "gpu" else f"{workers} CPU worker(s)"
    parallel = f"tensor_parallel {engine['tensor_parallel']}"
    if engine["pipeline_parallel"] > 1:
        parallel += f", pipeline_parallel {engine['pipeline_parallel']}"
    replicas = engine["replicas"]
    yield f"  engine     {where}, {parallel}, {engine['stored_as']}, weights: {engine['weights']}"
    yield (
        f"  cluster    {engine['cluster']} at {model['base_url']}/v1; "
        f"replicas {replicas['min']} to {replicas['max']}, {replicas['initial']} at the start"
    )
    held = engine["memory_per_worker"]
    if held is None:
        yield "  memory     not known: the card has no architecture"
        return
    context = f"{held['one_context_gib']:g} GiB for one context"
    if held["one_context_windowed_gib"] < held["one_context_gib"]:
        context += f" ({held['one_context_windowed_gib']:g} if windowed layers kept their window only)"
    rest = held["activations_and_runtime_gib"]
    beside = f", {rest:g} GiB activations and runtime" if rest is not None else ""
    yield f"  memory     {held['weights_gib']:g} GiB weights per worker, {context}{beside}"
    if (room := engine["kv_room_tokens"]) is not None:
        yield f"  KV room    {room:,} tokens, {room / model['context_tokens']:.1f} full contexts"


def _shapes(name: str, context: int | None, as_json: bool) -> None:
    try:
        card = ModelCard.model_validate(catalogue.raw(name))
    except KeyError as error:
        raise LocalError(f"{name!r} is no model of the catalogue: one of {', '.join(catalogue.names())}") from error
    if context is not None and not 0 < context <= card.context_tokens:
        raise LocalError(f"--context {context}: 1 to {card.context_tokens}, the context of {card.title}, is allowed")
    if card.architecture is None:
        raise LocalError(f"{name} has no architecture in the catalogue: its memory cannot be computed")
    tokens = context or card.context_tokens
    fitting = fitting_shapes(card.model_copy(update={"context_tokens": tokens}))
    if as_json:
        print(json.dumps([asdict(shape) for shape in fitting], indent=2))
        return
    print(f"{card.title}: shapes with room for one context of {tokens:,} tokens (computed, gpu_memory_utilization 0.9)")
    print(f"{'GPU':16}{'GPUs':>5}  {'weights':10}{'GiB/GPU':>8}{'KV tokens':>12}{'contexts':>10}{'USD/h':>8}")
    for shape in fitting:
        usd = "-" if shape.usd_per_hour is None else f"{shape.usd_per_hour:.2f}"
        print(
            f"{shape.gpu:16}{shape.tensor_parallel:>5}  {shape.weights:10}{shape.weights_bytes / GIB:>8.1f}"
            f"{shape.kv_room_tokens:>12,}{shape.kv_room_tokens / tokens:>10.1f}{usd:>8}"
        )
