"""RayServices as Helm renders them: engines and environment of the fleet's own functions, GPUs, drains, secrets."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve.engines.application import EngineArgs
from serve.engines.config import models_of, serve_config
from serve.engines.described import IMPORT_PATH, Described, arguments, loaded
from serve.engines.environment import drain_s, ray_environment
from serve.fleet.loader import LAPTOP
from tests.support.helm import Object
from tests.support.ray_objects import applications, environment, fleet_of, groups, only, pods, services

pytestmark = pytest.mark.integration

Rendered = Callable[..., list[Object]]
EXAMPLES = sorted(LAPTOP.parent.glob("*.yaml"))
LLAMA = "llama-3.3-70b-instruct"
DRAIN = "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"


def described(path: Path) -> dict[str, Any]:
    """An example fleet as values: what the chart fills in is left out, one cluster of its own."""
    fleet = yaml.safe_load(path.read_text(encoding="utf-8"))
    for filled in ("gateway", "clusters"):
        fleet.pop(filled, None)
    return {"fleet": fleet}


def holds(objects: list[Object]) -> None:
    """Serve's configuration of every cluster is that of the local stack, but for the builder and the pod's resource."""
    fleet = fleet_of(objects)
    found = services(objects)
    assert found
    for cluster, service in found.items():
        written = yaml.safe_load(service["spec"]["serveConfigV2"])
        local = serve_config(fleet, cluster, resolve=loaded)
        for ours, theirs in zip(written["applications"], local["applications"], strict=True):
            args = Described.model_validate(ours.pop("args"))
            assert ours.pop("import_path") == IMPORT_PATH
            theirs.pop("import_path")
            wanted = EngineArgs.model_validate(theirs.pop("args"))
            assert arguments(args) == wanted.model_copy(update={"resources": {args.resource: 1.0}})
        assert written == local


def test_engines_are_those_of_the_local_stack(objects: list[Object]) -> None:
    holds(objects)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_fleets_are_those_of_the_local_stack(rendered: Rendered, path: Path) -> None:
    holds(rendered(values=described(path)))


def test_an_own_model_with_a_tiny_card_is_complete(rendered: Rendered) -> None:
    card = yaml.safe_load((LAPTOP.parents[1] / "catalogue/models/gemma-2-9b-it.yaml").read_text(encoding="utf-8"))
    engine = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 1 << 26}
    fleet = {"models": [{"id": "own", "card": card, "engine": engine}]}
    objects = rendered(values={"fleet": fleet})
    holds(objects)
    kept = applications(only(objects))["own"]["args"]["model"]["card"]
    assert not {"title", "licence", "price", "quality", "notes", "sources"} & set(kept)


def test_the_environment_is_that_of_the_fleet_on_every_node(objects: list[Object]) -> None:
    fleet = fleet_of(objects)
    for cluster, service in services(objects).items():
        wanted = ray_environment(models_of(fleet, cluster))
        said = [environment(template) for _, template in pods(service)]
        for one in (wanted, *said):
            del one[DRAIN]  # of workers only
        assert all(one == said[0] for one in said), "HAProxy works only where all nodes agree"
        own = {"RAY_SERVE_HAPROXY_MAXCONN"}  # a values file may know of a node's descriptors
        assert {name: said[0][name] for name in wanted if name not in own} == {
            name: value for name, value in wanted.items() if name not in own
        }


def test_own_environment_goes_before_the_charts(rendered: Rendered) -> None:
    env = [{"name": "RAY_SERVE_HAPROXY_NBTHREAD", "value": "8"}, {"name": "A", "value": "b"}]
    for _, template in pods(only(rendered(values={"engines": {"env": env}}))):
        said = environment(template)
        assert (said["RAY_SERVE_HAPROXY_NBTHREAD"], said["A"]) == ("8", "b")


def test_a_pod_has_the_gpus_of_one_replica(objects: list[Object]) -> None:
    fleet = fleet_of(objects)
    for cluster, service in services(objects).items():
        found = groups(service)
        models = models_of(fleet, cluster)
        assert list(found) == [model.id.replace(".", "-").replace("_", "-") for model in models]
        for model, group in zip(models, found.values(), strict=True):
            assert model.engine is not None
            gpus = model.engine.workers if model.engine.device == "gpu" else 0
            resources = group["template"]["spec"]["containers"][0]["resources"]
            for kind in ("requests", "limits"):
                assert resources.get(kind, {}).get("nvidia.com/gpu", 0) == gpus
            assert group["numOfHosts"] == 1, "tensor parallel stays on one node"
            assert (group["minReplicas"], group["replicas"]) == (
                model.engine.replicas.min, model.engine.replicas.initial,
            )  # fmt: skip
            assert group["maxReplicas"] == model.engine.replicas.max * (2 if model.engine.surge else 1)
            ray = group["rayStartParams"]
            assert int(ray["num-gpus"]) == gpus
            assert int(ray["num-cpus"]) >= model.engine.cpus_per_replica
            assert ray["resources"] == f'"{{\\"{group["groupName"]}\\": 1}}"'


def test_ray_reads_the_resources_of_a_group_without_pods(default: list[Object]) -> None:
    """kuberay#863: Ray's autoscaler, from the group's description alone."""
    autoscaling = pytest.importorskip("ray.autoscaler._private.kuberay.autoscaling_config")
    service = only(default)
    for name, args in applications(service).items():
        group = groups(service)[args["args"]["resource"]]
        told = autoscaling._get_ray_resources_from_group_spec(group, False)
        built = arguments(Described.model_validate(args["args"]))
        bundle = {"CPU": built.cpus, **built.resources} | ({"GPU": built.gpus} if built.gpus else {})
        assert all(told.get(resource, 0) >= amount for resource, amount in bundle.items()), name


