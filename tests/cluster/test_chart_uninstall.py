"""What `helm uninstall` leaves: what the values say to keep, and nothing of KubeRay's or the autoscaler's."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from kubernetes import config
from kubernetes.client import ApiClient, Configuration

from autoscaling.history import History
from autoscaling.kubernetes.api import Api
from autoscaling.kubernetes.lease import Lease
from autoscaling.kubernetes.memory import ConfigMapMemory
from serve.fleet.loader import resolve
from tests.support.cluster import Space
from tests.support.releases import PLAYED, UNLIKE, Release, prepare

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

ON_A_CLAIM = {**PLAYED, "engines": {**PLAYED["engines"], "weights": {"kind": "persistentVolumeClaim", "size": "1Gi"}}}
CLAIM = "PersistentVolumeClaim/parlance-weights"


def left(space: Space, before: set[str]) -> set[str]:
    """What is there beyond what was there."""
    return space.everything().keys() - before


@pytest.mark.usefixtures("operator", "played")
@pytest.mark.parametrize("file", UNLIKE, ids=lambda file: file.stem)
def test_nothing_is_left(space: Space, file: Path) -> None:
    """KubeRay's children go by their owner, Redis's content by a Job of KubeRay: both on a node that kwok plays."""
    prepare(space, file)
    before = set(space.everything())
    release = Release(space)
    release.install("--values", str(file), values=PLAYED)
    space.until("KubeRay's pods", lambda: space.names("pods", "-l", "ray.io/node-type=worker"))
    kept = {f"{one['kind']}/{one['metadata']['name']}" for one in release.manifest() if keeps(one)}
    answer = release.uninstall()
    assert answer.warnings == []
    space.until(
        "all is gone", lambda: left(space, before) == kept, on_failure=lambda: f"left: {sorted(left(space, before))}"
    )
    assert space.events("FailedCreate") == []
    assert kept <= {CLAIM}


def keeps(one: dict[str, dict[str, dict[str, str]]]) -> bool:
    return one["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "not-kept"])
def test_the_weights_claim_stays_where_the_values_say_so(space: Space, keep: bool) -> None:
    values = {
        **ON_A_CLAIM,
        "engines": {**ON_A_CLAIM["engines"], "weights": {**ON_A_CLAIM["engines"]["weights"], "keep": keep}},
    }
    before = set(space.everything())
    release = Release(space)
    release.install(values=values)
    assert CLAIM in release.live()
    answer = release.uninstall()
    assert (CLAIM.partition("/")[2] in answer.out) == keep  # helm says what it keeps
    wanted = {CLAIM} if keep else set()
    space.until("the rest is gone", lambda: left(space, before) == wanted, on_failure=lambda: str(left(space, before)))
    if keep:  # and is taken again by the next install
        release.install(values=values)
        assert CLAIM in release.live()


def test_what_the_autoscaler_wrote_goes_with_the_release(space: Space) -> None:
    """By its own code, as its own account: the Lease, and what it has seen."""
    before = set(space.everything())
    release = Release(space)
    release.install(values=PLAYED)
    live = release.live()
    fleet = resolve(yaml.safe_load(live["ConfigMap/parlance-fleet"]["data"]["fleet.yaml"]), "test")
    settings = fleet.autoscaling.kubernetes
    assert settings is not None
    settings = settings.model_copy(update={"duration_s": 20, "renew_deadline_s": 10, "retry_s": 1})
    api = as_account(space, "parlance-autoscaler")
    lease, memory = Lease(api, settings, 60), ConfigMapMemory(api, settings)
    assert lease.leads()
    memory.load(0.0, 0.0)
    memory.save(History(), 0.0, 0.0, now=True)
    memory.save(History(), 0.0, 1.0, now=True)
    lease.resign()
    assert {"Lease/parlance-autoscaler", "ConfigMap/parlance-autoscaler-history"} <= space.everything().keys()
    assert space.get("configmap", "parlance-autoscaler-history")["binaryData"]

    # An upgrade takes neither back.
    seen = space.get("configmap", "parlance-autoscaler-history")
    release.upgrade(values=PLAYED)
    assert space.get("configmap", "parlance-autoscaler-history")["binaryData"] == seen["binaryData"]
    release.uninstall()
    space.until(
        "all is gone", lambda: not left(space, before), on_failure=lambda: f"left: {sorted(left(space, before))}"
    )


def as_account(space: Space, account: str) -> Api:
    """Calls as a service account of the namespace."""
    settings = Configuration()
    config.load_kube_config(str(space.cluster.kubeconfig), client_configuration=settings)
    client = ApiClient(settings)
    client.set_default_header("Impersonate-User", f"system:serviceaccount:{space.name}:{account}")
    return Api(client, space.name, 10)
