"""The Role of docs/kubernetes.md on a real API server: what the autoscaler does is allowed, and nothing else."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from kubernetes.config import incluster_config

from autoscaling.history import History
from autoscaling.kubernetes import api as api_module
from autoscaling.kubernetes.api import Refused, connect
from autoscaling.kubernetes.events import Events, Subject
from autoscaling.kubernetes.lease import Lease
from autoscaling.kubernetes.memory import ConfigMapMemory
from autoscaling.kubernetes.reports import Report
from serve.errors import LocalError
from serve.fleet.autoscaling_kubernetes import Kubernetes
from tests.support.access import Account, resources, rights_of_autoscaler
from tests.support.kubernetes import Namespace, documented, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

LEASE, HISTORY = "parlance-autoscaler", "parlance-autoscaler-history"
NEEDED = rights_of_autoscaler(LEASE, HISTORY)


def account(namespace: Namespace) -> Account:
    """The documented one."""
    return Account(namespace.admin, namespace.name, "parlance-autoscaler")


def test_exactly_what_is_needed_is_allowed(namespace: Namespace) -> None:
    assert len(list(resources(namespace.admin))) > 50
    assert account(namespace).other_than(NEEDED) == []


def test_no_other_namespace_is_open(namespace: Namespace) -> None:
    asked = account(namespace)
    assert not any(asked.may("default", *needed) for needed in NEEDED)
    assert not any(asked.may(None, *needed) for needed in NEEDED)


def test_the_names_of_the_role_are_the_defaults() -> None:
    rules = next(one for one in documented() if one["kind"] == "Role")["rules"]
    named = {name for rule in rules for name in rule.get("resourceNames", ())}
    assert named == {Kubernetes().lease, Kubernetes().config_map} == {LEASE, HISTORY}


def test_the_account_does_its_work(namespace: Namespace) -> None:
    """Each call of the code once, as this account; KubeRay's in test_kubernetes_kuberay.py."""
    api, settings = namespace.api(), Kubernetes(duration_s=20, renew_deadline_s=10, retry_s=1)
    lease, memory = Lease(api, settings, 60), ConfigMapMemory(api, settings)
    assert lease.leads()
    first = namespace.lease()
    until("it is renewed", lambda: namespace.lease()["renewTime"] != first["renewTime"])
    assert lease.leads()
    memory.save(History(), 0.0, 0.0, now=True)
    memory.save(History(), 0.0, 1.0, now=True)
    lease.resign()
    assert namespace.lease()["holderIdentity"] == ""
    assert not memory.load(0.0, 0.0).models


def test_in_a_pod_the_service_account_is_used(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the files that Kubernetes puts into a pod, at another place."""
    (tmp_path / "token").write_text(namespace.token())
    (tmp_path / "ca.crt").write_bytes(namespace.authority())
    (tmp_path / "namespace").write_text(namespace.name)
    address = urlsplit(namespace.server)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", address.hostname or "")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port or 443))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setattr(api_module, "NAMESPACE_FILE", tmp_path / "namespace")
    monkeypatch.setenv("POD_NAME", "parlance-autoscaler-0")
    lease = Lease(connect(None, 5), Kubernetes(), 60)
    assert lease.leads()
    assert namespace.lease()["holderIdentity"] == lease.identity
    assert lease.identity.startswith("parlance-autoscaler-0_")
    lease.resign()


def test_outside_of_a_cluster_the_kubeconfig_says_where(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(namespace.as_account()))
    assert connect(None, 5).namespace == namespace.name
    assert connect("other", 5).namespace == "other"
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(LocalError, match="run in a pod with a service account, set KUBECONFIG, or leave"):
        connect(None, 5)


@pytest.mark.parametrize(
    ("method", "path", "verb"),
    [
        ("GET", "/api/v1/namespaces/{}/secrets", "list"),
        ("DELETE", "/apis/coordination.k8s.io/v1/namespaces/{}/leases/parlance-autoscaler", "delete"),
        ("GET", "/apis/coordination.k8s.io/v1/namespaces/{}/leases/another", "get"),
        ("GET", "/api/v1/namespaces/kube-system/secrets/x", "get"),
    ],
)
def test_what_is_refused_says_what_is_missing(namespace: Namespace, method: str, path: str, verb: str) -> None:
    with pytest.raises(Refused) as refused:
        namespace.api().call(method, path.format(namespace.name))
    assert refused.value.status == 403
    said = str(refused.value)
    assert f'serviceaccount:{namespace.name}:parlance-autoscaler" cannot {verb} resource' in said
    assert "docs/kubernetes.md" in said


def test_a_write_of_a_leader_that_was_replaced_changes_nothing(namespace: Namespace) -> None:
    api, settings = namespace.api(), Kubernetes()
    old, new = ConfigMapMemory(api, settings), ConfigMapMemory(api, settings)
    old.load(0.0, 0.0)
    old.save(History(), 100.0, 0.0, now=True)
    new.load(0.0, 0.0)
    new.save(History(), 200.0, 0.0, now=True)
    path = f"/api/v1/namespaces/{namespace.name}/configmaps/{HISTORY}"
    written = namespace.get(path)["binaryData"]
    old.save(History(), 300.0, 1.0, now=True)
    assert namespace.get(path)["binaryData"] == written
    assert base64.b64decode(written["history.json.gz"])[:2] == b"\x1f\x8b"


def test_a_history_is_not_written_more_often_than_it_is_due(namespace: Namespace) -> None:
    memory = ConfigMapMemory(namespace.api(), Kubernetes(save_s=60))
    memory.load(0.0, 0.0)
    path = f"/api/v1/namespaces/{namespace.name}/configmaps/{HISTORY}"
    memory.save(History(), 0.0, 59.0, now=False)
    with pytest.raises(Refused, match="not found"):
        namespace.get(path)
    memory.save(History(), 0.0, 61.0, now=False)
    version = namespace.get(path)["metadata"]["resourceVersion"]
    memory.save(History(), 1.0, 62.0, now=False)
    assert namespace.get(path)["metadata"]["resourceVersion"] == version
    memory.save(History(), 2.0, 63.0, now=True)
    assert namespace.get(path)["metadata"]["resourceVersion"] != version


def test_what_repeats_is_one_event_with_a_count(namespace: Namespace) -> None:
    api = namespace.api()
    lease = Lease(api, Kubernetes(), 60)
    assert lease.leads()
    events = Events(api, lease.identity)
    subject = Subject(lease.path, "Lease", "coordination.k8s.io/v1", namespace.name, lease.name)
    for _ in range(3):
        events.tell(subject, Report(None, "ScaleFailed", "Scale", "the dashboard does not answer", warning=True))
    events.tell(subject, Report(None, "ScaledUp", "Scale", "1 -> 2 replicas"))
    events.close(10)
    lease.resign()
    told: dict[str, Any] = {event["reason"]: event for event in namespace.events()}
    assert set(told) == {"ScaleFailed", "ScaledUp"}
    assert told["ScaleFailed"]["series"]["count"] == 3
    assert told["ScaleFailed"]["type"] == "Warning"
    assert told["ScaledUp"].get("series") is None


def test_a_lease_that_nobody_asks_for_is_let_go(namespace: Namespace) -> None:
    """A controller that hangs is not kept in office by the thread that renews."""
    lease = Lease(namespace.api(), Kubernetes(duration_s=20, renew_deadline_s=10, retry_s=0.5), patience_s=2)
    assert lease.leads()
    until("it is let go", lambda: namespace.lease()["holderIdentity"] == "")
    until("asked again, it leads again", lease.leads, every_s=0.5)
    lease.resign()
