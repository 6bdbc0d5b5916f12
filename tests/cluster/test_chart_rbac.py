"""The chart's accounts on a real API server, impersonated: the autoscaler may what it needs, the others nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config
from kubernetes.client import ApiClient, Configuration

from autoscaling.history import History
from autoscaling.kubernetes.api import Api, Refused
from autoscaling.kubernetes.events import Events, Subject
from autoscaling.kubernetes.lease import PLAN_URL, Lease
from autoscaling.kubernetes.memory import ConfigMapMemory
from autoscaling.kubernetes.reports import Report
from serve.fleet.autoscaling_kubernetes import Kubernetes
from tests.support.access import Account, Right, granted_to, rights_of_autoscaler
from tests.support.cluster import Cluster, Object, Space
from tests.support.releases import Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

LEASE, HISTORY, SERVICE = "parlance-autoscaler", "parlance-autoscaler-history", "parlance-main"
ACCESS = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
RAYS = "/apis/ray.io/v1/namespaces/{}"


@dataclass
class Granted:
    """The chart's accounts and what is granted to them, applied in a namespace; nothing else of the chart."""

    space: Space
    kubeconfig: Path
    objects: list[Object]

    def account(self, component: str) -> Account:
        return Account(self.api(), self.space.name, f"parlance-{component}")

    def api(self, user: str | None = None) -> Api:
        """Calls of an administrator, or of whom he impersonates."""
        settings = Configuration()
        config.load_kube_config(str(self.kubeconfig), client_configuration=settings)
        settings.retries = False
        client = ApiClient(settings)
        if user is not None:
            client.set_default_header("Impersonate-User", user)
        return Api(client, self.space.name, 20)

    def rights(self, component: str) -> set[Right]:
        """What is granted to an account of the chart, and not to every account."""
        everyone = granted_to(self.api(self.account("nobody").user), self.space.name)
        return granted_to(self.api(self.account(component).user), self.space.name) - everyone

    def autoscaler(self) -> Api:
        return self.api(self.account("autoscaler").user)

    def kubectl_says(self, component: str, *question: str) -> str:
        """The answer of `kubectl auth can-i`: yes or no."""
        asked = ("auth", "can-i", *question, "--as", self.account(component).user)
        return self.space.try_kubectl(*asked).out.strip()


def applied(space: Space, kubeconfig: Path, *words: str) -> Granted:
    objects = [one for one in Release(space).rendered(*words) if one["kind"] in ACCESS]
    space.apply(*objects)
    return Granted(space, kubeconfig, objects)


@pytest.fixture(scope="module")
def granted(cluster: Cluster, kubeconfig: Path) -> Iterator[Granted]:
    """What the chart's own values grant. Tests here leave it as it is."""
    space = cluster.space()
    yield applied(space, kubeconfig)
    space.delete()


def test_the_autoscaler_may_exactly_what_it_needs(granted: Granted) -> None:
    needed = rights_of_autoscaler(LEASE, HISTORY, services=[SERVICE], lists_pods=False)
    # `create` is granted without a name, and so for every name.
    named = {right for right in needed if right[2] is not None and right[3] == "create"}
    assert granted.rights("autoscaler") == needed - named


def test_of_secrets_it_may_get_the_token_alone_where_its_name_is_known(space: Space, kubeconfig: Path) -> None:
    account = applied(space, kubeconfig, "--set", "engines.token.existingSecret=ray-token").account("autoscaler")
    may = {name: account.may(space.name, "", "secrets", name, "get") for name in ("ray-token", "parlance-keys", None)}
    assert may == {"ray-token": True, "parlance-keys": False, None: False}


@pytest.mark.parametrize("component", ["gateway", "engines"])
def test_gateway_and_engines_may_nothing(granted: Granted, component: str) -> None:
    accounts = {one["metadata"]["name"] for one in granted.objects if one["kind"] == "ServiceAccount"}
    assert granted.account(component).name in accounts
    assert granted.rights(component) == set()


def test_no_other_namespace_is_open_and_nothing_of_the_whole_cluster(granted: Granted) -> None:
    api, nobody = granted.autoscaler(), granted.api(granted.account("nobody").user)
    assert granted_to(api, "default") == granted_to(nobody, "default")
    assert not granted.account("autoscaler").may(None, "", "secrets", None, "get")
    assert {one["kind"] for one in granted.objects} == {"ServiceAccount", "Role", "RoleBinding"}


