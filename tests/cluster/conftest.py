"""The cluster of these tests: the one that PARLANCE_TEST_KUBECONFIG names, else they are skipped, and say what for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kubernetes import Namespace

MISSED = (
    "NOT TESTED: leader election, history, permissions and events on a real API server. "
    "Set PARLANCE_TEST_KUBECONFIG to the kubeconfig of a throw-away cluster (`kind create cluster`, `k3s server` or "
    "`minikube start`), or run `make test-cluster` where the kit lies beside the checkout (docs/kubernetes.md)"
)
MISSED_KUBERAY = (
    "NOT TESTED: the autoscaler against KubeRay's operator. Set PARLANCE_TEST_KUBERAY=1 for a cluster with it (`helm "
    "repo add kuberay https://ray-project.github.io/kuberay-helm/`, `helm install kuberay-operator "
    "kuberay/kuberay-operator`), which has the image rayproject/ray:2.60.0 and pods that this machine reaches"
)


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
    """One of this test's own."""
    made = Namespace(kubeconfig, tmp_path)
    yield made
    made.delete()
