"""Two autoscalers of the chart on a real API server, as its account: whichever is asked, the plan is the leader's."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve.gateway.plan_reader import PlanReader
from tests.support.autoscaler import AutoscalerProcess
from tests.support.cluster import Space
from tests.support.helm import named
from tests.support.kubernetes import until
from tests.support.releases import Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

ACCESS = {"ServiceAccount", "Role", "RoleBinding"}
NAME = "parlance-autoscaler"


class Two:
    """Processes on the rendered fleet, in a namespace with the chart's account. Prometheus and Ray are not there: they
    plan blindly, and a plan of that is still the leader's."""

    def __init__(self, space: Space, kubeconfig: Path, folder: Path) -> None:
        objects = Release(space).rendered()
        space.apply(*(one for one in objects if one["kind"] in ACCESS))
        self.fleet: dict[str, Any] = yaml.safe_load(named(objects, "ConfigMap", "parlance-fleet")["data"]["fleet.yaml"])
        self.fleet["autoscaling"] |= {"interval_s": 1, "timeout_s": 5}
        self._space, self._folder = space, folder
        self._kubeconfig = self._of_account(kubeconfig)
        self.started: list[AutoscalerProcess] = []

    def _of_account(self, kubeconfig: Path) -> Path:
        raw = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        context = next(one["context"] for one in raw["contexts"] if one["name"] == raw["current-context"])
        token = self._space.kubectl("create", "token", NAME).out.strip()
        context |= {"user": "account", "namespace": self._space.name}
        raw["users"] = [{"name": "account", "user": {"token": token}}]
        path = self._folder / "kubeconfig"
        path.write_text(json.dumps(raw), encoding="utf-8")
        path.chmod(0o600)
        return path

    def start(self, name: str) -> AutoscalerProcess:
        path = self._folder / "fleet.yaml"
        path.write_text(json.dumps(self.fleet))
        env = {"POD_NAME": name, "POD_IP": "127.0.0.1", "KUBECONFIG": str(self._kubeconfig)}
        process = AutoscalerProcess(path, "http://127.0.0.1:9", None, self._folder / f"{name}.log", env=env)
        self.started.append(process)
        return process


@pytest.fixture
def two(space: Space, kubeconfig: Path, tmp_path: Path) -> Iterator[Two]:
    made = Two(space, kubeconfig, tmp_path)
    yield made
    for one in made.started:
        one.stop()


def read(process: AutoscalerProcess) -> dict[str, Any]:
    """The plan as a gateway reads it."""
    last = asyncio.run(PlanReader(f"http://127.0.0.1:{process.port}/plan").last())
    assert last.problem is None, last.problem
    assert last.plan is not None
    return last.plan


def test_a_follower_tells_the_leader_s_plan_until_it_leads_itself(two: Two) -> None:
    first = two.start("first")
    until("the first has planned", lambda: first.plan()["models"], 120)
    second = two.start("second")
    models = {entry["use"] for entry in two.fleet["models"] if entry.get("enabled", True)}

    told = until("the second knows where", lambda: (plan := read(second))["models"] and plan, 120)
    assert not second.leads
    assert (told["leader"], set(told["models"])) == (True, models)
    own = json.loads(second.get("/plan/own")[1])
    assert (own["leader"], own["models"]) == (False, {})
    before = told["at"]
    until("it is the plan of this moment, not one that was kept", lambda: read(second)["at"] > before, 60)

    first.kill()
    gone = until("that it is gone is said", lambda: (plan := read(second))["problems"] and plan, 60)
    assert (gone["leader"], gone["age_s"], gone["models"]) == (False, None, {}) or second.leads
    until("the second leads", lambda: second.leads, 120)
    planned = until("it has planned", lambda: (plan := read(second))["models"] and plan, 60)
    assert planned["leader"]
    assert planned["at"] > time.time() - 60
    assert read(second)["problems"] == json.loads(second.get("/plan/own")[1])["problems"]
    for one in two.started:
        assert "Traceback" not in one.log.read_text()
