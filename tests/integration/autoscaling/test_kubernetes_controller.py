"""The controller between its leader and its memory, when one of them fails within a round."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration

from autoscaling.controller import Controller, patience_s
from autoscaling.instruments import Outcome
from autoscaling.kubernetes import upgrade
from autoscaling.kubernetes.api import Api
from autoscaling.kubernetes.site import Site
from autoscaling.plan import Code, ModelPlan, Plan, Reason
from autoscaling.ray_serve import Failed
from autoscaling.snapshot import Cause
from serve.fleet import Fleet
from serve.fleet.loader import resolve
from tests.support.control_plane import ApiServer, Dashboard, Metrics

pytestmark = pytest.mark.integration

MODEL = "gemma-2-9b-it"
BUSY = {"finished": 5.0, "in_flight": 4.0, "output_tokens": 100.0, "answered": 1.0}
RAYS = "/apis/ray.io/v1/namespaces/llm"


class Plane:
    """Prometheus, Ray Serve and an API server, each of which a test breaks."""

    def __init__(self) -> None:
        self.metrics, self.dashboard, self.server = Metrics(MODEL, "a"), Dashboard(MODEL, "a"), ApiServer()
        replicas = {"initial": 1, "min": 1, "max": 9, "tokens_per_s": 100}
        engine = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 50_331_648, "replicas": replicas}
        self.raw: dict[str, Any] = {
            "clusters": {"local": {"dashboard_url": self.dashboard.url}},
            "models": [{"use": MODEL, "engine": engine}],
            "autoscaling": {
                "policy": "token-work",
                "prometheus_url": self.metrics.url,
                "interval_s": 0.2,
                "work": {"headroom": 1, "target_utilisation": 1},
                "pace": {"up": 9},
                "kubernetes": {"retry_s": 0.1},
            },
        }
        self.metrics.values = dict(BUSY)

    def fleet(self) -> Fleet:
        fleet = resolve(self.raw, "test")
        self.metrics.describe(fleet)
        return fleet

    def site(self) -> tuple[Fleet, Site]:
        fleet = self.fleet()
        settings = Configuration(host=self.server.url)
        settings.retries = False
        assert fleet.autoscaling.kubernetes is not None
        return fleet, Site(fleet, Api(ApiClient(settings), "llm", 5), fleet.autoscaling.kubernetes, patience_s(fleet))

    @contextmanager
    def elsewhere(self) -> Iterator[str]:
        """Where nobody listens."""
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"

    def stop(self) -> None:
        for server in (self.metrics, self.dashboard, self.server):
            server.stop()


@pytest.fixture
def plane() -> Iterator[Plane]:
    made = Plane()
    yield made
    made.stop()


class Fickle:
    """Leads as often as it is told to."""

    def __init__(self, *answers: bool) -> None:
        self._answers = list(answers)

    def leads(self) -> bool:
        return self._answers.pop(0)

    def resign(self) -> None:
        """Nothing to let go of."""


def test_a_lead_that_is_lost_within_the_round_applies_nothing(plane: Plane) -> None:
    controller = Controller(plane.fleet(), Fickle(True, False, False), None)
    assert asyncio.run(controller.step())
    assert controller.last is not None
    done = controller.last.done[MODEL]
    assert (done.outcome, done.problem) == (Outcome.DEFERRED, "the lead was lost within the round")
    assert plane.dashboard.scaled == []
    assert not asyncio.run(controller.step())
    assert controller.last is None


def test_a_leader_that_cannot_read_what_was_seen_waits_and_overwrites_nothing(plane: Plane) -> None:
    fleet, site = plane.site()
    controller = Controller(fleet, site.lease, None, site=site)
    assert site.lease.leads()
    plane.server.fails = {"GET": 503}
    assert not asyncio.run(controller.step())
    assert plane.dashboard.scaled == []
    plane.server.fails = {}
    assert asyncio.run(controller.step())
    assert plane.dashboard.scaled == [5]
    asyncio.run(controller.end())
    lease = plane.server.objects["/apis/coordination.k8s.io/v1/namespaces/llm/leases/parlance-autoscaler"]
    assert lease["spec"]["holderIdentity"] == ""


def test_a_rayservice_that_cannot_be_read_holds(plane: Plane) -> None:
    plane.raw["clusters"]["local"]["rayservice"] = {"name": "hello", "worker_groups": {MODEL: "gpu"}}
    fleet, site = plane.site()
    controller = Controller(fleet, site.lease, None, site=site)
    assert asyncio.run(controller.step())
    assert controller.last is not None
    plan = controller.last.plan.models[MODEL]
    assert (plan.wanted, plan.blind, plan.reason.code) == (None, Cause.UNREACHABLE, Code.BLIND)
    assert f"RayService llm/hello: GET {RAYS}/rayservices/hello: status 404" in controller.last.problems[0]
    assert plane.dashboard.scaled == []
    asyncio.run(controller.end())


def test_the_cluster_of_an_upgrade_gets_the_planned_replicas_once(plane: Plane) -> None:
    fleet = plane.fleet()
    plan = Plan(0.0, "token-work", {MODEL: ModelPlan(MODEL, 3, Reason(Code.WORK, "work"))})
    said = upgrade.prepare(plane.dashboard.url, "", fleet, "local", plan)
    assert said == [f"{MODEL}: 1 -> 3 replicas on the cluster of an upgrade ({plane.dashboard.url})"]
    assert upgrade.prepare(plane.dashboard.url, "", fleet, "local", plan) == []
    assert plane.dashboard.scaled == [3]
    plane.dashboard.target, plane.dashboard.fails = 1, 412
    with pytest.raises(Failed, match="412"):
        upgrade.prepare(plane.dashboard.url, "", fleet, "local", plan)
    with plane.elsewhere() as nobody:
        assert upgrade.prepare(nobody, "", fleet, "local", plan) == []
