"""The CPU demo on a real node: images of this checkout, pods that run, engines that answer. Minutes, and alone.

`make test-cluster-full` brings the cluster and its images. On another cluster set PARLANCE_TEST_KUBECONFIG, and load
the images that the values name onto its node first (deploy/images): without them its pods say that they lack them.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import images
from tests.support.cluster import Cluster, Space
from tests.support.demo import ENGINE_PATIENCE_S, Demo
from tests.support.helm import CHART
from tests.support.programs import ADVICE, program
from tests.support.releases import Release

DEMO = CHART / "values-cpu-demo.yaml"
MISSED = (
    "NOT TESTED: the chart's pods on a real node. Run `make test-cluster-full`: it brings a cluster up where the kit "
    "lies beside the checkout, and else says what to install; or set PARLANCE_TEST_KUBECONFIG to the kubeconfig of a "
    "throw-away cluster with KubeRay, whose node has the images of deploy/images (docs/kubernetes.md)"
)
UNREACHABLE = (
    "NOT TESTED: the chart's pods on a real node. This machine does not reach the cluster's addresses ({}): run the "
    "tests on its node, or inside"
)
# Over the demo's values: what makes acts short enough to watch, and leaves their outcome to the product.
QUICK = {
    "autoscaler": {"replicas": 2},
    "gateway": {"replicas": 2},
    "fleet": {
        "autoscaling": {
            "mix_window_s": 120,
            "timeout_s": 10,
            # A replica is taken to do far more than it can: what it does while a queue stands has to show that.
            "work": {"late_cost": 1, "cold_start_s": 60},
            "pace": {"scale_down_window_s": 30, "period_s": 5},
        },
        # A busy machine answers probes late; this play is not about that.
        "gateway": {"health": {"timeout_s": 30, "failures": 10}},
        "slo": {"ttft_s": 0.5},
    },
    "models": {
        "suzume-llama-3-8b-multilingual": {
            "engine": {
                "replicas": {"initial": 1, "min": 1, "max": 2, "tokens_per_s": 2000},
                "flags": {"max-num-seqs": 4},
            }
        }
    },
}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, with the images of this checkout where it is the kit's."""
    path = os.environ.get("PARLANCE_TEST_KUBECONFIG")
    if not path:
        pytest.skip(MISSED)
    for name in ("kubectl", "helm"):
        if program(name) is None:
            pytest.skip(ADVICE[name])
    made = Cluster(Path(path), tmp_path_factory.mktemp("cluster"))
    if not made.has("rayservices.ray.io"):
        pytest.skip(MISSED)
    dns = made.get("service", "kubernetes", "-n", "default")["spec"]["clusterIP"]
    try:
        socket.create_connection((dns, 443), 5).close()
    except OSError:
        pytest.skip(UNREACHABLE.format(dns))
    state = Path(path).resolve().parent
    if (state / "run" / "containerd.sock").exists():
        for image, seconds in images.build(state, images.names(DEMO)).items():
            print(f"image {image}: {seconds:.0f} s", file=sys.stderr)
    yield made
    made.close()


@pytest.fixture(scope="module")
def space(cluster: Cluster) -> Space:
    """A namespace that enforces restricted pod security, for all acts of a play."""
    return cluster.space()


@pytest.fixture(scope="module")
def demo(space: Space) -> Demo:
    """The CPU demo, installed and serving."""
    made = Demo(space, Release(space))
    made.release.install("--values", str(DEMO), values=QUICK)
    made.until("every model serves", lambda: serving(made), ENGINE_PATIENCE_S)
    for component in ("gateway", "autoscaler", "prometheus"):
        made.until(f"the {component} is ready", lambda part=component: made.ready(part))
    return made


def serving(demo: Demo) -> bool:
    """Whether Ray Serve runs both models."""
    told = demo.applications()
    return len(told) == 2 and set(told.values()) == {"RUNNING"}
