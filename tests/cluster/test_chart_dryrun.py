"""What the API server says before anything is made: its own strict validation of every object, CRDs' kinds included,
and the chart's sentence where a CRD is missing."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.api_server import ApiServer, at
from tests.support.cluster import Answer, Cluster, Space
from tests.support.helm import CHART
from tests.support.releases import FILES, Release, prepare

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

NO_SERVER = (
    "NOT TESTED: what the chart says on a cluster without CRDs. There are no etcd and kube-apiserver: `go run "
    "sigs.k8s.io/controller-runtime/tools/setup-envtest@latest use 1.34 -p path` fetches them, name the folder that it "
    "prints in KUBEBUILDER_ASSETS; or run `make test-cluster` where the kit lies beside the checkout"
)
# Everything that can be switched on where its kind is there.
MORE: dict[str, Any] = {
    "monitoring": {part: {"enabled": True} for part in ("monitors", "rules", "dashboards")},
    "gateway": {"ingress": {"enabled": True, "hosts": ["llm.example.org"], "tls": {"existingSecret": "certificate"}}},
    "engines": {"weights": {"kind": "persistentVolumeClaim"}},
}


@pytest.mark.usefixtures("monitored")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_api_server_takes_every_object_strictly(space: Space, file: Path) -> None:
    prepare(space, file)
    before = space.everything().keys()
    objects = Release(space).rendered("--values", str(file))
    assert space.apply(*objects, dry_run=True).warnings == []
    assert space.everything().keys() == before


@pytest.mark.usefixtures("monitored")
def test_the_api_server_takes_all_that_can_be_switched_on(space: Space) -> None:
    objects = Release(space).rendered(values=MORE)
    kinds = {one["kind"] for one in objects}
    assert {"Ingress", "PodMonitor", "PrometheusRule", "PersistentVolumeClaim", "RayService"} <= kinds
    assert space.apply(*objects, dry_run=True).warnings == []
    dry = Release(space).try_helm("install", "--dry-run=server", "--hide-secret", values=MORE)
    assert (dry.status, dry.warnings) == (0, [])


def test_an_unknown_field_or_a_wrong_type_would_be_refused(space: Space) -> None:
    """The tests above can fail: in the RayService's own pods, in a Deployment, in a NetworkPolicy."""
    objects = {one["kind"]: one for one in Release(space).rendered()}
    ray = deepcopy(objects["RayService"])
    ray["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0]["imagePolicy"] = "Always"
    deployment = deepcopy(objects["Deployment"])
    deployment["spec"]["template"]["spec"]["containers"][0]["envs"] = []
    policy = deepcopy(objects["NetworkPolicy"])
    policy["spec"]["policyTypes"] = ["Inward"]
    for broken, words in ((ray, "imagePolicy"), (deployment, "envs"), (policy, "Inward")):
        answer = space.try_kubectl(
            "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump(broken)
        )
        assert answer.status != 0
        assert words in answer.err


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Cluster]:
    """A real API server without a CRD. `cluster`: these tests run where a cluster's do."""
    programs = at()
    if programs is None:
        pytest.skip(NO_SERVER)
    server = ApiServer(programs, tmp_path_factory.mktemp("api-server"))
    yield Cluster(server.kubeconfig, tmp_path_factory.mktemp("bare"))
    server.stop()


def install(bare: Cluster, values: dict[str, Any], folder: Path) -> Answer:
    """What helm says of an install there."""
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return bare.run("helm", "install", "parlance", str(CHART), "-n", "default", "--values", str(path))


ELSEWHERE = {"fleet": {"clusters": {"main": {"serve_url": "http://ray.example.org:8000"}}, "models": [
    {"use": "eurollm-9b-instruct", "engine": {"gpu": "H100-SXM-80GB"}}]}}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "kind", "remedy"),
    [
        ({}, "ray.io/v1", "helm install kuberay-operator"),
        (
            {**ELSEWHERE, "monitoring": {"monitors": {"enabled": True}}},
            "monitoring.coreos.com/v1",
            "monitoring.monitors",
        ),
        ({**ELSEWHERE, "monitoring": {"rules": {"enabled": True}}}, "monitoring.coreos.com/v1", "monitoring.rules"),
        (
            {**ELSEWHERE, "gateway": {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}}},
            "gateway.networking.k8s.io/v1",
            "gateway.httpRoute",
        ),
    ],
    ids=["kuberay", "monitors", "rules", "gateway-api"],
)
def test_a_missing_crd_is_told_by_a_sentence(
    bare: Cluster, tmp_path: Path, values: dict[str, Any], kind: str, remedy: str
) -> None:
    answer = install(bare, values, tmp_path)
    assert answer.status != 0
    assert "no matches for kind" not in answer.err, "helm's own words came first"
    assert kind in answer.err
    assert remedy in answer.err
    assert "nil pointer" not in answer.err
    assert bare.get("-n", "default", "secrets,deployments") == []


def test_without_engines_of_its_own_a_release_needs_no_crd(bare: Cluster, tmp_path: Path) -> None:
    answer = install(bare, ELSEWHERE, tmp_path)
    assert (answer.status, answer.warnings) == (0, []), answer.err
    bare.kubectl("-n", "default", "rollout", "status", "deployment/parlance-gateway", "--watch=false")
