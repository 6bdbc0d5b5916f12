"""Values that contradict each other are refused with a sentence: the value, what it is, what is allowed, what helps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.support.helm import KINDS, Helm, Object

pytestmark = pytest.mark.integration

RAY = "ray.io/v1/RayService"
UPSTREAM = {"models": [{"use": "gemma-2-9b-it", "upstream": {"base_url": "https://api.example.com/openai"}}]}
GPU = {"gpu": "H100-SXM-80GB"}
GEMMA = {"use": "gemma-2-9b-it", "engine": GPU}
ASLEEP = {"use": "gemma-2-9b-it", "engine": {**GPU, "replicas": {"initial": 0, "min": 0}}}


def fleet(*models: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"fleet": {"models": list(models) or [GEMMA], **rest}}


@pytest.mark.parametrize(
    ("values", "sentences"),
    [
        pytest.param(
            {"gateway": {"autoscaling": {"minReplicas": 9}}},
            ["gateway.autoscaling.minReplicas is 9: it must be at most gateway.autoscaling.maxReplicas, which is 8"],
            id="bounds of the HPA",
        ),
        pytest.param(
            {"gateway": {"state": {"existingClaim": "ledger"}}},
            [
                'gateway.state.existingClaim is "ledger": the ledger on it is one file, for one pod: set '
                "gateway.autoscaling.enabled to false and gateway.replicas to 1, or leave it out"
            ],
            id="one volume for several pods",
        ),
        pytest.param(
            {"gateway": {"state": {"existingClaim": "ledger"}, "autoscaling": {"enabled": False}}},
            ["gateway.replicas is 2: it must be 1 with gateway.state.existingClaim (ledger)"],
            id="one volume for two pods",
        ),
        pytest.param(
            {"gateway": {"httpRoute": {"enabled": True}}},
            ["gateway.httpRoute.parentRefs is empty: with gateway.httpRoute.enabled it must name a Gateway"],
            id="a route without a gateway",
        ),
        pytest.param(
            {"gateway": {"ingress": {"enabled": True, "tls": {}}}},
            ["gateway.ingress.hosts is empty: with gateway.ingress.tls it must name the hosts of the certificate"],
            id="a certificate for nobody",
        ),
        pytest.param(
            {"gateway": {"service": {"loadBalancerSourceRanges": ["10.0.0.0/8"]}}},
            ["gateway.service.loadBalancerSourceRanges is a list: it shuts nobody out of a Service of type ClusterIP"],
            id="a firewall that is none",
        ),
        pytest.param(
            {"test": {"key": {"existingSecret": "mine"}}},
            ["test.key.key: is required with test.key.existingSecret: the key in the Secret mine"],
            id="a Secret without a key",
        ),
        pytest.param(
            {"engines": {"faultTolerance": {"enabled": True}}},
            ["engines.faultTolerance.address is empty: with engines.faultTolerance.enabled it must say where Redis is"],
            id="fault tolerance without Redis",
        ),
        pytest.param(
            {"engines": {"faultTolerance": {"enabled": True, "address": "redis://:hunter2@host:6379"}}},
            ["engines.faultTolerance.address is (not shown)"],
            id="a password in an address",
        ),
        pytest.param(
            {"engines": {"weights": {"kind": "hostPath"}}},
            ['engines.weights.hostPath is "": with engines.weights.kind hostPath it must be an absolute path'],
            id="a folder of nodes without a path",
        ),
        pytest.param(
            {"engines": {"weights": {"existingClaim": "models"}}},
            [
                'engines.weights.existingClaim is "models": engines.weights.kind is emptyDir: set that to '
                "persistentVolumeClaim, or leave this out"
            ],
            id="a claim that nobody mounts",
        ),
        pytest.param(
            {"engines": {"weights": {"download": False}}},
            ["engines.weights.download is false: an emptyDir begins empty"],
            id="nothing to load",
        ),
        pytest.param(
            {"engines": {"groups": {"gemma-2-9b": {}}}},
            ["engines.groups.gemma-2-9b: the fleet has no model of that id; did you mean gemma-2-9b-it?"],
            id="a group of no model",
        ),
        pytest.param(
            {"models": {"normistral": {"enabled": True}}},
            ["models.normistral: the fleet has no such model; did you mean normistral-11b-thinking?"],
            id="a change of no model",
        ),
        pytest.param(
            {"commonLabels": {"app.kubernetes.io/component": "x"}},
            ["commonLabels.app.kubernetes.io/component: the chart sets this label, and selects by it"],
            id="a label that selects",
        ),
        pytest.param(
            {"commonLabels": {"team": "a"}, "gateway": {"podLabels": {"team": "b"}}},
            ["gateway.podLabels.team: commonLabels has this label for all pods: leave it out of one of them"],
            id="a label twice",
        ),
        pytest.param(
            {"fullnameOverride": "1st"},
            ['fullnameOverride: names of objects would begin with "1st", and a Service\'s must begin with a letter'],
            id="a name that no Service may have",
        ),
        pytest.param(
            fleet(clusters={"a-cluster-with-a-name-of-length-over": {}}),
            ["KubeRay takes 41: give the cluster a shorter name, or set fullnameOverride"],
            id="a name that KubeRay refuses",
        ),
        pytest.param(
            fleet({**GEMMA, "id": "a.b"}, {**GEMMA, "id": "a_b"}),
            ["fleet.models: a.b and a_b would both have the worker group a-b"],
            id="two groups of one name",
        ),
        pytest.param(
            fleet(
                {**GEMMA, "cluster": "a.b"},
                {"use": "suzume-llama-3-8b-multilingual", "engine": GPU, "cluster": "a-b"},
                clusters={"a.b": {}, "a-b": {}},
            ),
            ["its RayService would be called parlance-a-b, as that of fleet.clusters.a-b"],
            id="two clusters of one name",
        ),
        pytest.param(
            {"autoscaler": {"enabled": False}, **fleet(ASLEEP)},
            ["fleet.models[0].engine.replicas.initial is 0: with autoscaler.enabled false nobody would ever start"],
            id="a model that never starts",
        ),
        pytest.param(
            fleet(gateway={"port": 8000, "keys_file": "keys.yaml"}, autoscaling={"prometheus_url": "http://p:9090"}),
            [
                "fleet.gateway.port is 8000: the chart fills this in: leave it out, and set gateway.service.port",
                'fleet.gateway.keys_file is "keys.yaml": the chart fills this in: leave it out, and name a Secret in '
                "gateway.keys.existingSecret",
                'fleet.autoscaling.prometheus_url is "http://p:9090": the chart fills this in: leave it out, and set '
                "prometheus.url",
            ],
            id="what the chart fills in",
        ),
        pytest.param(
            fleet(clusters={"main": {"dashboard_url": "http://ray"}}),
            [
                'fleet.clusters.main.dashboard_url is "http://ray": the chart makes this Ray cluster and knows it: '
                "leave it out, or give `serve_url` for a cluster that others run"
            ],
            id="an address of the chart's own cluster",
        ),
    ],
)
def test_a_contradiction_is_refused_with_a_sentence(
    refused: Callable[..., str], values: dict[str, Any], sentences: list[str]
) -> None:
    said = refused(values)
    for sentence in sentences:
        assert sentence in said
    assert f"Parlance has {len(sentences)} problem" in said, said


def test_all_problems_are_told_at_once(refused: Callable[..., str]) -> None:
    said = refused(
        {"gateway": {"httpRoute": {"enabled": True}}, "engines": {"faultTolerance": {"enabled": True}}}, api_versions=()
    )
    assert "Parlance has 4 problems:" in said
    for beginning in (
        "gateway.httpRoute.parentRefs",
        "engines.faultTolerance.address",
        "the fleet's engines: this needs the kind",
        "gateway.httpRoute.enabled: this needs the kind",
    ):
        assert f"\n  - {beginning}" in said


@pytest.mark.parametrize(
    ("values", "kind", "by", "remedy"),
    [
        ({}, RAY, "the fleet's engines", "helm install kuberay-operator kuberay/kuberay-operator"),
        (
            {"monitoring": {"monitors": {"enabled": True}}},
            "monitoring.coreos.com/v1/PodMonitor",
            "monitoring.monitors.enabled",
            "prometheus-operator-crds",
        ),
        (
            {"monitoring": {"rules": {"enabled": True}}},
            "monitoring.coreos.com/v1/PrometheusRule",
            "monitoring.rules.enabled",
            "prometheus-operator-crds",
        ),
        (
            {"gateway": {"httpRoute": {"enabled": True, "parentRefs": [{"name": "edge"}]}}},
            "gateway.networking.k8s.io/v1/HTTPRoute",
            "gateway.httpRoute.enabled",
            "install the Gateway API",
        ),
    ],
)
def test_a_kind_that_the_cluster_lacks_is_named_with_both_remedies(
    refused: Callable[..., str], values: dict[str, Any], kind: str, by: str, remedy: str
) -> None:
    said = refused(values, api_versions=[other for other in KINDS if other != kind])
    assert f"{by}: this needs the kind {kind}, which the cluster does not have" in said
    assert remedy in said
    assert f"render with --api-versions {kind}" in said
    assert "1 problem:" in said


def test_a_fleet_without_engines_needs_no_kuberay(rendered: Callable[..., list[Object]]) -> None:
    assert not [one for one in rendered({"fleet": UPSTREAM}, api_versions=()) if one["kind"] == "RayService"]


def test_an_old_kubernetes_is_refused(refused: Callable[..., str]) -> None:
    said = refused(kube_version="1.28.9")
    assert ">=1.29.0-0" in said
    assert "v1.28.9" in said


def test_the_first_template_that_is_rendered_says_it(helm: Helm, refused: Callable[..., str]) -> None:
    """Whatever file Helm begins with: a broken fleet never shows as a nil pointer somewhere in a template."""
    for template in ("fleet.yaml", "gateway/deployment.yaml", "engines/rayservice.yaml", "tests/first-request.yaml"):
        said = refused({"fleet": "models: [1]"}, args=["--show-only", f"templates/{template}"])
        assert "fleet.models[0] is 1: it must be a mapping" in said


def test_what_may_be_secret_is_not_repeated(refused: Callable[..., str]) -> None:
    text = yaml.safe_dump({"models": [{"use": "gemma-2-9b-it", "engine": {**GPU, "env": {"HF_TOKEN": 17}}}]})
    said = refused({"fleet": text})
    assert "fleet.models[0].engine.env.HF_TOKEN is (not shown): it must be text" in said
    assert "17" not in said
