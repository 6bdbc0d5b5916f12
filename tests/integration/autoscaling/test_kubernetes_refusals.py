"""An API server that refuses, conflicts or answers nonsense: hold, say so, and never crash."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration

from autoscaling.history import History
from autoscaling.kubernetes import workers
from autoscaling.kubernetes.api import Api, Refused
from autoscaling.kubernetes.groups import Need
from autoscaling.kubernetes.lease import Lease
from autoscaling.kubernetes.memory import KEY, ConfigMapMemory
from autoscaling.kubernetes.rayservice import Active, RayService, groups
from autoscaling.memory import Unavailable
from autoscaling.ray_serve import Failed
from serve.fleet.autoscaling_kubernetes import Kubernetes, RayServiceRef
from tests.support.control_plane import ApiServer
from tests.support.kubernetes import until

pytestmark = pytest.mark.integration

QUICK = Kubernetes(duration_s=60, renew_deadline_s=50, retry_s=0.05)
MAP = "/api/v1/namespaces/llm/configmaps/parlance-autoscaler-history"
RAYS = "/apis/ray.io/v1/namespaces/llm"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    made = ApiServer()
    yield made
    made.stop()


def api(server: ApiServer, timeout_s: float = 5) -> Api:
    settings = Configuration(host=server.url)
    settings.retries = False
    return Api(ApiClient(settings), "llm", timeout_s)


@pytest.mark.parametrize("status", [401, 403, 409, 429, 500, 503])
def test_a_lease_that_cannot_be_had_is_not_led_by_and_tried_for_again(
    server: ApiServer, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    server.fails = {"POST": status}
    lease = Lease(api(server), QUICK, 60)
    assert not lease.leads()
    until("some attempts", lambda: len([m for m, *_ in server.asked if m == "POST"]) > 3)
    assert not lease.leads()
    # A conflict is how the others win; all else is said, once.
    assert len([r for r in caplog.records if "cannot be had" in r.message]) == (0 if status == 409 else 1)
    server.fails = {}
    until("it leads", lease.leads)
    lease.resign()
    assert not any("Traceback" in record.getMessage() for record in caplog.records)


def test_a_leader_whose_renewals_fail_leads_until_its_deadline_only(server: ApiServer) -> None:
    lease = Lease(api(server), Kubernetes(duration_s=5, renew_deadline_s=1, retry_s=0.05), 60)
    assert lease.leads()
    server.fails = {"PUT": 500}
    until("it leads no more", lambda: not lease.leads())
    server.fails = {}
    until("it leads again: the Lease is still its own", lease.leads)
    lease.resign()


def test_who_does_not_answer_is_named_without_noise(server: ApiServer) -> None:
    gone = api(server)
    server.stop()
    with pytest.raises(Refused) as refused:
        gone.get(MAP)
    assert refused.value.status is None
    assert "Connection refused" in str(refused.value)
    assert "object at 0x" not in str(refused.value)


def test_a_history_that_cannot_be_read_now_is_waited_for(server: ApiServer) -> None:
    for status in (429, 500, 503):
        server.fails = {"GET": status}
        with pytest.raises(Unavailable, match=str(status)):
            ConfigMapMemory(api(server), QUICK).load(0.0, 0.0)


@pytest.mark.parametrize(
    "data", [None, {}, {KEY: "no base64!"}, {KEY: base64.b64encode(b"no gzip").decode()}, {"other": "eA=="}]
)
def test_a_history_that_is_none_begins_anew(server: ApiServer, data: Any) -> None:
    server.objects[MAP] = {"metadata": {"resourceVersion": "1"}, "binaryData": data}
    memory = ConfigMapMemory(api(server), QUICK)
    assert memory.load(0.0, 0.0) == History()
    memory.save(History(), 0.0, 0.0, now=True)  # and is mended
    assert KEY in server.objects[MAP]["binaryData"]


def test_a_history_that_may_not_be_read_is_done_without(server: ApiServer, caplog: pytest.LogCaptureFixture) -> None:
    server.fails = {"GET": 403, "POST": 403}
    memory = ConfigMapMemory(api(server), QUICK)
    assert memory.load(0.0, 0.0) == History()
    for second in range(3):
        memory.save(History(), 0.0, float(second), now=True)
    assert len([r for r in caplog.records if "cannot be written" in r.message]) == 1


def ray_cluster(**words: Any) -> dict[str, Any]:
    head = {"serviceIP": "10.0.0.7", "serviceName": "hello-x-head-svc"}
    container = {"resources": {"limits": {"cpu": "1"}}}
    group = {"groupName": "small", "replicas": 1, "minReplicas": 1, "maxReplicas": 5}
    made = {
        "metadata": {"name": "hello-x", "namespace": "llm", "resourceVersion": "7"},
        "spec": {
            "enableInTreeAutoscaling": True,
            "authOptions": {"mode": "token"},
            "workerGroupSpecs": [{**group, "template": {"spec": {"containers": [container]}}}],
        },
        "status": {"head": head, "endpoints": {"dashboard": "8265"}},
    }
    return {**made, **words}


def described(server: ApiServer, cluster: dict[str, Any] | None = None) -> RayService:
    server.objects[f"{RAYS}/rayservices/hello"] = {
        "metadata": {"name": "hello", "uid": "u"},
        "spec": {"rayClusterConfig": ray_cluster()["spec"]},
        "status": {"activeServiceStatus": {"rayClusterName": "hello-x"}},
    }
    server.objects[f"{RAYS}/rayclusters/hello-x"] = cluster or ray_cluster()
    return RayService(api(server), RayServiceRef(name="hello"))


@pytest.mark.parametrize(
    ("head", "url"),
    [
        ({"serviceIP": "10.0.0.7"}, "http://10.0.0.7:8265"),
        ({"serviceIP": "fd00::7"}, "http://[fd00::7]:8265"),
        ({"serviceIP": "None", "serviceName": "hello-x-head-svc"}, "http://hello-x-head-svc.llm.svc:8265"),
    ],
)
def test_the_dashboard_of_the_active_cluster(server: ApiServer, head: dict[str, str], url: str) -> None:
    service = described(server, ray_cluster(status={"head": head}))
    assert service.active().url == url


def test_tokens_are_kuberay_s_secret_or_the_one_that_is_named(server: ApiServer) -> None:
    service = described(server)
    secret = {"metadata": {}, "data": {"auth_token": base64.b64encode(b"abc\n").decode()}}
    with pytest.raises(Failed, match="secrets/hello-x"):
        service.token(service.active())
    server.objects["/api/v1/namespaces/llm/secrets/hello-x"] = secret
    assert service.token(service.active()) == "abc"
    spec = {**ray_cluster()["spec"], "authOptions": {"mode": "token", "secretName": "mine"}}
    server.objects["/api/v1/namespaces/llm/secrets/mine"] = {"metadata": {}, "data": {"other": "eA=="}}
    with pytest.raises(Failed, match="secret llm/mine has no auth_token"):
        service.token(described(server, ray_cluster(spec=spec)).active())
    assert service.token(described(server, ray_cluster(spec={**spec, "authOptions": {}})).active()) == ""


@pytest.mark.parametrize("status", [None, {}, {"activeServiceStatus": {}}])
def test_a_rayservice_without_an_active_cluster_says_so(server: ApiServer, status: Any) -> None:
    service = described(server)
    server.objects[f"{RAYS}/rayservices/hello"]["status"] = status
    with pytest.raises(Failed, match="RayService llm/hello has no active Ray cluster yet"):
        service.active()


def test_the_cluster_of_an_upgrade_is_there_once_it_has_a_head(server: ApiServer) -> None:
    service = described(server)
    assert service.pending(service.active()) is None
    server.objects[f"{RAYS}/rayservices/hello"]["status"]["pendingServiceStatus"] = {"rayClusterName": "hello-y"}
    assert service.pending(service.active()) is None
    server.objects[f"{RAYS}/rayclusters/hello-y"] = ray_cluster(status={})
    assert service.pending(service.active()) is None
    server.objects[f"{RAYS}/rayclusters/hello-y"] = ray_cluster(status={"head": {"serviceIP": "10.0.0.9"}})
    pending = service.pending(service.active())
    assert pending is not None
    assert pending.url == "http://10.0.0.9:8265"
    active = service.active()
    server.fails = {"GET": 403}
    with pytest.raises(Failed, match="the next cluster of RayService llm/hello: not allowed to get"):
        service.pending(active)


def test_a_cluster_without_a_head_and_objects_of_another_shape_say_so(server: ApiServer) -> None:
    with pytest.raises(Failed, match="hello-x has no head yet"):
        described(server, ray_cluster(status={})).active()
    with pytest.raises(Failed, match="no objects of KubeRay's"):
        described(server, ray_cluster(status={"head": ["x"]})).active()


WANTED = [Need("m", 3, 1, 1, 0, settled=False)]


def follow(server: ApiServer, active: Active, needs: dict[str, list[Need]] | None = None) -> list[str]:
    base = groups(active.service["spec"]["rayClusterConfig"])
    return workers.follow(api(server), active, needs or {"small": WANTED}, set(), base)


def test_a_floor_is_patched_with_the_version_that_was_read(server: ApiServer) -> None:
    said = follow(server, described(server).active())
    assert said == ["hello-x: worker group small keeps at least 3 pods (before: 1)"]
    assert server.asked[-1] == (
        "PATCH",
        f"{RAYS}/rayclusters/hello-x",
        [
            {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "add", "path": "/spec/workerGroupSpecs/0/minReplicas", "value": 3},
        ],
    )


def changed(server: ApiServer, **words: int) -> Active:
    """The cluster as it runs, and its RayService as it was edited since."""
    service = described(server)
    server.objects[f"{RAYS}/rayservices/hello"]["spec"]["rayClusterConfig"]["workerGroupSpecs"][0].update(words)
    return service.active()


@pytest.mark.parametrize(("most", "carried"), [(9, 9), (2, 2), (0, 1)])
def test_the_rayservice_s_most_reaches_the_running_cluster(server: ApiServer, most: int, carried: int) -> None:
    """Down to what runs, and no further: KubeRay would delete pods whatever is on them."""
    wanted = [Need("m", 8, 8, 1, 0, settled=False)]
    said = follow(server, changed(server, maxReplicas=most), {"small": wanted})
    assert said == [f"hello-x: worker group small may have {carried} pods (before: 5)"]
    assert server.asked[-1][2][1:] == [{"op": "add", "path": "/spec/workerGroupSpecs/0/maxReplicas", "value": carried}]


def test_pods_are_asked_for_up_to_the_new_most_at_once(server: ApiServer) -> None:
    wanted = [Need("m", 8, 1, 1, 0, settled=False)]
    said = follow(server, changed(server, maxReplicas=7), {"small": wanted})
    assert said == [
        "hello-x: worker group small may have 7 pods (before: 5)",
        "hello-x: worker group small keeps at least 7 pods (before: 1)",
    ]


def test_a_group_that_the_rayservice_has_no_more_keeps_no_pods(server: ApiServer) -> None:
    cluster = ray_cluster()
    gone = {**cluster["spec"]["workerGroupSpecs"][0], "groupName": "gone", "minReplicas": 2}
    cluster["spec"]["workerGroupSpecs"].append(gone)
    said = follow(server, described(server, cluster).active(), {"small": [Need("m", 1, 1, 1, 0, settled=True)]})
    assert said == ["hello-x: worker group gone keeps no pods: the RayService has it no more"]
    assert server.asked[-1][2][1:] == [{"op": "add", "path": "/spec/workerGroupSpecs/1/minReplicas", "value": 0}]


@pytest.mark.parametrize("status", [409, 422])
def test_a_cluster_that_another_changed_is_looked_at_again(server: ApiServer, status: int) -> None:
    active = described(server).active()
    server.fails = {"PATCH": status}
    assert follow(server, active) == []


def test_a_patch_that_is_refused_and_groups_that_cannot_be_are_said(server: ApiServer) -> None:
    active = described(server).active()
    with pytest.raises(Failed, match="has no worker group big: it has small"):
        follow(server, active, {"big": WANTED})
    with pytest.raises(Failed, match="holds no replica of m"):
        follow(server, active, {"small": [Need("m", 1, 0, 1, 8, settled=False)]})
    server.fails = {"PATCH": 403}
    with pytest.raises(Failed, match="not allowed to patch"):
        follow(server, active)