def test_the_head_has_no_work(objects: list[Object]) -> None:
    for service in services(objects).values():
        head = service["spec"]["rayClusterConfig"]["headGroupSpec"]
        assert (head["rayStartParams"]["num-cpus"], head["rayStartParams"]["num-gpus"]) == ("0", "0")
        assert service["spec"]["excludeHeadPodFromServeSvc"] is True
        resources = head["template"]["spec"]["containers"][0]["resources"]
        assert not any("gpu" in name for kind in resources.values() for name in kind)


def test_nothing_ends_before_its_longest_stream(objects: list[Object]) -> None:
    fleet = fleet_of(objects)
    for cluster, service in services(objects).items():
        longest = max(drain_s(model) for model in models_of(fleet, cluster))
        assert service["spec"]["rayClusterDeletionDelaySeconds"] >= longest
        found = groups(service)
        for model in models_of(fleet, cluster):
            group = found[model.id.replace(".", "-").replace("_", "-")]
            assert group["template"]["spec"]["terminationGracePeriodSeconds"] >= drain_s(model)


def test_a_worker_that_is_told_to_go_drains_first_and_has_the_time(objects: list[Object]) -> None:
    """As long as any stream of its cluster: its HAProxy may carry it."""
    fleet = fleet_of(objects)
    for cluster, service in services(objects).items():
        drains = [drain_s(model) for model in models_of(fleet, cluster)]
        assert environment(service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"])[DRAIN] == "0"
        for group in groups(service).values():
            worker = group["template"]
            assert float(environment(worker)[DRAIN]) == max(drains)
            assert worker["spec"]["terminationGracePeriodSeconds"] >= max(drains) + 30


def test_upgrades_take_no_second_cluster_unless_asked_for(rendered: Rendered, default: list[Object]) -> None:
    assert only(default)["spec"]["upgradeStrategy"] == {"type": "None"}
    asked = rendered(sets=["engines.upgrade=NewCluster"])
    assert only(asked)["spec"]["upgradeStrategy"] == {"type": "NewCluster"}


def test_ray_asks_for_a_token_and_scales_itself(objects: list[Object]) -> None:
    for service in services(objects).values():
        config = service["spec"]["rayClusterConfig"]
        assert config["authOptions"]["mode"] == "token"
        assert config["enableInTreeAutoscaling"] is True
        assert config["autoscalerOptions"]["version"] == "v2"


CHANGES = {
    "price": {"models": {LLAMA: {"price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}}}},
    "card-price": {"models": {LLAMA: {"card": {"price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}}}}},
    "aliases": {"models": {LLAMA: {"aliases": ["other"]}}},
    "auto": {"models": {LLAMA: {"auto": False}}},
    "quality": {"models": {LLAMA: {"card": {"quality": {"nb": {"delta": -1}}}}}},
    "gpu-price": {"models": {LLAMA: {"engine": {"usd_per_gpu_hour": 1}}}},
    "policy": {"gateway": {"podAnnotations": {"a": "b"}}},
    "token-secret-of-monitoring": {"monitoring": {"rules": {"enabled": True}}},
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_engines_do_not_depend_on_leaves_the_rayservice_alone(
    rendered: Rendered, default: list[Object], name: str
) -> None:
    changed = rendered(values=copy.deepcopy(CHANGES[name]))
    assert only(changed) == only(default)
    if name != "token-secret-of-monitoring":
        assert changed != default, "the values do change something"


def test_bounds_and_queues_change_deployments_and_no_engine(rendered: Rendered, default: list[Object]) -> None:
    engine = {"max_ongoing_requests": 64, "replicas": {"initial": 1, "min": 1, "max": 3}}
    changed = only(rendered(values={"models": {LLAMA: {"engine": engine}}}))
    before, after = applications(only(default))[LLAMA], applications(changed)[LLAMA]
    assert before["args"] == after["args"]
    assert after["deployments"][0]["max_ongoing_requests"] == 64
    old, new = (copy.deepcopy(one["spec"]["rayClusterConfig"]) for one in (only(default), changed))
    for group in [*old["workerGroupSpecs"], *new["workerGroupSpecs"]]:
        del group["maxReplicas"]  # KubeRay compares clusters without these
    assert old == new


def test_a_change_of_shape_restarts_its_engine_and_no_other(rendered: Rendered, default: list[Object]) -> None:
    shape = {"tensor_parallel": 2, "quantization": "fp8"}
    changed = only(rendered(values={"models": {LLAMA: {"engine": shape}}}))
    before, after = applications(only(default)), applications(changed)
    assert {name for name in before if before[name] != after[name]} == {LLAMA}
    assert arguments(Described.model_validate(after[LLAMA]["args"])).gpus == 2
    (group, *others), (old, *before_them) = (list(groups(one).values()) for one in (changed, only(default)))
    assert group["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert group != old
    assert others == before_them


def test_a_model_that_is_turned_on_leaves_those_before_it_alone(rendered: Rendered, default: list[Object]) -> None:
    """KubeRay takes a group at the end into the running cluster; anywhere else it would be another cluster."""
    changed = only(rendered(sets=["models.normistral-11b-thinking.enabled=true"]))
    before, after = list(groups(only(default)).values()), list(groups(changed).values())
    assert after[:-1] == before
    assert after[-1]["groupName"] == "normistral-11b-thinking"


def test_a_head_that_restarts_finds_its_cluster_in_redis(rendered: Rendered, default: list[Object]) -> None:
    assert "gcsFaultToleranceOptions" not in only(default)["spec"]["rayClusterConfig"]
    redis = {"enabled": True, "address": "redis://redis:6379", "username": "ray", "password": {"existingSecret": "r"}}
    options = only(rendered(values={"engines": {"faultTolerance": redis}}))["spec"]["rayClusterConfig"]
    assert options["gcsFaultToleranceOptions"] == {
        "redisAddress": "redis://redis:6379",
        "redisUsername": {"value": "ray"},
        "redisPassword": {"valueFrom": {"secretKeyRef": {"name": "r", "key": "password"}}},
    }


def test_without_engines_nothing_of_ray_is_made(rendered: Rendered) -> None:
    upstream = {"base_url": "https://api.example.com/openai", "api_key_env": "KEY"}
    objects = rendered(values={"fleet": {"models": [{"use": LLAMA, "upstream": upstream}]}})
    assert not services(objects)
    assert not [one for one in objects if one["metadata"]["name"] == "parlance-engines"]


def test_every_cluster_of_the_fleet_has_its_rayservice(rendered: Rendered) -> None:
    engine = {"gpu": "H100-SXM-80GB"}
    fleet = {
        "clusters": {"a": {}, "b": {}, "others": {"serve_url": "http://elsewhere:8000"}},
        "models": [
            {"use": "gemma-2-9b-it", "cluster": "a", "engine": {**engine, "max_stream_s": 600}},
            {"use": "eurollm-9b-instruct", "cluster": "b", "engine": engine},
            {"use": "suzume-llama-3-8b-multilingual", "cluster": "others", "engine": engine},
        ],
    }
    objects = rendered(values={"fleet": fleet})
    holds(objects)
    found = services(objects)
    assert {name: list(applications(one)) for name, one in found.items()} == {
        "a": ["gemma-2-9b-it"],
        "b": ["eurollm-9b-instruct"],
    }
    assert [one["spec"]["rayClusterDeletionDelaySeconds"] for one in found.values()] == [630, 3630]
    assert {t["metadata"]["labels"]["parlance.dev/cluster"] for _, t in pods(found["a"])} == {"a"}
