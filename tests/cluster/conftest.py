"""The cluster of these tests: the one that PARLANCE_TEST_KUBECONFIG names, else they are skipped, and say what for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, Space
from tests.support.kubernetes import Namespace
from tests.support.programs import ADVICE, program
from tests.support.releases import FILES, PLAYED, Release, Standing, prepare

MISSED = (
    "NOT TESTED: the chart, leader election, history, permissions and events on a real API server. "
    "Run `make test-cluster`: it brings a cluster up where the kit lies beside the checkout, and else says what to "
    "install; or set PARLANCE_TEST_KUBECONFIG to the kubeconfig of a throw-away cluster (`kind create cluster`, `k3s "
    "server` or `minikube start`; docs/kubernetes.md)"
)
MISSED_OPERATOR = (
    "NOT TESTED: {}. The cluster lacks {}: `make cluster-up` brings one with it; on another, run the commands of "
    "docs/kubernetes.md, section Tests"
)
MISSED_KUBERAY = (
    "NOT TESTED: the autoscaler against KubeRay's operator and a real Ray. `make test-cluster-full` does. Elsewhere, "
    "set PARLANCE_TEST_KUBERAY=1 for a cluster with the operator, which has the image rayproject/ray:2.60.0 and pods "
    "that this machine reaches"
)
OPERATOR = "app.kubernetes.io/name=kuberay-operator"
# Begun first: files that mostly wait for Leases to run out, then the longest of the others.
LONGEST = (
    "test_kubernetes_processes", "test_kubernetes_role", "test_chart_followers", "test_chart_upgrade",
    "test_chart_uninstall", "test_chart_standing", "test_chart_releases", "test_chart_install",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Several workers take whole files in the order in which they stand."""
    own = [index for index, item in enumerate(items) if item.path.parent == Path(__file__).parent]
    order = sorted(
        (items[index] for index in own),
        key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST),
    )
    for index, item in zip(own, order, strict=True):
        items[index] = item


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    path = os.environ.get("PARLANCE_TEST_KUBECONFIG")
    if not path:
        pytest.skip(MISSED)
    return Path(path)


@pytest.fixture(scope="session")
def kuberay(kubeconfig: Path) -> Path:
    if os.environ.get("PARLANCE_TEST_KUBERAY") != "1":
        pytest.skip(MISSED_KUBERAY)
    return kubeconfig


@pytest.fixture
def namespace(kubeconfig: Path, tmp_path: Path) -> Iterator[Namespace]:
    """One of this test's own, with the autoscaler's documented account."""
    made = Namespace(kubeconfig, tmp_path)
    yield made
    made.delete()


@pytest.fixture(scope="session")
def cluster(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, with the kinds that the chart's objects have. At the end no namespace of these tests is left."""
    for name in ("kubectl", "helm"):
        if program(name) is None:
            pytest.skip(ADVICE[name])
    made = Cluster(kubeconfig, tmp_path_factory.mktemp("cluster"))
    if not made.has("rayservices.ray.io"):
        pytest.skip(MISSED_OPERATOR.format("the chart on a real API server", "KubeRay's kinds"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def operator(cluster: Cluster) -> None:
    """KubeRay's operator runs."""
    pods = cluster.get("pods", "--all-namespaces", "-l", OPERATOR)
    if not any(pod["status"].get("phase") == "Running" for pod in pods):
        pytest.skip(MISSED_OPERATOR.format("what KubeRay makes of the chart's RayServices", "KubeRay's operator"))


@pytest.fixture(scope="session")
def monitored(cluster: Cluster) -> None:
    """The kinds of the Prometheus operator are there."""
    if not cluster.has("podmonitors.monitoring.coreos.com"):
        pytest.skip(MISSED_OPERATOR.format("monitors and rules of the chart", "the Prometheus operator's kinds"))


@pytest.fixture(scope="session")
def played(cluster: Cluster) -> None:
    """A node that kwok plays: pods that are sent there are Running and Ready."""
    if not cluster.get("nodes", "-l", "type=kwok"):
        pytest.skip(
            MISSED_OPERATOR.format("what needs pods that run", "a node with the label type=kwok (kwok.sigs.k8s.io)")
        )


@pytest.fixture
def spaces(cluster: Cluster) -> Iterator[Callable[[], Space]]:
    """spaces(): a namespace of this test's own that enforces restricted pod security."""
    made: list[Space] = []

    def space() -> Space:
        made.append(cluster.space())
        return made[-1]

    yield space
    for one in made:
        one.delete()


@pytest.fixture
def space(spaces: Callable[[], Space]) -> Space:
    """A namespace of this test's own that enforces restricted pod security."""
    return spaces()


@pytest.fixture(scope="session", params=FILES, ids=lambda file: file.stem)
def standing(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Standing]:
    """A release of each values file, to look at: installed server-side, with the secrets that it says are there."""
    space = cluster.space()
    prepare(space, request.param)
    release = Release(space)
    yield Standing(request.param, release, release.install("--values", str(request.param), values=PLAYED))
    space.delete()
