"""Releases beside each other: in one namespace, under one name in two, under the longest names that Helm takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.cluster import Object, Space
from tests.support.releases import PLAYED, Release, written

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

# Helm takes so many characters.
LONGEST = 53


def test_two_releases_in_a_namespace_and_one_name_in_two_do_not_meet(spaces: Callable[[], Space]) -> None:
    here, there = spaces(), spaces()
    one, two, same = Release(here, "one"), Release(here, "two"), Release(there, "one")
    for release in (one, two, same):
        release.install(values=PLAYED)
    assert not one.live().keys() & two.live().keys()
    assert one.live().keys() == same.live().keys()
    for workload, labels in selected(one.live()):
        others = [pod for _, pod in templates(two.live()) if labels.items() <= pod.items()]
        assert others == [], f"{workload} of one release selects pods of the other"
    beside, elsewhere = two.live(), same.live()
    one.upgrade(values={**PLAYED, "commonLabels": {"team": "a"}})
    assert written(beside, two.live()) == written(elsewhere, same.live()) == set()
    one.uninstall()
    assert written(beside, two.live()) == written(elsewhere, same.live()) == set()


def selected(objects: dict[str, Object]) -> list[tuple[str, dict[str, str]]]:
    """Objects that select pods, with the labels by which they do."""
    found = []
    for key, one in objects.items():
        spec = one.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector")) or {}
        labels = selector.get("matchLabels", {}) if one["kind"] != "Service" else selector
        if one["kind"] in ("Service", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "PodMonitor"):
            assert labels.get("app.kubernetes.io/instance"), f"{key} selects pods of every release"
            found.append((key, labels))
    assert len(found) >= 8
    return found


def templates(objects: dict[str, Object]) -> list[tuple[str, dict[str, str]]]:
    """Labels of the pods that objects make."""
    found = []
    for key, one in objects.items():
        if one["kind"] == "Deployment":
            found.append((key, one["spec"]["template"]["metadata"]["labels"]))
        if one["kind"] == "RayService":
            ray = one["spec"]["rayClusterConfig"]
            groups = (ray["headGroupSpec"], *ray["workerGroupSpecs"])
            found += [(key, group["template"]["metadata"]["labels"]) for group in groups]
    assert len(found) >= 5
    return found


@pytest.mark.usefixtures("operator")
def test_the_longest_release_names_work_and_do_not_meet(space: Space) -> None:
    """KubeRay adds to the RayService's name; two long names differ in their last character only."""
    common = "a-release-whose-name-somebody-made-as-long-as-helm-t"
    one, two = (Release(space, f"{common}{end}") for end in "12")
    assert len(one.name) == LONGEST
    for release in (one, two):
        assert release.install(values=PLAYED).warnings == []
        (service,) = [key.partition("/")[2] for key in release.live() if key.startswith("RayService/")]
        clusters = ("rayclusters", "-l", f"ray.io/originated-from-cr-name={service}")
        space.until("KubeRay's cluster", lambda where=clusters: space.names(*where))
        head = ("pods", "-l", f"ray.io/node-type=head,app.kubernetes.io/instance={release.name}")
        space.until("its head", lambda where=head: space.names(*where))
    assert not one.live().keys() & two.live().keys()
    assert space.events("InvalidRayServiceMetadata", "InvalidRayServiceSpec", "InvalidRayClusterMetadata") == []
