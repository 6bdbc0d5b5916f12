"""The autoscaler's pods, what they may do, and where their plan is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from serve.fleet.loader import resolve
from tests.support.autoscaler import AutoscalerProcess
from tests.support.helm import Object, named
from tests.support.kubernetes import documented
from tests.support.workloads import container, pod, unrestricted

pytestmark = pytest.mark.integration

Rendered = Callable[..., list[Object]]
NAME = "parlance-autoscaler"
KEYS = ["gateway.keys.existingSecret=clients"]
# What docs/kubernetes.md grants and the chart does not need: Ray's own autoscaler is on.
NOT_NEEDED = {("", "pods", "list")}
# What the chart narrows to names that it knows.
NARROWED = {("ray.io", "rayservices")}


@pytest.fixture(scope="module")
def usual(rendered: Rendered) -> list[Object]:
    """The chart with its own values, but for the keys."""
    return rendered(sets=KEYS)


def fleet_of(objects: list[Object], full: str = "parlance") -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(named(objects, "ConfigMap", f"{full}-fleet")["data"]["fleet.yaml"])
    return found


def granted(role: Object) -> dict[tuple[str, str, str], frozenset[str]]:
    """By group, resource and verb the names it is granted for; none: any."""
    return {
        (group, resource, verb): frozenset(rule.get("resourceNames", ()))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def described(cluster: dict[str, Any]) -> dict[str, Any]:
    """Values with a fleet of one model on a cluster of this description, and one on the chart's own."""
    gpu = {"gpu": "H100-SXM-80GB"}
    models = [
        {"use": "gemma-2-9b-it", "engine": gpu, "cluster": "other"},
        {"use": "eurollm-9b-instruct", "engine": gpu, "cluster": "main"},
    ]
    clusters = {"main": {}, "other": cluster}
    return {"fleet": {"version": 1, "clusters": clusters, "models": models}}


# What it may do


def test_the_role_is_that_of_the_docs_and_no_wider(usual: list[Object]) -> None:
    chart = granted(named(usual, "Role", NAME))
    (page,) = (granted(one) for one in documented() if one["kind"] == "Role")
    assert chart.keys() == page.keys() - NOT_NEEDED
    for (group, resource, verb), names in chart.items():
        if (group, resource) in NARROWED:
            assert names, resource
            assert not page[group, resource, verb]
        else:
            assert names == page[group, resource, verb], resource


def test_only_the_release_s_own_rayservices_are_read(usual: list[Object]) -> None:
    names = granted(named(usual, "Role", NAME))["ray.io", "rayservices", "get"]
    assert names == {one["metadata"]["name"] for one in usual if one["kind"] == "RayService"}


def test_with_a_token_that_is_there_no_other_secret_is_read(rendered: Rendered) -> None:
    objects = rendered(sets=[*KEYS, "engines.token.existingSecret=ray-token"])
    assert granted(named(objects, "Role", NAME))["", "secrets", "get"] == {"ray-token"}
    for service in (one for one in objects if one["kind"] == "RayService"):
        assert service["spec"]["rayClusterConfig"]["authOptions"] == {"mode": "token", "secretName": "ray-token"}


def test_two_releases_in_a_namespace_have_leases_of_their_own(rendered: Rendered) -> None:
    objects = rendered(name="second", sets=KEYS)
    settings = fleet_of(objects, "second-parlance")["autoscaling"]["kubernetes"]
    may = granted(named(objects, "Role", "second-parlance-autoscaler"))
    assert may["coordination.k8s.io", "leases", "update"] == {settings["lease"]} == {"second-parlance-autoscaler"}
    assert may["", "configmaps", "get"] == {settings["config_map"]} == {"second-parlance-autoscaler-history"}


@pytest.mark.parametrize(
    ("elsewhere", "read"),
    [({}, {"parlance-main", "theirs"}), ({"namespace": "rays"}, {"parlance-main"})],
)
def test_a_cluster_of_others_is_read_where_it_is_in_this_namespace(
    rendered: Rendered, elsewhere: dict[str, str], read: set[str]
) -> None:
    cluster = {"serve_url": "http://theirs-serve-svc:8000", "rayservice": {"name": "theirs", **elsewhere}}
    may = granted(named(rendered(described(cluster), sets=KEYS), "Role", NAME))
    assert may["ray.io", "rayservices", "get"] == read


def test_without_rayservices_there_is_nothing_to_read_of_ray(rendered: Rendered) -> None:
    fleet = {
        "version": 1,
        "clusters": {"main": {"serve_url": "http://x:8000", "dashboard_url": "http://x:8265"}},
        "models": [{"use": "gemma-2-9b-it", "engine": {"gpu": "H100-SXM-80GB"}}],
    }
    groups = {group for group, _, _ in granted(named(rendered({"fleet": fleet}, sets=KEYS), "Role", NAME))}
    assert groups == {"coordination.k8s.io", "", "events.k8s.io"}


