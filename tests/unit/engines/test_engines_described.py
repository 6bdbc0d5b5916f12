"""Engines that are built from a model's entry are those that `parlance up` builds; what restarts them is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serve.engines import tiny
from serve.engines.application import EngineArgs
from serve.engines.config import serve_config
from serve.engines.described import RESTARTS, Described, arguments, loaded
from serve.errors import DescriptionError
from serve.fleet import loader, yaml
from serve.fleet.card import ModelCard, Template
from serve.fleet.description import ModelEntry
from serve.fleet.engine import Engine
from serve.fleet.loader import LAPTOP

pytestmark = pytest.mark.unit

EXAMPLES = sorted(LAPTOP.parent.glob("*.yaml"))
CHART = Path(__file__).parents[3] / "deploy/helm/parlance/files/fleet.yaml"

OWN: dict[str, Any] = {
    "id": "own",
    "card": {
        "title": "Own",
        "source": "maker/model",
        "revision": "a" * 40,
        "kind": "chat",
        "licence": {"name": "MIT", "gated": False},
        "context_tokens": 4096,
        "languages_declared": ["en"],
        "tokenizer": "llama3",
        "template": {"tools": True, "stop_token_ids": [7]},
        "tool_parser": "hermes",
        "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2},
    },
    "engine": {"device": "cpu", "kv_cache_bytes": 1 << 26},
}


def built(entry: dict[str, Any], resource: str = "") -> EngineArgs:
    return arguments(Described(model=entry, resource=resource))


def changed(part: str, name: str, value: Any, entry: dict[str, Any] = OWN) -> dict[str, Any]:
    """The entry with one field of its engine, card or template changed."""
    card = entry["card"]
    if part == "template":
        return {**entry, "card": {**card, "template": {**card["template"], name: value}}}
    return {**entry, part: {**entry[part], name: value}}


@pytest.mark.parametrize("path", [*EXAMPLES, CHART], ids=lambda path: path.stem)
def test_arguments_are_those_of_the_local_stack(path: Path) -> None:
    fleet = loader.load(path)
    entries = {one.get("id") or one.get("use"): one for one in yaml.read(path)["models"]}
    (cluster,) = {model.cluster for model in fleet.models if model.cluster}
    applications = serve_config(fleet, cluster, resolve=loaded)["applications"]
    assert applications
    for application in applications:
        local = EngineArgs.model_validate(application["args"])
        assert built(entries[application["name"]]) == local


def test_a_replica_takes_its_pods_resource() -> None:
    assert built(OWN, "own").resources == {"own": 1.0}
    assert built(OWN).resources == {}


def test_tiny_weights_are_where_the_init_container_builds_them() -> None:
    entry = {"use": "gemma-2-9b-it", "engine": {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 1 << 26}}
    model = loader.resolve({"models": [entry]}, "test").models[0]
    argv = built(entry).argv
    assert argv[argv.index("--model") + 1] == str(tiny.directory(model, Path("/weights/tiny")))


def test_an_entry_of_which_only_the_named_parts_are_left_is_enough() -> None:
    """What the chart's template leaves out is not missed, for an own model either."""
    card = {name: OWN["card"][name] for name in RESTARTS["card"] if name in OWN["card"]}
    card["template"] = OWN["card"]["template"]
    assert built({"id": "own", "card": card, "engine": OWN["engine"]}) == built(OWN)


ENGINE_CHANGES: dict[str, Any] = {
    "device": "gpu",
    "weights": "other/model",
    "tensor_parallel": 2,
    "pipeline_parallel": 2,
    "dtype": "float32",
    "quantization": "fp8",
    "kv_cache_dtype": "fp8",
    "kv_cache_bytes": 1 << 27,
    "gpu_memory_utilization": 0.8,
    "max_model_len": 2048,
    "cpus_per_replica": 2,
    "stall_s": 7,
    "surge": True,
    "flags": {"seed": 1},
    "env": {"A": "b"},
}
UNFELT: dict[str, Any] = {
    "usd_per_gpu_hour": 3,
    "replicas": {"initial": 2, "min": 1, "max": 3},
    "max_ongoing_requests": 9,
    "max_stream_s": 9,
    "start_timeout_s": 9,
}


def test_every_field_of_an_engine_is_known_to_restart_it_or_not() -> None:
    assert set(RESTARTS["engine"]) == {*ENGINE_CHANGES, "gpu"}
    assert set(Engine.model_fields) == {*ENGINE_CHANGES, *UNFELT, "gpu"}


@pytest.mark.parametrize("name", ENGINE_CHANGES)
def test_what_restarts_an_engine(name: str) -> None:
    before = OWN
    if name in ("gpu_memory_utilization", "quantization"):
        before = {**OWN, "engine": {"gpu": "H100-SXM-80GB"}}
    after = changed("engine", name, ENGINE_CHANGES[name], before)
    if name == "device":
        after["engine"]["gpu"] = "H100-SXM-80GB"
    assert built(after) != built(before)


@pytest.mark.parametrize("name", UNFELT)
def test_what_does_not_restart_an_engine(name: str) -> None:
    assert built(changed("engine", name, UNFELT[name])) == built(OWN)


CARD_CHANGES: dict[str, Any] = {
    "source": "maker/other",
    "revision": "b" * 40,
    "context_tokens": 2048,
    "tool_parser": "llama3_json",
    "reasoning_parser": "deepseek_r1",
}
# Checked against, or a part of a tiny model's bytes.
CHECKED = {"kind", "architecture"}


def test_every_field_of_a_card_is_known_to_restart_an_engine_or_not() -> None:
    assert set(RESTARTS["card"]) == {*CARD_CHANGES, *CHECKED}
    about = {"title", "licence", "price", "quality", "successor", "notes", "sources", "template"}
    assert set(ModelCard.model_fields) == {*RESTARTS["card"], *RESTARTS["tiny_card"], *about}
    assert set(Template.model_fields) == {*RESTARTS["template"], *RESTARTS["tiny_template"], "fixed_tokens"}


@pytest.mark.parametrize("name", CARD_CHANGES)
def test_facts_of_weights_restart_an_engine(name: str) -> None:
    assert built(changed("card", name, CARD_CHANGES[name])) != built(OWN)


def test_stop_tokens_restart_an_engine_and_other_facts_of_the_template_do_not() -> None:
    assert built(changed("template", "stop_token_ids", [8])) != built(OWN)
    assert built(changed("template", "fixed_tokens", 8)) == built(OWN)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("title", "Another"),
        ("licence", {"name": "Apache-2.0", "gated": True}),
        ("price", {"input_usd_per_mtok": 9, "output_usd_per_mtok": 9}),
        ("quality", {"nb": {"delta": -3}}),
        ("notes", ["new"]),
    ],
)
def test_prices_and_evidence_do_not_restart_an_engine(name: str, value: Any) -> None:
    assert built(changed("card", name, value)) == built(OWN)


def test_names_and_places_of_an_entry_are_not_looked_at() -> None:
    further = {"aliases": ["x"], "auto": False, "price": {"input_usd_per_mtok": 9, "output_usd_per_mtok": 9}}
    assert built({**OWN, **further, "cluster": "elsewhere", "enabled": True}) == built(OWN)
    kept = {"use", "id", "card", "engine"}
    assert set(ModelEntry.model_fields) == kept | set(further) | {"cluster", "enabled", "upstream"}


def test_a_wrong_entry_is_refused_with_its_problems() -> None:
    with pytest.raises(DescriptionError, match="tensor_parallel"):
        built(changed("engine", "tensor_parallel", 0))
