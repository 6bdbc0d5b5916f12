"""The ready-made values: what their comments say is so, and their fleets are those of the examples."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from serve.chart.fleets import installed, layered
from serve.chart.render import CHART
from serve.chart.values import Values
from serve.fleet import catalogue, yaml
from serve.fleet.card import ModelCard
from serve.fleet.engine import Engine
from serve.fleet.gateway import Limits
from serve.fleet.memory import GIB
from serve.fleet.shapes import fitting_shapes
from serve.fleet.summary import summary

pytestmark = pytest.mark.unit

EXAMPLES = Path(__file__).parents[3] / "serve" / "fleet" / "examples"
FILES = {path.stem: path for path in sorted(CHART.glob("values-*.yaml"))}
MIB = 1024 * 1024


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.read(FILES[name])
    return found


def example(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.read(EXAMPLES / f"{name}.yaml")
    return found


def entries(fleet: dict[str, Any]) -> dict[str, Any]:
    """Model entries by catalogue name, without the switch that a chart's file may turn."""
    return {entry["use"]: {key: value for key, value in entry.items() if key != "enabled"} for entry in fleet["models"]}


def test_the_files_are_those_of_the_page() -> None:
    page = (CHART.parents[2] / "docs" / "values.md").read_text(encoding="utf-8")
    assert set(FILES) == {"values-single-gpu", "values-8xH100", "values-cpu-demo", "values-production"}
    assert set(re.findall(r"parlance/(values-[\w-]+)\.yaml\)", page)) == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_file_begins_with_what_it_is_for_what_it_needs_and_the_command(name: str) -> None:
    text = FILES[name].read_text(encoding="utf-8")
    head = text[: text.index("\n\n")]
    assert all(line.startswith("#") for line in head.splitlines())
    assert re.search(r"\bNeeds\b", head)
    assert f"-f deploy/helm/parlance/{name}.yaml" in head
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_values_and_its_fleet_one(name: str) -> None:
    defaults = Values().model_dump(by_alias=True, mode="json")
    assert Values.model_validate(layered([defaults, read(name)]))
    assert len(installed([FILES[name]]).models) >= 1


def test_production_lies_over_every_other_file() -> None:
    for name in set(FILES) - {"values-production"}:
        alone = installed([FILES[name]])
        assert installed([FILES[name], FILES["values-production"]]).models == alone.models


def test_the_single_gpu_serves_what_the_example_serves() -> None:
    fleet, origin = read("values-single-gpu")["fleet"], example("single-gpu")
    assert entries(fleet) == entries(origin)
    assert fleet["aliases"] == origin["aliases"]
    off = [entry["use"] for entry in fleet["models"] if entry.get("enabled") is False]
    assert off == [entry["use"] for entry in origin["models"] if "upstream" in entry], "somebody else's endpoint"
    assert summary(installed([FILES["values-single-gpu"]]))["gpus"] == {"H100-SXM-80GB": {"min": 1, "max": 1}}


def test_what_the_single_gpus_comments_propose_fits_one() -> None:
    text = FILES["values-single-gpu"].read_text(encoding="utf-8")
    card = ModelCard.model_validate(catalogue.raw("eurollm-9b-instruct"))
    fits = {(shape.gpu, shape.weights) for shape in fitting_shapes(card) if shape.tensor_parallel == 1}
    (listed,) = re.findall(r"engine\.gpu=(L40S-48GB)` \(also ([^)]*)\)", text.replace("\n# ", " "))
    for gpu in (listed[0], *listed[1].split(", ")):
        assert (gpu, "bfloat16") in fits
    assert ("L4-24GB", "fp8") in fits
    assert ("L4-24GB", "bfloat16") not in fits
    others = re.findall(r"`use: ([\w.-]+)`", text)
    assert len(others) == 2
    for other in others:
        shapes = fitting_shapes(ModelCard.model_validate(catalogue.raw(other)))
        assert {gpu for gpu, weights in fits if weights == "bfloat16"} <= {
            shape.gpu for shape in shapes if shape.tensor_parallel == 1
        }


def test_the_node_of_eight_serves_what_the_example_serves() -> None:
    fleet, origin = read("values-8xH100")["fleet"], example("8xh100")
    assert fleet == {key: value for key, value in origin.items() if key not in ("version", "gateway")}
    assert summary(installed([FILES["values-8xH100"]]))["gpus"] == {"H100-SXM-80GB": {"min": 6, "max": 8}}


