"""What values do to a render: fleets reach the gateway as they were given, and Helm names the path of what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve.chart.fleets import installed
from serve.fleet import Fleet, load
from tests.support.helm import CHART, Helm, Object, named

pytestmark = pytest.mark.integration

EXAMPLES = CHART.parents[2] / "serve" / "fleet" / "examples"
FILES = sorted(CHART.glob("values*.yaml"))
OWN = """\
name: own
models:
  - use: gemma-2-9b-it
    aliases: [gpt-4o]
    engine: {gpu: L40S-48GB, replicas: {initial: 2, min: 0, max: 5}}
    price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.2}
  - id: theirs
    use: llama-3.3-70b-instruct
    upstream: {base_url: https://api.example.com/openai, api_key_env: THEIR_KEY}
routing: {quality_floor: best, floors: {summary: economy}}
slo: {ttft_s: 1}
"""
# What does not depend on where a fleet runs.
SAME = ("name", "models", "routing", "slo", "aliases", "reference")


def fleet_of(objects: Iterable[Object], folder: Path) -> Fleet:
    """What gateway and autoscaler read, as they read it."""
    file = folder / "fleet.yaml"
    file.write_text(named(objects, "ConfigMap", "parlance-fleet")["data"]["fleet.yaml"], encoding="utf-8")
    return load(file)


def same(fleet: Fleet, other: Fleet) -> None:
    """Two fleets are one, but for addresses, ports, files and clusters."""
    for name in SAME:
        mine, others = getattr(fleet, name), getattr(other, name)
        if name == "models":
            mine, others = ([model.model_copy(update={"cluster": None}) for model in of] for of in (mine, others))
        assert mine == others, name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_fleet_of_every_values_file_is_one(
    rendered: Callable[..., list[Object]], file: Path, tmp_path: Path
) -> None:
    fleet = fleet_of(rendered(files=[file]), tmp_path)
    same(fleet, installed([file]))
    assert fleet.gateway.keys_file == "/etc/parlance/keys/keys.yaml"
    for name, cluster in fleet.clusters.items():
        assert cluster.serve_url == f"http://parlance-{name}-serve-svc:8000"


def test_no_fleet_is_the_charts_own(rendered: Callable[..., list[Object]], tmp_path: Path) -> None:
    same(fleet_of(rendered(), tmp_path), load(CHART / "files" / "fleet.yaml"))


@pytest.mark.parametrize("way", ["mapping", "text", "file"])
def test_a_fleet_is_the_same_however_it_is_given(
    rendered: Callable[..., list[Object]], way: str, tmp_path: Path
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(OWN, encoding="utf-8")
    given: dict[str, Any] = {
        "mapping": {"values": {"fleet": yaml.safe_load(OWN)}},
        "text": {"values": {"fleet": OWN}},
        "file": {"args": ["--set-file", f"fleet={file}"]},
    }[way]
    fleet = fleet_of(rendered(**given), tmp_path)
    same(fleet, load(file))
    # A fleet of its own under the file's name beside it: what the chart fills in stands in neither.
    assert fleet.gateway.host == "0.0.0.0"


def test_a_file_takes_the_place_of_a_values_files_whole_fleet(
    rendered: Callable[..., list[Object]], tmp_path: Path
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(OWN, encoding="utf-8")
    objects = rendered(files=[CHART / "values-single-gpu.yaml"], args=["--set-file", f"fleet={file}"])
    same(fleet_of(objects, tmp_path), load(file))


def test_models_change_a_fleet_given_as_a_file(rendered: Callable[..., list[Object]], tmp_path: Path) -> None:
    """By id and by catalogue name; also to false, 0 and null, which templates easily take for nothing."""
    file = tmp_path / "own.yaml"
    file.write_text(OWN, encoding="utf-8")
    changes = {
        "gemma-2-9b-it": {"auto": False, "aliases": [], "engine": {"quantization": "fp8", "replicas": {"initial": 0}}},
        "theirs": {"upstream": {"model": "meta-llama/Llama-3.3-70B-Instruct"}},
    }
    fleet = fleet_of(rendered(values={"models": changes}, args=["--set-file", f"fleet={file}"]), tmp_path)
    gemma, theirs = fleet.models
    assert (gemma.auto, gemma.aliases) == (False, ())
    assert gemma.engine is not None
    assert (gemma.engine.quantization, gemma.engine.replicas.initial, gemma.engine.replicas.max) == ("fp8", 0, 5)
    assert theirs.upstream is not None
    assert theirs.upstream.model == "meta-llama/Llama-3.3-70B-Instruct"
    assert theirs.upstream.api_key_env == "THEIR_KEY"


def test_null_takes_a_field_of_the_fleet_away(rendered: Callable[..., list[Object]], tmp_path: Path) -> None:
    """The command of values-8xH100.yaml for the 70B in bfloat16."""
    model = "models.llama-3\\.3-70b-instruct.engine"
    sets = [f"{model}.tensor_parallel=4", f"{model}.quantization=null", f"{model}.replicas.max=1"]
    fleet = fleet_of(rendered(files=[CHART / "values-8xH100.yaml"], sets=sets), tmp_path)
    engine = fleet.models[0].engine
    assert engine is not None
    assert (engine.tensor_parallel, engine.quantization, engine.replicas.max) == (4, None, 1)


def test_the_model_that_is_off_is_one_line_away(rendered: Callable[..., list[Object]], tmp_path: Path) -> None:
    before = fleet_of(rendered(), tmp_path)
    fleet = fleet_of(rendered(sets=["models.normistral-11b-thinking.enabled=true"]), tmp_path)
    assert {model.id for model in fleet.models} - {model.id for model in before.models} == {"normistral-11b-thinking"}


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_schema_takes_every_example_without_what_the_chart_fills_in(
    rendered: Callable[..., list[Object]], example: Path, tmp_path: Path
) -> None:
    fleet = yaml.safe_load(example.read_text(encoding="utf-8"))
    for name in ("gateway", "clusters"):
        fleet.pop(name, None)
    for name in ("prometheus_url", "host", "port", "state_dir", "kubernetes"):
        fleet.get("autoscaling", {}).pop(name, None)
    got = fleet_of(rendered(values={"fleet": fleet}), tmp_path)
    assert [model.id for model in got.models] == [model.id for model in load(example).models]


MISTAKES = {
    "an unknown key": ("gateway.replica=3", "gateway", "replica"),
    "a wrong type": ("gateway.replicas=three", "gateway/replicas", "integer"),
    "out of range": ("gateway.autoscaling.minReplicas=0", "gateway/autoscaling/minReplicas", "1"),
    "an unknown word": ("gateway.service.type=Public", "gateway/service/type", "LoadBalancer"),
    "no digest": ("images.engine.digest=latest", "images/engine/digest", "sha256"),
    "no quantity": ("engines.weights.size=500GB", "engines/weights/size", "pattern"),
    "a number for a tag": ("images.gateway.tag=1", "images/gateway/tag", "string"),
    "labels of an unknown GPU": ("engines.gpuNodeSelectors.H100.gpu=h100", "engines/gpuNodeSelectors", "H100"),
    "an unknown field of a model's change": ("models.x.engine.replica=2", "models/x/engine", "replica"),
    "an unknown GPU in a model's change": ("models.x.engine.gpu=H100", "models/x/engine/gpu", "H100-SXM-80GB"),
    "a fleet that is a number": ("fleet=3", "fleet", "object"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_helm_names_the_path_of_a_mistake(refused: Callable[..., str], what: str) -> None:
    given, path, said = MISTAKES[what]
    (line,) = told(refused(sets=[given]))
    assert at(line) == path
    assert said in line


def test_helm_names_every_mistake_deep_in_a_fleet(refused: Callable[..., str]) -> None:
    engine = {"gpu": "H100", "tensorParallel": 2, "replicas": {"min": -1}, "max_model_len": "8k"}
    answer = refused(values={"fleet": {"models": [{"use": "gemma-2-9b-it", "engine": engine}]}})
    paths = [at(line) for line in told(answer)]
    above = "fleet/models/0/engine"
    assert sorted(paths) == sorted([above, f"{above}/gpu", f"{above}/replicas/min", f"{above}/max_model_len"])
    assert "anyOf" not in answer, "alternatives: each is a line of its own"


def told(answer: str) -> list[str]:
    """Helm's lines that say something: of 3 and of 4, without those that only lead to the next."""
    lines = [line.strip() for line in answer.splitlines() if line.strip().startswith("- ")]
    return [line for line in lines if not re.search(r'validation failed$|"then" as "if"', line)]


def at(line: str) -> str:
    """The path that a line is about: `- at '/gateway': …`, or `- gateway: …` before Helm 3.18."""
    found = re.match(r"- (?:at '/([^']*)'|([\w.-]+)): ", line)
    assert found, line
    return found[1] if found[1] is not None else found[2].replace(".", "/")


@pytest.mark.parametrize("command", ["lint", "template"])
def test_every_command_of_helm_says_it(helm: Helm, command: str) -> None:
    name = ["parlance"] if command == "template" else []
    answer = helm.run(command, *name, str(CHART), "--set", "gateway.replica=3")
    assert answer.returncode != 0
    assert "replica" in answer.stdout + answer.stderr


def test_the_demonstrations_requests_fit_its_node(rendered: Callable[..., list[Object]]) -> None:
    """2 CPUs and 12 GiB, of which the system's own pods have some; with every replica that its models may have."""
    objects = rendered(files=[CHART / "values-cpu-demo.yaml"])
    cpu = memory = 0.0
    for one in objects:
        if one["kind"] == "Deployment":
            cpu, memory = added(cpu, memory, one["spec"]["template"], one["spec"].get("replicas", 1))
        elif one["kind"] == "RayService":
            cluster = one["spec"]["rayClusterConfig"]
            cpu, memory = added(cpu, memory, cluster["headGroupSpec"]["template"], 1)
            cpu, memory = added(cpu, memory, {"spec": {"containers": [cluster["autoscalerOptions"]]}}, 1)
            for group in cluster["workerGroupSpecs"]:
                cpu, memory = added(cpu, memory, group["template"], group["maxReplicas"])
    assert 0.5 < cpu <= 1.5
    assert 5 < memory <= 9


def added(cpu: float, memory: float, template: Object, pods: int) -> tuple[float, float]:
    """CPUs and GiB with the requests of pods: those of their containers, or of the largest init container."""
    spec = template["spec"]
    mine = [sum(amount(one, name) for one in spec["containers"]) for name in ("cpu", "memory")]
    for one in spec.get("initContainers", []):
        mine = [max(so_far, amount(one, name)) for so_far, name in zip(mine, ("cpu", "memory"), strict=True)]
    return cpu + pods * mine[0], memory + pods * mine[1]


def amount(container: Object, name: str) -> float:
    """A request in CPUs or GiB."""
    text = str(container["resources"]["requests"][name])
    units = {"m": 0.001, "Mi": 1 / 1024, "Gi": 1.0, "": 1.0}
    found = re.fullmatch(r"([\d.]+)(m|Mi|Gi|)", text)
    assert found, text
    return float(found[1]) * units[found[2]]