def test_kubectl_says_the_same(granted: Granted) -> None:
    asked = {
        ("update", f"leases.coordination.k8s.io/{LEASE}"): "yes",
        ("update", "leases.coordination.k8s.io/another"): "no",
        ("get", f"rayservices.ray.io/{SERVICE}"): "yes",
        ("patch", f"rayservices.ray.io/{SERVICE}"): "no",
        ("list", "secrets"): "no",
        ("create", "pods/exec"): "no",
    }
    assert {question: granted.kubectl_says("autoscaler", *question) for question in asked} == asked


def test_the_autoscaler_does_its_work_as_its_account(granted: Granted) -> None:
    """Every call that its code makes, as the account; KubeRay's objects are named and are not there."""
    api, settings = granted.autoscaler(), Kubernetes(lease=LEASE, config_map=HISTORY)
    lease, memory = Lease(api, settings, 60, "http://10.0.0.1:8082/plan/own"), ConfigMapMemory(api, settings)
    assert lease.leads()
    held = granted.space.get("lease", LEASE)
    assert held["spec"]["holderIdentity"] == lease.identity
    assert held["metadata"]["annotations"] == {PLAN_URL: "http://10.0.0.1:8082/plan/own"}

    memory.load(0.0, 0.0)
    memory.save(History(), 0.0, 0.0, now=True)
    memory.save(History(), 1.0, 1.0, now=True)
    assert granted.space.names("configmaps") >= {HISTORY}

    events = Events(api, lease.identity)
    subject = Subject(lease.path, "Lease", "coordination.k8s.io/v1", granted.space.name, LEASE)
    for _ in range(2):  # one is made, and then patched
        events.tell(subject, Report(None, "ScaleFailed", "Scale", "the dashboard does not answer", warning=True))
    events.close(10)
    assert granted.space.events("ScaleFailed")

    token = {"metadata": {"name": "parlance-main-abcde"}, "stringData": {"auth_token": "t"}}
    granted.space.apply({"apiVersion": "v1", "kind": "Secret", **token})
    space = granted.space.name
    assert api.get(f"/api/v1/namespaces/{space}/secrets/parlance-main-abcde")["data"]
    rays = RAYS.format(space)
    for call in (
        lambda: api.get(f"{rays}/rayservices/{SERVICE}"),
        lambda: api.get(f"{rays}/rayclusters/parlance-main-abcde"),
        lambda: api.patch(f"{rays}/rayclusters/parlance-main-abcde", []),
    ):
        with pytest.raises(Refused) as missing:
            call()
        assert missing.value.missing, missing.value  # 404: allowed, and not there

    lease.resign()
    left = granted.space.get("lease", LEASE)
    assert not left["spec"].get("holderIdentity")
    assert PLAN_URL not in left["metadata"].get("annotations", {})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/namespaces/{}/secrets", None),
        ("GET", "/api/v1/namespaces/{}/pods", None),
        ("GET", "/api/v1/namespaces/kube-system/secrets/x", None),
        ("GET", "/api/v1/nodes", None),
        ("GET", "/apis/coordination.k8s.io/v1/namespaces/{}/leases/another", None),
        ("GET", f"{RAYS}/rayservices", None),
        ("GET", f"{RAYS}/rayservices/of-others", None),
        ("DELETE", f"{RAYS}/rayclusters/x", None),
        ("DELETE", "/apis/coordination.k8s.io/v1/namespaces/{}/leases/parlance-autoscaler", None),
        ("DELETE", "/api/v1/namespaces/{}/configmaps/parlance-fleet", None),
        ("POST", "/api/v1/namespaces/{}/pods", {"apiVersion": "v1", "kind": "Pod"}),
        ("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles", {"kind": "Role"}),
    ],
)
def test_everything_else_is_refused(granted: Granted, method: str, path: str, body: Any) -> None:
    for component in ("autoscaler", "gateway", "engines"):
        with pytest.raises(Refused) as refused:
            granted.api(granted.account(component).user).call(method, path.format(granted.space.name), body)
        assert refused.value.status == 403, refused.value
        assert f'{granted.space.name}:parlance-{component}" cannot' in str(refused.value)


def test_no_account_has_a_token_mounted_by_itself(granted: Granted) -> None:
    accounts = [one for one in granted.objects if one["kind"] == "ServiceAccount"]
    assert [one["metadata"]["name"] for one in accounts if one["automountServiceAccountToken"] is not False] == []
