"""The autoscaler process, KubeRay's operator and a real Ray Serve: the active cluster, its token, its worker groups."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaling.kubernetes.rayservice import RayService, groups
from autoscaling.ray_serve import Failed
from serve.fleet.autoscaling_kubernetes import RayServiceRef
from serve.fleet.loader import resolve
from tests.support.autoscaler import AutoscalerProcess
from tests.support.control_plane import Metrics
from tests.support.kubernetes import Namespace, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900), pytest.mark.usefixtures("kuberay")]

MODEL, GROUP = "gemma-2-9b-it", "small"
DESCRIBED = Path(__file__).with_name("rayservice.yaml")
# Answers that end at once: no request is open, so that engines without figures are idle ones.
LOAD = {"in_flight": 0.0, "output_tokens": 100.0, "answered": 1.0}
PATIENCE_S = 420


class Quiet(Metrics):
    """Prometheus over gateways; these replicas are no engines and export nothing."""

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        status, told = super().answer(method, path, body)
        if any("ReplicaId" in series["metric"] for series in told["data"]["result"]):
            told["data"]["result"] = []
        return status, told


class Served:
    """A RayService in a namespace, an autoscaler that runs as the documented account, and the load it is told of."""

    def __init__(self, namespace: Namespace, folder: Path, scales_itself: bool) -> None:
        self.namespace, self._folder = namespace, folder
        self.rays = f"/apis/ray.io/v1/namespaces/{namespace.name}"
        config_map, service = yaml.safe_load_all(DESCRIBED.read_text(encoding="utf-8"))
        service["spec"]["rayClusterConfig"]["enableInTreeAutoscaling"] = scales_itself
        namespace.admin.create(f"/api/v1/namespaces/{namespace.name}/configmaps", config_map)
        namespace.admin.create(f"{self.rays}/rayservices", service)
        self.service = RayService(namespace.api(), RayServiceRef(name="hello"))
        self.metrics = Quiet(MODEL, "none")
        self.raw: dict[str, Any] = {
            "clusters": {"kuberay": {"rayservice": {"name": "hello", "worker_groups": {MODEL: GROUP}}}},
            "models": [
                {
                    "use": MODEL,
                    "engine": {
                        "device": "cpu",
                        "weights": "tiny",
                        "kv_cache_bytes": 50_331_648,
                        "replicas": {"initial": 1, "min": 1, "max": 3, "tokens_per_s": 100},
                    },
                }
            ],
            "autoscaling": {
                "policy": "token-work",
                "prometheus_url": self.metrics.url,
                "interval_s": 1,
                "timeout_s": 5,
                "work": {"headroom": 1, "target_utilisation": 1, "cold_start_s": 5},
                "pace": {"up": 9, "down": 9, "period_s": 1, "scale_down_window_s": 5},
                "kubernetes": {},
            },
        }
        self.metrics.describe(resolve(self.raw, "test"))
        self.load(1)

    def load(self, replicas: int) -> None:
        """Work for so many replicas."""
        self.metrics.values = {**LOAD, "finished": float(replicas)}

    def start(self) -> AutoscalerProcess:
        path = self._folder / "fleet.yaml"
        path.write_text(json.dumps(self.raw))
        env = {"POD_NAME": "autoscaler", "KUBECONFIG": str(self.namespace.as_account())}
        return AutoscalerProcess(path, self.metrics.url, None, self._folder / "log", env=env)

    def cluster(self, name: str) -> dict[str, Any]:
        return self.namespace.get(f"{self.rays}/rayclusters/{name}")

    def clusters(self) -> list[str]:
        return [one["metadata"]["name"] for one in self.namespace.get(f"{self.rays}/rayclusters")["items"]]

    def active(self) -> str | None:
        try:
            return self.service.active().name
        except Failed:
            return None

    def pods(self) -> set[str]:
        """Worker pods that nobody is deleting."""
        listed = self.namespace.get(f"/api/v1/namespaces/{self.namespace.name}/pods")["items"]
        return {
            pod["metadata"]["name"]
            for pod in listed
            if pod["metadata"]["labels"].get("ray.io/node-type") == "worker"
            and not pod["metadata"].get("deletionTimestamp")
        }

    def reasons(self) -> list[str]:
        return [e["reason"] for e in self.namespace.events() if e["reportingController"] == "parlance.dev/autoscaler"]


@pytest.fixture
def served(request: pytest.FixtureRequest, namespace: Namespace, tmp_path: Path) -> Iterator[Served]:
    made = Served(namespace, tmp_path, scales_itself=request.param)
    yield made
    made.metrics.stop()


def model(process: AutoscalerProcess) -> dict[str, Any]:
    """What /plan says of the model; nothing of it while there is no plan."""
    found: dict[str, Any] = process.plan()["models"].get(MODEL, {})
    return found


def runs(process: AutoscalerProcess, replicas: int) -> bool:
    now = model(process)
    return (now.get("target"), now.get("running"), now.get("draining")) == (replicas, replicas, 0)


@pytest.mark.parametrize("served", [True], indirect=True)
def test_with_ray_s_autoscaler_a_floor_is_raised_and_lowered_and_an_upgrade_is_followed(served: Served) -> None:
    process = served.start()
    try:
        first = until("KubeRay's cluster serves", served.active, PATIENCE_S, 2)
        until("one replica runs", lambda: runs(process, 1), PATIENCE_S, 1)
        assert groups(served.cluster(first)["spec"])[GROUP].least == 1

        served.load(2)
        floor = until("a floor", lambda: groups(served.cluster(first)["spec"])[GROUP].least == 2, PATIENCE_S, 0.5)
        assert floor
        until("two replicas run", lambda: runs(process, 2), PATIENCE_S, 1)
        until("the floor is lowered", lambda: groups(served.cluster(first)["spec"])[GROUP].least == 1, 60, 0.5)
        assert len(served.pods()) == 2  # and nobody is taken away for it

        served.load(1)
        until("one replica runs", lambda: runs(process, 1), PATIENCE_S, 1)
        until("Ray's autoscaler has removed the idle pod", lambda: len(served.pods()) == 1, PATIENCE_S, 1)
        assert runs(process, 1)
        assert served.clusters() == [first]  # no patch of ours made KubeRay build another

        described = until(
            "events", lambda: {"ScaledUp", "ScaledDown"} <= set(served.reasons()) and served.reasons(), 30
        )
        assert {"LeadershipTaken", "WorkerGroupChanged", "ScaledUp", "ScaledDown"} <= set(described)
        about = {event["regarding"]["kind"] for event in served.namespace.events() if event["reason"] == "ScaledUp"}
        assert about == {"RayService"}

        # An upgrade, while two replicas run and the description starts with one.
        served.load(2)
        until("two replicas run", lambda: runs(process, 2), PATIENCE_S, 1)
        scalings = process.log.read_text().count(f"{MODEL}: 1 -> 2 replicas: ")
        served.namespace.admin.patch(
            f"{served.rays}/rayservices/hello",
            [{"op": "add", "path": "/spec/rayClusterConfig/headGroupSpec/rayStartParams/num-gpus", "value": "0"}],
        )
        second = until("KubeRay's second cluster serves", lambda: (a := served.active()) != first and a, PATIENCE_S, 2)
        until("the autoscaler has followed", lambda: f"Ray cluster {second} is active now" in process.log.read_text())
        until("two replicas run on the second", lambda: runs(process, 2), PATIENCE_S, 1)
        log = process.log.read_text()
        assert f"{MODEL}: 1 -> 2 replicas on the cluster of an upgrade" in log
        assert log.count(f"{MODEL}: 1 -> 2 replicas: ") == scalings  # they were there when the requests came
        assert "UpgradePrepared" in served.reasons()
        assert "Traceback" not in log
    finally:
        assert process.stop() == 0


@pytest.mark.parametrize("served", [False], indirect=True)
def test_without_ray_s_autoscaler_groups_grow_and_lose_the_pods_without_a_replica(served: Served) -> None:
    process = served.start()
    try:
        name = until("KubeRay's cluster serves", served.active, PATIENCE_S, 2)
        until("one replica runs", lambda: runs(process, 1), PATIENCE_S, 1)
        served.load(3)
        until("three replicas run", lambda: runs(process, 3), PATIENCE_S, 1)
        assert groups(served.cluster(name)["spec"])[GROUP].replicas == len(served.pods()) == 3

        served.load(1)
        until("one replica runs", lambda: runs(process, 1), PATIENCE_S, 1)
        until("one pod is left", lambda: len(served.pods()) == 1, PATIENCE_S, 0.5)
        until("its replica was not moved", lambda: runs(process, 1), 30, 1)
        until("no pod is named any more", lambda: not groups(served.cluster(name)["spec"])[GROUP].doomed, 60, 0.5)
        left = groups(served.cluster(name)["spec"])[GROUP]
        assert (left.replicas, left.least) == (1, 1)
        assert served.clusters() == [name]
        assert process.metric("cold_start_seconds_count", model=MODEL) == 2  # none started anew after a wrong deletion
        assert "where no replica is" in process.log.read_text()
        assert "Traceback" not in process.log.read_text()
    finally:
        assert process.stop() == 0