def test_the_shapes_of_the_comment_are_those_that_are_computed() -> None:
    text = FILES["values-8xH100"].read_text(encoding="utf-8")
    said = re.findall(r"tensor_parallel (\d), (\w+) +([\d.]+) GiB .* for ([\d,]+) tokens, +([\d.]+) USD", text)
    card = ModelCard.model_validate(catalogue.raw("llama-3.3-70b-instruct"))
    shapes = {(s.tensor_parallel, s.weights): s for s in fitting_shapes(card) if s.gpu == "H100-SXM-80GB"}
    assert {(int(degree), weights) for degree, weights, *_ in said} == {(2, "fp8"), (4, "bfloat16")}
    for degree, weights, gib, tokens, usd in said:
        shape = shapes[int(degree), weights]
        assert f"{shape.weights_bytes / GIB:.1f}" == gib
        assert f"{shape.kv_room_tokens:,}" == tokens
        assert f"{shape.usd_per_hour:.2f}" == usd
    assert (2, "bfloat16") not in shapes
    assert f"{card.context_tokens:,} tokens" in text


def test_the_shape_of_the_comments_command_is_one() -> None:
    change = {"engine": {"tensor_parallel": 4, "quantization": None, "replicas": {"max": 1}}}
    text = FILES["values-8xH100"].read_text(encoding="utf-8")
    for line in ("engine.tensor_parallel=4", "engine.quantization=null", "engine.replicas.max=1"):
        assert f"--set models.llama-3\\.3-70b-instruct.{line}" in text
    entry = read("values-8xH100")["fleet"]["models"][0]
    engine = Engine.model_validate(layered([entry["engine"], change["engine"]]))
    assert (engine.tensor_parallel, engine.quantization, engine.replicas.max) == (4, None, 1)


def test_the_demonstration_is_part_of_the_laptops_fleet() -> None:
    fleet, origin = read("values-cpu-demo")["fleet"], example("laptop")
    assert len(fleet["models"]) == 2
    assert entries(fleet).items() <= entries(origin).items()
    assert fleet["autoscaling"] == origin["autoscaling"]
    assert fleet["aliases"].items() <= origin["aliases"].items()
    models = installed([FILES["values-cpu-demo"]]).models
    assert max(model.engine.replicas.max for model in models if model.engine) > 1, "nothing to be watched"


@pytest.mark.parametrize("name", [None, *FILES])
def test_the_autoscalers_window_holds_four_scrapes(name: str | None) -> None:
    values = Values() if name is None else Values.model_validate(layered([_defaults(), read(name)]))
    fleet = installed([CHART / "values.yaml"] if name is None else [FILES[name]])
    scrape = values.monitoring.monitors.interval if values.prometheus.url else values.prometheus.scrape_interval
    assert 4 * int(scrape.removesuffix("s")) <= fleet.autoscaling.window_s


def _defaults() -> dict[str, Any]:
    return Values().model_dump(by_alias=True, mode="json")


def test_nginx_lets_through_what_the_gateway_does() -> None:
    annotations = read("values-production")["gateway"]["ingress"]["annotations"]
    nginx = {name.removeprefix("nginx.ingress.kubernetes.io/"): value for name, value in annotations.items()}
    assert nginx["proxy-buffering"] == "off"
    assert int(nginx["proxy-body-size"].removesuffix("m")) * MIB == Limits().body_bytes
    assert int(nginx["proxy-read-timeout"]) >= Engine().max_stream_s
    assert int(nginx["proxy-send-timeout"]) >= Engine().max_stream_s


def test_production_makes_no_secret_and_its_comment_tells_how_to_make_each() -> None:
    text = FILES["values-production"].read_text(encoding="utf-8")
    head = text[: text.index("\n\n")]
    named = set(re.findall(r"existingSecret: ([\w-]+)", text))
    made = set(re.findall(r"create secret (?:generic|tls) ([\w-]+)", head))
    assert named == made
    keys = dict(re.findall(r"existingSecret: ([\w-]+), key: ([\w-]+)", text))
    for secret, key in keys.items():
        assert re.search(rf"create secret generic {secret} --from-literal={key}=", head)