def test_the_role_is_bound_to_the_pods_account_alone(rendered: Rendered, usual: list[Object]) -> None:
    given = ["autoscaler.serviceAccount.create=false", "autoscaler.serviceAccount.name=mine"]
    for objects, account in ((usual, NAME), (rendered(sets=[*KEYS, *given]), "mine")):
        binding = named(objects, "RoleBinding")
        assert binding["roleRef"]["name"] == NAME
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "parlance"}]
        assert pod(objects, NAME)["spec"]["serviceAccountName"] == account


def test_only_its_pods_have_a_token(usual: list[Object]) -> None:
    mounted = {
        one["metadata"]["name"]: one["spec"]["template"]["spec"].get("automountServiceAccountToken", True)
        for one in usual
        if one["kind"] == "Deployment"
    }
    assert {name for name, token in mounted.items() if token} == {NAME}
    assert named(usual, "ServiceAccount", NAME)["automountServiceAccountToken"] is False


def test_nothing_is_asked_for_in_the_whole_cluster(usual: list[Object]) -> None:
    assert not [one["kind"] for one in usual if one["kind"].startswith("Cluster")]
    assert {one["metadata"]["namespace"] for one in usual} == {"parlance"}


# Its pods


def test_the_pod_is_restricted_and_can_write_nowhere(usual: list[Object]) -> None:
    template = pod(usual, NAME)
    assert unrestricted(template) == []
    assert [volume["name"] for volume in template["spec"]["volumes"] if "emptyDir" in volume] == []


def test_pods_know_their_names_and_where_others_find_them(usual: list[Object]) -> None:
    told = {one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"] for one in container(usual, NAME)["env"][:2]}
    assert told == {"POD_NAME": "metadata.name", "POD_IP": "status.podIP"}


def test_one_may_be_away_while_the_other_leads(usual: list[Object]) -> None:
    assert named(usual, "Deployment", NAME)["spec"]["replicas"] == 2
    budget = named(usual, "PodDisruptionBudget", NAME)["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == named(usual, "Deployment", NAME)["spec"]["selector"]


def test_a_dry_run_is_one_value(rendered: Rendered, usual: list[Object]) -> None:
    command = ["parlance", "autoscaler", "--fleet", "/etc/parlance/fleet.yaml"]
    assert container(usual, NAME)["command"] == command
    assert container(rendered(sets=[*KEYS, "autoscaler.dryRun=true"]), NAME)["command"] == [*command, "--dry-run"]


def test_a_hung_round_has_ended_its_lead_before_the_pod_is_restarted(usual: list[Object]) -> None:
    one = container(usual, NAME)
    for kind in ("startup", "readiness", "liveness"):
        assert one[f"{kind}Probe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    lease = resolve(fleet_of(usual), "the chart's").autoscaling.kubernetes
    assert lease is not None
    assert one["livenessProbe"]["periodSeconds"] * one["livenessProbe"]["failureThreshold"] > lease.duration_s


def test_gateways_read_the_plan_through_its_service(usual: list[Object]) -> None:
    url = urlsplit(fleet_of(usual)["gateway"]["plan_url"])
    service = named(usual, "Service", str(url.hostname))
    (port,) = service["spec"]["ports"]
    (own,) = container(usual, NAME)["ports"]
    assert (port["port"], port["targetPort"], url.path) == (url.port, own["name"], "/plan")
    assert own["containerPort"] == fleet_of(usual)["autoscaling"]["port"]
    assert service["spec"]["selector"] == named(usual, "Deployment", NAME)["spec"]["selector"]["matchLabels"]


def test_without_it_nothing_of_it_is_there_and_nobody_asks_for_plans(rendered: Rendered) -> None:
    objects = rendered(sets=[*KEYS, "autoscaler.enabled=false"])
    assert not [one["metadata"]["name"] for one in objects if "autoscaler" in one["metadata"]["name"]]
    assert "plan_url" not in fleet_of(objects)["gateway"]


# A process of it


def test_an_autoscaler_runs_on_what_is_rendered(usual: list[Object], tmp_path: Path) -> None:
    """With an API server that does not answer: it is alive, does not lead, says so, and ends when it is told to."""
    (tmp_path / "fleet.yaml").write_text(yaml.safe_dump(fleet_of(usual)))
    cluster = {"name": "none", "cluster": {"server": "http://127.0.0.1:9"}}
    context = {"name": "none", "context": {"cluster": "none", "user": "none", "namespace": "parlance"}}
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "none", "clusters": [cluster]}
    config |= {"users": [{"name": "none", "user": {}}], "contexts": [context]}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    (tmp_path / "home").mkdir(mode=0o500)
    env = {
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "HOME": str(tmp_path / "home"),
        "POD_NAME": f"{NAME}-0",
        "POD_IP": "127.0.0.1",
    }
    prometheus = fleet_of(usual)["autoscaling"]["prometheus_url"]
    process = AutoscalerProcess(tmp_path / "fleet.yaml", prometheus, None, tmp_path / "log", env=env)
    try:
        assert not process.leads
        assert process.plan()["models"] == {}
        assert f"Lease parlance/{NAME}" in process.log.read_text()
        assert "Traceback" not in process.log.read_text()
        assert not list((tmp_path / "home").iterdir())
    finally:
        assert process.stop() == 0
