"""The gateway's pods, and how clients reach them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve.fleet.loader import resolve
from serve.gateway.auth import KeyRefused, Keyring, KeysFile, load_keys
from tests.support.gateway import GatewayProcess
from tests.support.helm import Object, named
from tests.support.workloads import container, pod, rolled, unrestricted

pytestmark = pytest.mark.integration

Rendered = Callable[..., list[Object]]
NAME = "parlance-gateway"
KEYS = ["gateway.keys.existingSecret=clients"]  # so that two renders differ in nothing else
GATEWAY, AUTOSCALER = "Deployment/parlance-gateway", "Deployment/parlance-autoscaler"


@pytest.fixture(scope="module")
def usual(rendered: Rendered) -> list[Object]:
    """The chart with its own values, but for the keys."""
    return rendered(sets=KEYS)


@pytest.fixture(scope="module")
def generated(rendered: Rendered) -> list[Object]:
    """The chart with its own values."""
    return rendered()


def kinds(objects: list[Object], kind: str) -> list[str]:
    return [one["metadata"]["name"] for one in objects if one["kind"] == kind]


def data(secret: Object) -> dict[str, str]:
    return {key: base64.b64decode(text).decode() for key, text in secret["data"].items()}


# What rolls on which change


@pytest.mark.parametrize(
    "values",
    [
        {"models": {"gemma-2-9b-it": {"card": {"price": {"input_usd_per_mtok": 0.3, "output_usd_per_mtok": 0.4}}}}},
        {"models": {"gemma-2-9b-it": {"aliases": ["g2"]}}},
        {"models": {"gemma-2-9b-it": {"engine": {"replicas": {"max": 3}}}}},
    ],
    ids=["a price", "an alias", "the most replicas of a model"],
)
def test_a_change_of_the_fleet_without_engines_rolls_gateways(
    rendered: Rendered, usual: list[Object], values: dict[str, Any]
) -> None:
    changed = rolled(usual, rendered(values, sets=KEYS))
    assert {GATEWAY, AUTOSCALER} <= changed
    if "replicas" not in str(values):  # bounds of a worker group stand in the RayService; its pods stay
        assert changed == {GATEWAY, AUTOSCALER}


def test_a_change_of_policy_rolls_gateway_and_autoscaler_and_no_engine(rendered: Rendered, usual: list[Object]) -> None:
    fleet = yaml.safe_load(named(usual, "ConfigMap", "parlance-fleet")["data"]["fleet.yaml"])
    given = {"version": 1, "name": "parlance", "models": fleet["models"], "routing": {"quality_floor": "best"}}
    assert rolled(usual, rendered({"fleet": given}, sets=KEYS)) == {GATEWAY, AUTOSCALER}


def test_other_keys_roll_the_gateway_only(rendered: Rendered, usual: list[Object]) -> None:
    assert rolled(usual, rendered(sets=["gateway.keys.existingSecret=others"])) == {GATEWAY}


def test_the_same_values_roll_nothing(rendered: Rendered, usual: list[Object]) -> None:
    assert rolled(usual, rendered(sets=KEYS)) == set()


def test_a_new_version_of_the_chart_rolls_nothing_by_its_labels(usual: list[Object]) -> None:
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        for name in kinds(usual, kind):
            spec = named(usual, kind, name)["spec"]
            selector = spec["selector"].get("matchLabels", spec["selector"])
            labels = {**selector, **spec.get("template", {}).get("metadata", {}).get("labels", {})}
            assert not {"helm.sh/chart", "app.kubernetes.io/version"} & labels.keys(), f"{kind}/{name}"


# Keys


def test_the_generated_key_is_one_that_the_gateway_takes(generated: list[Object], tmp_path: Path) -> None:
    made = data(named(generated, "Secret", "parlance-keys"))
    path = tmp_path / "keys.yaml"
    path.write_text(made["keys.yaml"])
    ring = Keyring(load_keys(path))
    assert ring.identify({b"authorization": f"Bearer {made['api-key']}".encode()}).tenant == "default"
    with pytest.raises(KeyRefused):
        ring.identify({b"authorization": f"Bearer {made['api-key'][:-1]}".encode()})


def test_the_generated_key_is_as_hard_to_guess_as_those_of_parlance_keys(generated: list[Object]) -> None:
    key = data(named(generated, "Secret", "parlance-keys"))["api-key"]
    assert key.startswith("pk-")
    assert 62 ** len(key.removeprefix("pk-")) >= 2**256


def test_the_key_stands_in_its_secret_and_nowhere_else(generated: list[Object]) -> None:
    key = data(named(generated, "Secret", "parlance-keys"))["api-key"]
    forms = (key, base64.b64encode(key.encode()).decode())
    others = json.dumps([one for one in generated if one["kind"] != "Secret"])
    assert not any(form in others for form in forms)
    assert key not in data(named(generated, "Secret", "parlance-keys"))["keys.yaml"]


def test_only_digests_are_mounted_into_the_gateway(generated: list[Object]) -> None:
    (config,) = (one for one in pod(generated, NAME)["spec"]["volumes"] if one["name"] == "config")
    (secret,) = (source["secret"] for source in config["projected"]["sources"] if "secret" in source)
    assert secret == {"name": "parlance-keys", "items": [{"key": "keys.yaml", "path": "keys/keys.yaml"}]}


def test_each_render_without_a_cluster_makes_another_key_and_says_so(
    rendered: Rendered, generated: list[Object]
) -> None:
    first, second = (named(one, "Secret", "parlance-keys") for one in (generated, rendered()))
    assert first["data"] != second["data"]
    assert "gateway.keys.existingSecret" in first["metadata"]["annotations"]["parlance.dev/about"]


def test_with_an_existing_secret_no_key_is_made(usual: list[Object]) -> None:
    assert kinds(usual, "Secret") == []


def test_the_key_of_an_existing_secret_is_where_the_fleet_says(rendered: Rendered) -> None:
    objects = rendered(sets=[*KEYS, "gateway.keys.key=api-keys"])
    volumes = {one["name"]: one for one in pod(objects, NAME)["spec"]["volumes"]}
    mounts = {one["name"]: one["mountPath"] for one in container(objects, NAME)["volumeMounts"]}
    (item,) = volumes["config"]["projected"]["sources"][1]["secret"]["items"]
    fleet = yaml.safe_load(named(objects, "ConfigMap", "parlance-fleet")["data"]["fleet.yaml"])
    assert item["key"] == "api-keys"
    assert fleet["gateway"]["keys_file"] == f"{mounts['config']}/{item['path']}"
    assert fleet["gateway"]["state_dir"] == mounts["state"]


# The end of a pod


def test_a_pod_may_stay_for_as_long_as_its_longest_stream(usual: list[Object]) -> None:
    fleet = resolve(yaml.safe_load(named(usual, "ConfigMap", "parlance-fleet")["data"]["fleet.yaml"]), "the chart's")
    longest = max(model.engine.max_stream_s for model in fleet.models if model.engine is not None)
    sleep = int(container(usual, NAME)["lifecycle"]["preStop"]["exec"]["command"][1])
    assert fleet.gateway.drain_s == longest
    assert pod(usual, NAME)["spec"]["terminationGracePeriodSeconds"] >= sleep + longest + 10


def test_a_drain_that_is_named_reaches_gateway_and_kubelet(rendered: Rendered) -> None:
    objects = rendered(sets=[*KEYS, "gateway.drainSeconds=60", "gateway.preStopSeconds=0"])
    fleet = yaml.safe_load(named(objects, "ConfigMap", "parlance-fleet")["data"]["fleet.yaml"])
    assert fleet["gateway"]["drain_s"] == 60
    assert pod(objects, NAME)["spec"]["terminationGracePeriodSeconds"] == 90
    assert "lifecycle" not in container(objects, NAME)


def test_a_rollout_never_takes_a_pod_before_another_is_ready(usual: list[Object]) -> None:
    spec = named(usual, "Deployment", NAME)["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    # At a first install it is ready when an engine is: that must not count as a rollout that failed.
    assert spec["progressDeadlineSeconds"] > 1800


def test_with_a_volume_of_its_own_the_old_pod_ends_first(rendered: Rendered) -> None:
    one = ["gateway.state.existingClaim=ledger", "gateway.autoscaling.enabled=false", "gateway.replicas=1"]
    objects = rendered(sets=[*KEYS, *one])
    assert named(objects, "Deployment", NAME)["spec"]["strategy"] == {"type": "Recreate"}
    (state,) = (one for one in pod(objects, NAME)["spec"]["volumes"] if one["name"] == "state")
    assert state == {"name": "state", "persistentVolumeClaim": {"claimName": "ledger"}}


# The pod


def test_probes_ask_different_questions_on_the_operator_s_port(usual: list[Object]) -> None:
    one = container(usual, NAME)
    asked = {kind: one[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")}
    assert asked["readiness"] == {"path": "/readyz", "port": "admin"}
    assert asked["startup"] == asked["liveness"] == {"path": "/healthz", "port": "admin"}
    # A worker that died is back within half a minute: longer than the probe's patience would be one restart more.
    assert one["livenessProbe"]["periodSeconds"] * one["livenessProbe"]["failureThreshold"] > 30


def test_the_pod_is_restricted_and_has_no_token(usual: list[Object]) -> None:
    template = pod(usual, NAME)
    assert unrestricted(template) == []
    assert template["spec"]["automountServiceAccountToken"] is False
    assert named(usual, "ServiceAccount", NAME)["automountServiceAccountToken"] is False
    assert template["spec"]["serviceAccountName"] == NAME


def test_every_worker_has_an_operator_s_port(rendered: Rendered) -> None:
    fleet = {"models": [{"use": "gemma-2-9b-it", "engine": {"gpu": "H100-SXM-80GB"}}], "gateway": {"workers": 3}}
    objects = rendered({"fleet": {"version": 1, **fleet}}, sets=KEYS)
    ports = {port["name"]: port["containerPort"] for port in container(objects, NAME)["ports"]}
    assert ports == {"http": 8080, "admin": 8081, "admin-1": 8082, "admin-2": 8083}
    service = named(objects, "Service", "parlance-gateway-admin")["spec"]
    assert {port["name"]: port["port"] for port in service["ports"]} == {k: p for k, p in ports.items() if k != "http"}
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)


def test_it_goes_where_the_values_say(rendered: Rendered) -> None:
    given = {
        "nodeSelector": {"pool": "cpu"},
        "tolerations": [{"key": "cpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "podLabels": {"team": "llm"},
        "podAnnotations": {"a": "b"},
        "env": [{"name": "UPSTREAM_KEY", "valueFrom": {"secretKeyRef": {"name": "up", "key": "key"}}}],
        "topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}],
    }
    objects = rendered({"gateway": given, "imagePullSecrets": [{"name": "registry"}]}, sets=KEYS)
    template = pod(objects, NAME)
    for name in ("nodeSelector", "tolerations", "affinity", "priorityClassName", "topologySpreadConstraints"):
        assert template["spec"][name] == given[name]
    assert template["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert template["metadata"]["labels"]["team"] == "llm"
    assert template["metadata"]["annotations"]["a"] == "b"
    assert given["env"][0] in container(objects, NAME)["env"]


def test_without_constraints_pods_spread_over_zones_and_nodes(usual: list[Object]) -> None:
    spread = pod(usual, NAME)["spec"]["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    selector = named(usual, "Deployment", NAME)["spec"]["selector"]
    assert all(one["labelSelector"] == selector for one in spread)


def test_an_account_that_is_there_is_used(rendered: Rendered) -> None:
    objects = rendered(sets=[*KEYS, "gateway.serviceAccount.create=false", "gateway.serviceAccount.name=mine"])
    assert pod(objects, NAME)["spec"]["serviceAccountName"] == "mine"
    assert NAME not in kinds(objects, "ServiceAccount")


# How many


def test_an_hpa_owns_the_number_of_pods(usual: list[Object]) -> None:
    assert "replicas" not in named(usual, "Deployment", NAME)["spec"]
    hpa = named(usual, "HorizontalPodAutoscaler")["spec"]
    assert hpa["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
    assert (hpa["minReplicas"], hpa["maxReplicas"]) == (2, 8)
    (metric,) = hpa["metrics"]
    assert metric["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    assert "cpu" in container(usual, NAME)["resources"]["requests"]  # of which it is a share


def test_it_shrinks_by_one_pod_at_a_time_and_grows_at_once(usual: list[Object]) -> None:
    behaviour = named(usual, "HorizontalPodAutoscaler")["spec"]["behavior"]
    assert behaviour["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert [(one["type"], one["value"]) for one in behaviour["scaleDown"]["policies"]] == [("Pods", 1)]
    assert behaviour["scaleDown"]["stabilizationWindowSeconds"] >= 300


def test_metrics_of_one_s_own_stand_in_place_of_cpu(rendered: Rendered) -> None:
    own = [{"type": "Pods", "pods": {"metric": {"name": "x"}, "target": {"type": "AverageValue", "averageValue": "9"}}}]
    objects = rendered({"gateway": {"autoscaling": {"metrics": own}}}, sets=KEYS)
    assert named(objects, "HorizontalPodAutoscaler")["spec"]["metrics"] == own


def test_without_an_hpa_the_values_say_how_many(rendered: Rendered) -> None:
    objects = rendered(sets=[*KEYS, "gateway.autoscaling.enabled=false", "gateway.replicas=3"])
    assert named(objects, "Deployment", NAME)["spec"]["replicas"] == 3
    assert kinds(objects, "HorizontalPodAutoscaler") == []


def test_one_pod_may_be_evicted_at_a_time_and_one_that_is_not_ready_always(usual: list[Object]) -> None:
    budget = named(usual, "PodDisruptionBudget", NAME)["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["selector"] == named(usual, "Deployment", NAME)["spec"]["selector"]


@pytest.mark.parametrize(
    ("sets", "left"),
    [
        (["gateway.podDisruptionBudget.enabled=false"], None),
        (["gateway.podDisruptionBudget.maxUnavailable=25%"], "25%"),
    ],
)
def test_the_budget_is_the_values(rendered: Rendered, sets: list[str], left: str | None) -> None:
    budgets = {
        one["metadata"]["name"]: one["spec"]["maxUnavailable"]
        for one in rendered(sets=[*KEYS, *sets])
        if one["kind"] == "PodDisruptionBudget"
    }
    assert budgets.get(NAME) == left


# The way in


def test_the_service_is_that_of_the_values(rendered: Rendered) -> None:
    service = {
        "type": "LoadBalancer",
        "port": 8443,
        "annotations": {"cloud/lb": "internal"},
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
    }
    objects = rendered({"gateway": {"service": service}}, sets=KEYS)
    made = named(objects, "Service", NAME)
    assert made["metadata"]["annotations"] == {"cloud/lb": "internal"}
    assert (made["spec"]["type"], made["spec"]["loadBalancerSourceRanges"]) == ("LoadBalancer", ["10.0.0.0/8"])
    (port,) = made["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (8443, "http")
    assert made["spec"]["selector"] == named(objects, "Deployment", NAME)["spec"]["selector"]["matchLabels"]


def test_nothing_is_published_by_default(usual: list[Object]) -> None:
    assert not {"Ingress", "HTTPRoute"} & {one["kind"] for one in usual}
    assert {one["spec"].get("type") for one in usual if one["kind"] == "Service"} <= {"ClusterIP", None}


def ingress(rendered: Rendered, **given: Any) -> Object:
    return named(rendered({"gateway": {"ingress": {"enabled": True, **given}}}, sets=KEYS), "Ingress")


def test_an_ingress_leads_each_host_to_clients_port(rendered: Rendered) -> None:
    made = ingress(rendered, hosts=["a.example", "b.example"], className="nginx", annotations={"a/b": "text"})
    assert [rule["host"] for rule in made["spec"]["rules"]] == ["a.example", "b.example"]
    backends = [path["backend"] for rule in made["spec"]["rules"] for path in rule["http"]["paths"]]
    assert backends == [{"service": {"name": NAME, "port": {"name": "http"}}}] * 2
    assert made["spec"]["ingressClassName"] == "nginx"
    assert made["metadata"]["annotations"] == {"a/b": "text"}
    assert "tls" not in made["spec"]


@pytest.mark.parametrize(
    ("given", "tls"),
    [
        ({"hosts": ["a.example"], "tls": {"existingSecret": "cert"}}, {"hosts": ["a.example"], "secretName": "cert"}),
        ({"hosts": ["a.example"], "tls": {}}, {"hosts": ["a.example"]}),
    ],
)
def test_tls_is_for_all_hosts(rendered: Rendered, given: dict[str, Any], tls: dict[str, Any]) -> None:
    made = ingress(rendered, **given)
    assert made["spec"]["tls"] == [tls]


def test_without_hosts_an_ingress_takes_every_name(rendered: Rendered) -> None:
    (rule,) = ingress(rendered)["spec"]["rules"]
    assert "host" not in rule


def test_a_route_leads_to_clients_port_and_does_not_cut_streams(rendered: Rendered) -> None:
    given = {"enabled": True, "parentRefs": [{"name": "public", "namespace": "edge"}], "hostnames": ["a.example"]}
    route = named(rendered({"gateway": {"httpRoute": given}}, sets=KEYS), "HTTPRoute")["spec"]
    assert (route["parentRefs"], route["hostnames"]) == (given["parentRefs"], ["a.example"])
    (rule,) = route["rules"]
    assert rule["backendRefs"] == [{"name": NAME, "port": 80}]
    assert rule["timeouts"] == {"request": "0s"}


def test_a_route_without_time_outs_has_no_such_field(rendered: Rendered) -> None:
    given = {"enabled": True, "parentRefs": [{"name": "public"}], "timeouts": None}
    (rule,) = named(rendered({"gateway": {"httpRoute": given}}, sets=KEYS), "HTTPRoute")["spec"]["rules"]
    assert "timeouts" not in rule


# A process of it


def test_a_gateway_runs_on_what_is_rendered(generated: list[Object], tmp_path: Path) -> None:
    """As in its pod but for the paths: it is alive, not ready without engines, and takes the generated key alone."""
    fleet = yaml.safe_load(named(generated, "ConfigMap", "parlance-fleet")["data"]["fleet.yaml"])
    made = data(named(generated, "Secret", "parlance-keys"))
    KeysFile.model_validate(yaml.safe_load(made["keys.yaml"]))
    assert hashlib.sha256(made["api-key"].encode()).hexdigest() in made["keys.yaml"]
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "keys.yaml").write_text(made["keys.yaml"])
    (tmp_path / "home").mkdir(mode=0o500)  # nothing can be written there
    fleet["gateway"] |= {"keys_file": str(tmp_path / "keys" / "keys.yaml"), "state_dir": str(tmp_path / "state")}
    process = GatewayProcess(tmp_path, fleet, ready=False, environ={"HOME": str(tmp_path / "home")})
    try:
        ready = process.admin("/readyz")
        assert (ready.status, ready.json["ready"]) == (503, False)
        assert set(ready.json["models"]) == {m["use"] for m in fleet["models"] if m.get("enabled", True)}
        assert process.get("/v1/models", authorization=f"Bearer {made['api-key']}").status == 200
        assert process.get("/v1/models", authorization="Bearer pk-another").status == 401
        assert process.get("/v1/models").status == 401
        assert not list((tmp_path / "home").iterdir())
    finally:
        assert process.stop() == 0
