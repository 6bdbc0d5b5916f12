"""What an upgrade writes into a RayService from the cluster, the autoscaler's last word on replicas; and a new model,
which joins the running one."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import yaml

from tests.support.cluster import Object, Space
from tests.support.helm import named
from tests.support.releases import PLAYED, Release, ray_pods

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

LLAMA, SUZUME, GEMMA = "llama-3.3-70b-instruct", "suzume-llama-3-8b-multilingual", "gemma-2-9b-it"


def service_of(objects: list[Object]) -> Object:
    return named(objects, "RayService", "parlance-main")


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
