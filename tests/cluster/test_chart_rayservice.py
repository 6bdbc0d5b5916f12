"""What KubeRay's operator makes of the chart's RayServices: a head without GPUs, a pod a replica with all of its GPUs;
and what an upgrade writes into them from the cluster: the autoscaler's last word on replicas."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import yaml

from tests.support.cluster import Object, Space
from tests.support.helm import named
from tests.support.releases import PLAYED, Release, Standing

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

LLAMA, SUZUME, GEMMA = "llama-3.3-70b-instruct", "suzume-llama-3-8b-multilingual", "gemma-2-9b-it"
# GPUs of each pod by values file, head first: the fleet's shapes, written down by hand.
GPUS = {
    "values": {0: 1, 4: 1, 1: 3},
    "values-single-gpu": {0: 1, 1: 1},
    "values-cpu-demo": {0: 3},
}


def gpus(pod: Object) -> int:
    """What the pod asks of a node's GPUs, in all containers; requests and limits are equal."""
    told = [one["resources"] for one in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]]
    requests = [int(one.get("requests", {}).get("nvidia.com/gpu", 0)) for one in told]
    assert requests == [int(one.get("limits", {}).get("nvidia.com/gpu", 0)) for one in told]
    return sum(requests)


def service_of(objects: list[Object]) -> Object:
    return named(objects, "RayService", "parlance-main")


def ray_pods(space: Space) -> list[Object]:
    return list(space.get("pods", "-l", "ray.io/node-type"))


@pytest.mark.usefixtures("operator")
def test_a_pod_has_the_gpus_of_its_replica(standing: Standing) -> None:
    space, objects = standing.release.space, list(standing.release.live().values())
    for service in (one for one in objects if one["kind"] == "RayService"):
        config = service["spec"]["rayClusterConfig"]
        wanted = Counter({0: 1})
        for group in config["workerGroupSpecs"]:
            wanted[int(group["rayStartParams"]["num-gpus"])] += group["replicas"]
        cluster = config["headGroupSpec"]["template"]["metadata"]["labels"]["parlance.dev/cluster"]

        def found(cluster: str = cluster) -> Counter[int]:
            pods = space.get("pods", "-l", f"ray.io/node-type,parlance.dev/cluster={cluster}")
            return Counter(gpus(pod) for pod in pods)

        space.until(f"pods with {dict(wanted)} GPUs", lambda: found() == wanted, on_failure=lambda: str(found()))  # noqa: B023
        if (expected := GPUS.get(standing.file.stem)) is not None:
            assert wanted == Counter(expected)


@pytest.mark.usefixtures("operator")
def test_what_kuberay_adds_is_what_the_chart_counts_on(standing: Standing) -> None:
    """Labels by which pods are selected, the token, Ray's own word on resources, and accounts."""
    space = standing.release.space
    pods = space.until("Ray's pods", lambda: ray_pods(space))
    for pod in pods:
        labels = pod["metadata"]["labels"]
        assert labels["app.kubernetes.io/component"] == "engines"
        assert labels["app.kubernetes.io/instance"] == "parlance"
        container = pod["spec"]["containers"][0]
        environment = {one["name"] for one in container["env"]}
        assert {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} <= environment
        if labels["ray.io/node-type"] == "worker":
            assert pod["spec"]["serviceAccountName"] == "parlance-engines"
            assert not any("serviceAccountToken" in json.dumps(volume) for volume in pod["spec"]["volumes"])
            # As Ray reads it, after the shell has: a resource named like the group.
            assert f'--resources="{{\\"{labels["ray.io/group"]}\\": 1}}"' in " ".join(container["args"])
        # KubeRay's own volume for shared memory would go beside the chart's.
        mounts = [one["mountPath"] for one in container["volumeMounts"]]
        assert len(mounts) == len(set(mounts))


def history(space: Space, targets: Any) -> Object:
    """What the autoscaler keeps, as far as the chart reads it, in the release's object."""
    owner = {"meta.helm.sh/release-name": "parlance", "meta.helm.sh/release-namespace": space.name}
    labels = {"app.kubernetes.io/managed-by": "Helm"}
    meta = {"name": "parlance-autoscaler-history", "labels": labels, "annotations": owner}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"targets": targets}}


def replicas(objects: list[Object]) -> dict[str, tuple[int, int]]:
    """By model Serve's number and the pods of its group."""
    spec = service_of(objects)["spec"]
    groups = {one["groupName"]: one["replicas"] for one in spec["rayClusterConfig"]["workerGroupSpecs"]}
    found = yaml.safe_load(spec["serveConfigV2"])["applications"]
    return {one["name"]: (one["deployments"][0]["num_replicas"], groups[one["args"]["resource"]]) for one in found}


BOUNDS = {"engine": {"replicas": {"initial": 2, "min": 0, "max": 4}}}
VALUES = {**PLAYED, "models": {SUZUME: BOUNDS, GEMMA: BOUNDS}}


def test_an_upgrade_keeps_what_the_autoscaler_asked_for(space: Space) -> None:
    release = Release(space)
    before = replicas(release.rendered(values=VALUES))
    assert (before[SUZUME], before[GEMMA], before[LLAMA]) == ((2, 2), (2, 2), (1, 1))
    space.apply(history(space, json.dumps({SUZUME: 3, GEMMA: 9, LLAMA: 0, "gone": 5})))
    after = replicas(release.rendered(values=VALUES))
    assert after[SUZUME] == (3, 3)
    assert after[GEMMA] == (4, 4), "no more than the fleet's max"
    assert after[LLAMA] == (1, 1), "no fewer than its min"
    assert after["eurollm-9b-instruct"] == before["eurollm-9b-instruct"], "nothing is known of it"


def test_a_model_that_sleeps_has_no_pod_and_the_least_that_serve_takes(space: Space) -> None:
    space.apply(history(space, json.dumps({SUZUME: 0})))
    assert replicas(Release(space).rendered(values=VALUES))[SUZUME] == (1, 0)


@pytest.mark.parametrize("targets", ["", "{}", "[]", "no JSON", '{"suzume-llama-3-8b-multilingual": "3"}'])
def test_targets_that_cannot_be_read_are_none(space: Space, targets: str) -> None:
    space.apply(history(space, targets))
    assert replicas(Release(space).rendered(values=VALUES))[SUZUME] == (2, 2)


def test_without_the_autoscaler_its_last_word_is_not_heard(space: Space) -> None:
    space.apply(history(space, json.dumps({SUZUME: 3})))
    off = {**VALUES, "autoscaler": {"enabled": False}}
    assert replicas(Release(space).rendered(values=off))[SUZUME] == (2, 2)


@pytest.mark.usefixtures("operator")
def test_a_model_at_the_end_joins_the_running_cluster(space: Space) -> None:
    """Without a second cluster, and without its GPUs: KubeRay adds the group to the one that is there."""
    release = Release(space)
    release.install(values=PLAYED)
    name = space.until("a Ray cluster", lambda: space.names("rayclusters.ray.io"))
    space.until("its pods", lambda: len(ray_pods(space)) == 5)
    more = {**PLAYED, "models": {"normistral-11b-thinking": {"enabled": True}}}
    release.upgrade(values=more)
    space.until("the pod of the new group", lambda: len(ray_pods(space)) == 6)
    assert space.names("rayclusters.ray.io") == name
    groups = Counter(pod["metadata"]["labels"]["ray.io/group"] for pod in ray_pods(space))
    assert groups["normistral-11b-thinking"] == 1
