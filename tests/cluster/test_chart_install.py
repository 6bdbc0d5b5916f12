"""`helm install` of every values file on a real API server: taken without a warning, the same when applied again, by
whoever may do it in one namespace, and beside other releases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from serve.chart.render import CHART
from tests.support.cluster import Object, Space
from tests.support.releases import FILES, PLAYED, Release, Standing, prepare, written

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

# Helm takes so many characters.
LONGEST = 53


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


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_gitops_applies_twice_and_nothing_is_written_the_second_time(space: Space, file: Path) -> None:
    """What `helm template` gives with the cluster's kinds, applied server-side, as Argo CD and Flux do."""
    prepare(space, file)
    release = Release(space)
    objects = release.rendered("--values", str(file), values=PLAYED)
    space.server_side(*objects, manager="gitops")
    first = release.live_of(objects)
    assert space.server_side(*objects, manager="gitops").warnings == []
    assert written(first, release.live_of(objects)) == set()


def test_objects_are_of_the_release_s_namespace_alone(standing: Standing) -> None:
    space, manifest = standing.release.space, standing.release.manifest()
    wide = set(space.cluster.kubectl("api-resources", "--namespaced=false", "--no-headers", "-o", "wide").out.split())
    assert {"Namespace", "ClusterRole", "CustomResourceDefinition"} <= wide
    assert not {one["kind"] for one in manifest} & wide
    assert {one["metadata"].get("namespace") for one in manifest} == {space.name}


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


def test_whoever_holds_the_documented_role_in_one_namespace_installs_upgrades_and_uninstalls(space: Space) -> None:
    user = "deployer"
    role, binding = installing(space.name)
    binding["subjects"] = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}]
    admin = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "admin"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": binding["subjects"],
    }
    release = Release(space, user=user)
    assert "is forbidden" in release.try_helm("install", values=PLAYED).err
    space.apply(admin)
    refused = release.try_helm("install", values=PLAYED)
    assert refused.status != 0, "`admin` is enough: the Role of the page is not needed"
    assert "forbidden" in refused.err
    space.apply(role, binding)
    everything = {**PLAYED, "monitoring": {part: {"enabled": True} for part in ("monitors", "rules", "dashboards")}}
    assert release.install(values=everything).warnings == []
    release.upgrade(values={**everything, "gateway": {**PLAYED["gateway"], "preStopSeconds": 11}})
    release.rollback(1)
    release.uninstall()
    may = ("auth", "can-i", "--as", user)
    for verb, what in (("get", "nodes"), ("create", "namespaces"), ("list", "customresourcedefinitions")):
        assert space.try_kubectl(*may, verb, what).out.strip() == "no"
    assert space.cluster.run("kubectl", "-n", "default", *may, "create", "deployments").out.strip() == "no"


def installing(namespace: str) -> tuple[Object, Object]:
    """The Role that docs/kubernetes.md gives to whoever installs, beside `admin`, and its binding; for a namespace."""
    page = (CHART.parents[2] / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    (block,) = [text.split("```")[0] for text in page.split("```yaml\n") if "name: parlance-installer" in text]
    role, binding = yaml.safe_load_all(block)
    role["metadata"]["namespace"] = binding["metadata"]["namespace"] = namespace
    return role, binding
