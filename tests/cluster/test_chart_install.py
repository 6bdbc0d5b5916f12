"""How the chart gets onto a cluster: by GitOps, which applies and applies again; and by whoever may do it in one
namespace (`helm install` of every values file: test_chart_standing.py)."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from serve.chart.render import CHART
from tests.support.cluster import Object, Space
from tests.support.releases import PLAYED, UNLIKE, Release, prepare, written

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.mark.parametrize("file", UNLIKE, ids=lambda file: file.stem)
def test_gitops_applies_twice_and_nothing_is_written_the_second_time(space: Space, file: Path) -> None:
    """What `helm template` gives with the cluster's kinds, applied server-side, as Argo CD and Flux do."""
    prepare(space, file)
    release = Release(space)
    objects = release.rendered("--values", str(file), values=PLAYED)
    space.server_side(*objects, manager="gitops")
    first = release.live_of(objects)
    assert space.server_side(*objects, manager="gitops").warnings == []
    assert written(first, release.live_of(objects)) == set()


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
