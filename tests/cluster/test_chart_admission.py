"""All pods of the chart pass restricted Pod Security as the API server enforces it: those that Deployments make, those
that KubeRay's operator makes of the RayServices, init containers and sidecars included, and the one of `helm test`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.cluster import Object, Space
from tests.support.releases import Release, Standing

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

REFUSALS = ("FailedCreate", "FailedToCreateHeadPod", "FailedToCreateWorkerPod", "FailedToCreatePod")


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
