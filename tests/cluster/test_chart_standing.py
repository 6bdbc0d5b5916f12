"""What stands after `helm install` of every values file: objects taken without a warning, all pods admitted by
restricted Pod Security, and a pod a replica with all of its GPUs, as KubeRay's operator makes them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.cluster import Object, Space
from tests.support.releases import Release, Standing, ray_pods, written

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

REFUSALS = ("FailedCreate", "FailedToCreateHeadPod", "FailedToCreateWorkerPod", "FailedToCreatePod")
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


def wanted(objects: dict[str, Object]) -> Iterator[tuple[dict[str, str], int]]:
    """Labels of the pods that must appear, and how many."""
    for one in objects.values():
        if one["kind"] == "Deployment":
            yield one["spec"]["selector"]["matchLabels"], one["spec"]["replicas"]
        if one["kind"] == "RayService":
            of = {"parlance.dev/cluster": one["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["metadata"][
                "labels"]["parlance.dev/cluster"]}  # fmt: skip
            yield {**of, "ray.io/node-type": "head"}, 1
            for group in one["spec"]["rayClusterConfig"]["workerGroupSpecs"]:
                yield {**of, "ray.io/group": group["groupName"]}, group["replicas"]


def lacking(space: Space, objects: dict[str, Object]) -> list[str]:
    """What of the wanted pods is not there."""
    pods = [pod["metadata"]["labels"].items() for pod in space.get("pods")]
    there = {str(labels): sum(labels.items() <= pod for pod in pods) for labels, _ in wanted(objects)}
    return [f"{labels}: {there[str(labels)]} of {n}" for labels, n in wanted(objects) if there[str(labels)] < n]


def test_every_values_file_is_taken_without_a_warning(standing: Standing) -> None:
    """By strict validation too. What helm wrote is what the chart says: applied once more, it changes nothing."""
    assert standing.installed.warnings == []
    release, manifest = standing.release, standing.release.manifest()
    objects = release.live()
    assert len(objects) == len(manifest) >= 10
    assert {one["kind"] for one in manifest} >= {
        "RayService",
        "Deployment",
        "Service",
        "ServiceAccount",
        "NetworkPolicy",
    }
    assert release.space.server_side(*release.applied(), manager="helm").warnings == []
    assert written(objects, release.live()) == set()


def test_objects_are_of_the_release_s_namespace_alone(standing: Standing) -> None:
    space, manifest = standing.release.space, standing.release.manifest()
    wide = set(space.cluster.kubectl("api-resources", "--namespaced=false", "--no-headers", "-o", "wide").out.split())
    assert {"Namespace", "ClusterRole", "CustomResourceDefinition"} <= wide
    assert not {one["kind"] for one in manifest} & wide
    assert {one["metadata"].get("namespace") for one in manifest} == {space.name}


@pytest.mark.usefixtures("operator")
def test_every_pod_of_every_values_file_is_admitted(standing: Standing) -> None:
    space, objects = standing.release.space, standing.release.live()
    assert sum(number for _, number in wanted(objects)) >= 3
    space.until("all pods", lambda: not lacking(space, objects), on_failure=lambda: str(lacking(space, objects)))
    assert space.events(*REFUSALS) == []
    # What KubeRay adds to the chart's pods was among them.
    pods = space.get("pods", "-l", "ray.io/node-type")
    assert any(c["name"] == "autoscaler" for pod in pods for c in pod["spec"]["containers"])
    assert any(c["name"] == "wait-gcs-ready" for pod in pods for c in pod["spec"].get("initContainers", ()))


def test_the_pod_of_helm_test_is_admitted(standing: Standing) -> None:
    hooks = standing.release.hooks()
    assert [one["kind"] for one in hooks].count("Pod") == 1
    assert standing.release.space.apply(*hooks, dry_run=True).warnings == []


def test_what_is_not_restricted_would_be_seen(space: Space, tmp_path: Path) -> None:
    """The tests above can fail: a chart whose pods run as anybody is warned of, and its pods do not come."""
    pod = {"containers": [{"name": "any", "image": "any"}]}
    labels = {"app": "any"}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "any"}, "spec": spec}
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "any.yaml").write_text(yaml.safe_dump(deployment))
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "any", "version": "1.0.0"}))
    release = Release(space, "any", tmp_path)
    assert any("would violate PodSecurity" in line for line in release.install().warnings)
    assert "violates PodSecurity" in space.until("its pod is refused", lambda: space.events(*REFUSALS))[0]
    assert lacking(space, release.live())


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
