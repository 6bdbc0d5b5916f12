"""The live targets beside the history, for the chart: written when they change, kept where they do not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autoscaling.history import History, ModelHistory, Round
from autoscaling.kubernetes.api import Refused
from autoscaling.kubernetes.memory import TARGETS, ConfigMapMemory, targets
from autoscaling.learnt import Capacity
from serve.fleet.autoscaling_kubernetes import Kubernetes

pytestmark = pytest.mark.unit


class Server:
    """An API server with one ConfigMap, that refuses a write to another version than the last."""

    namespace = "parlance"

    def __init__(self) -> None:
        self.kept: dict[str, Any] | None = None
        self.writes = 0

    def get(self, path: str) -> dict[str, Any]:
        if self.kept is None:
            raise Refused("none", 404)
        return self.kept

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._keep(body)

    def replace(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.kept is None or body["metadata"]["resourceVersion"] != self.kept["metadata"]["resourceVersion"]:
            raise Refused("conflict", 409)
        return self._keep(body)

    def _keep(self, body: dict[str, Any]) -> dict[str, Any]:
        self.writes += 1
        self.kept = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.writes)}}
        return self.kept

    @property
    def targets(self) -> Any:
        assert self.kept is not None
        return json.loads(self.kept["data"][TARGETS])


def history(**known: int | None) -> History:
    return History(
        {name: ModelHistory(Capacity.of(100.0), (Round(at=1.0, target=target),)) for name, target in known.items()}
    )


def memory(server: Server, clock: float = 0.0) -> ConfigMapMemory:
    made = ConfigMapMemory(server, Kubernetes())  # type: ignore[arg-type]
    made.load(0.0, clock)
    return made


def test_targets_are_plain_json_of_what_is_known() -> None:
    assert targets(history(gemma=2, llama=0, suzume=None)) == '{"gemma": 2, "llama": 0}'
    assert targets(History()) == "{}"


def test_the_last_known_target_of_a_model_counts() -> None:
    rounds = (Round(at=1.0, target=3), Round(at=2.0, target=None))
    assert targets(History({"gemma": ModelHistory(Capacity.of(1.0), rounds)})) == '{"gemma": 3}'


def test_a_change_of_targets_is_written_before_it_is_due() -> None:
    server = Server()
    kept = memory(server)
    kept.save(history(gemma=1), 0.0, 1.0, now=True)
    kept.save(history(gemma=1), 1.0, 2.0, now=False)
    assert server.writes == 1, "nothing changed, and nothing is due"
    kept.save(history(gemma=2), 2.0, 3.0, now=False)
    assert (server.writes, server.targets) == (2, {"gemma": 2})


def test_the_next_leader_knows_what_stands_there() -> None:
    server = Server()
    memory(server).save(history(gemma=2), 0.0, 1.0, now=True)
    memory(server, clock=10.0).save(history(gemma=2), 1.0, 11.0, now=False)
    assert server.writes == 1


def test_a_config_map_from_before_has_no_targets_and_gets_them() -> None:
    server = Server()
    memory(server).save(history(gemma=2), 0.0, 1.0, now=True)
    assert server.kept is not None
    del server.kept["data"]
    kept = memory(server, clock=10.0)
    kept.save(history(gemma=2), 1.0, 11.0, now=False)
    assert server.targets == {"gemma": 2}


def test_what_could_not_be_written_is_tried_again() -> None:
    server = Server()
    kept = memory(server)
    kept.save(history(gemma=1), 0.0, 1.0, now=True)
    assert server.kept is not None
    server.kept["metadata"]["resourceVersion"] = "another's"
    kept.save(history(gemma=2), 1.0, 2.0, now=False)
    assert server.targets == {"gemma": 1}
    kept.save(history(gemma=2), 2.0, 3.0, now=False)
    assert server.targets == {"gemma": 2}


def test_a_releases_own_words_on_the_object_stay() -> None:
    """Helm made it: without its annotation the object would be nobody's."""
    server = Server()
    owner = {"meta.helm.sh/release-name": "parlance"}
    labels = {"app.kubernetes.io/managed-by": "Helm"}
    server._keep({"metadata": {"name": "x", "labels": labels, "annotations": owner}})
    kept = memory(server)
    kept.save(history(gemma=1), 0.0, 1.0, now=True)
    assert server.kept is not None
    assert server.kept["metadata"]["annotations"] == owner
    assert server.kept["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    server._keep({**server.kept, "metadata": {"name": "x", "annotations": {**owner, "by": "another"}}})
    kept.save(history(gemma=2), 1.0, 2.0, now=False)  # meets the other's version
    kept.save(history(gemma=2), 2.0, 3.0, now=False)
    assert server.kept["metadata"]["annotations"] == {**owner, "by": "another"}
    assert server.targets == {"gemma": 2}
