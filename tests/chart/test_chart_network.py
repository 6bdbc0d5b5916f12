"""Who can reach whom, computed from the rendered NetworkPolicies and pods; and the page that says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import network_page, pods
from tests.support.helm import Helm, Object
from tests.support.network_page import NAMESPACE, RENDERS, fleet
from tests.support.reach import End, reaches
from tests.support.reach_table import ports_of

pytestmark = pytest.mark.integration

FOREIGN = "foreign pod, same namespace"


@dataclass(frozen=True)
class World:
    """A release's pods, what is around them, and the policies."""

    policies: list[Object]
    release: Mapping[str, End]
    around: Mapping[str, End]

    def end(self, name: str) -> End:
        return self.release.get(name) or self.around[name]

    def may(self, source: str, target: str, port: int, protocol: str = "TCP") -> bool:
        return reaches(self.policies, self.end(source), self.end(target), port, protocol)


def world(objects: list[Object]) -> World:
    return World(network_page.policies(objects), pods.release(objects), pods.around(NAMESPACE))


@pytest.fixture(scope="module")
def default(helm: Helm) -> World:
    """As the chart ships, with two Ray clusters, a and b."""
    return world(helm.objects(RENDERS["default"]))


@pytest.fixture(scope="module")
def production(helm: Helm) -> World:
    return world(helm.objects(RENDERS["production"]))


Rendered = Callable[..., list[Object]]


def test_every_pod_of_the_release_is_shut_by_default(default: World) -> None:
    assert set(default.release) == {
        "gateway", "autoscaler", "prometheus", "test", "head a", "worker a", "head b", "worker b"
    }  # fmt: skip
    (deny,) = [one for one in default.policies if one["metadata"]["name"].endswith("-default-deny")]
    assert deny["spec"].keys() == {"podSelector", "policyTypes"}
    shut = World([deny], default.release, default.around)
    for name in default.release:
        assert not shut.may(FOREIGN, name, 8080)
        assert not shut.may(name, "internet", 443)


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        ("internet", "gateway", 8080),
        ("test", "gateway", 8080),
        ("gateway", "worker a", 8000),
        ("gateway", "worker b", 8000),
        ("gateway", "autoscaler", 8082),
        ("autoscaler", "head a", 8265),
        ("autoscaler", "prometheus", 9090),
        ("autoscaler", "API server", 6443),
        ("head a", "API server", 443),
        ("KubeRay", "head b", 8265),
        ("worker a", "head a", 6379),
        ("head a", "worker a", 30_500),
        ("worker a", "internet", 443),
        ("monitoring", "gateway", 8081),
        ("monitoring", "worker b", 8080),
        ("monitoring", "head a", 44_217),
        ("prometheus", "gateway", 8081),
        ("prometheus", "autoscaler", 8082),
        ("prometheus", "worker a", 9101),
        ("prometheus", "head b", 44_227),
    ],
)
def test_what_is_needed_is_open(default: World, source: str, target: str, port: int) -> None:
    assert default.may(source, target, port)


def test_every_pod_may_ask_for_names(default: World) -> None:
    assert all(default.may(name, "DNS", 53, protocol) for name in default.release for protocol in ("TCP", "UDP"))


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        (FOREIGN, "head a", 8265),
        (FOREIGN, "worker a", 8000),
        (FOREIGN, "gateway", 8081),
        (FOREIGN, "autoscaler", 8082),
        (FOREIGN, "prometheus", 9090),
        ("internet", "gateway", 8081),
        ("gateway", "head a", 8265),
        ("gateway", "head a", 8000),
        ("gateway", "worker a", 30_000),
        ("gateway", "worker a", 8404),
        ("gateway", "worker a", 8500),
        ("gateway", "internet", 443),
        ("autoscaler", "worker a", 8000),
        ("autoscaler", "worker a", 8265),
        ("autoscaler", "head a", 6379),
        ("head b", "head a", 6379),
        ("worker b", "worker a", 8000),
        ("worker b", "head a", 8265),
        ("monitoring", "worker a", 8000),
        ("monitoring", "head a", 8265),
        ("monitoring", "gateway", 8080 + 2),
        ("monitoring", "worker a", 44_217),
        ("KubeRay", "worker a", 8000),
        ("KubeRay", "head a", 6379),
        ("KubeRay", "gateway", 8081),
        ("prometheus", "worker a", 8000),
        ("prometheus", "internet", 443),
        ("prometheus", "API server", 443),
        ("worker a", "API server", 6443),
        ("worker a", "metadata service", 80),
        ("worker a", "metadata service", 443),
        ("worker a", "gateway", 8080),
        ("worker a", "autoscaler", 8082),
        ("worker a", "Redis", 6379),
        ("head a", "autoscaler", 8082),
        ("test", "worker a", 8000),
        ("test", "internet", 443),
    ],
)
def test_what_nobody_needs_is_shut(default: World, source: str, target: str, port: int) -> None:
    assert not default.may(source, target, port)


@pytest.mark.parametrize("port", [8404, 8500, 9500, 10_001, 30_000, 31_000, 52_365])
def test_what_asks_nobody_who_they_are_meets_cluster_peers_only(default: World, port: int) -> None:
    for cluster in "ab":
        for target in (f"head {cluster}", f"worker {cluster}"):
            found = {
                name
                for name in [*default.release, *default.around]
                if name != target and default.may(name, target, port)
            }
            assert found == {f"head {cluster}", f"worker {cluster}"} - {target}


OURS = ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component", "parlance.dev/cluster")
WORDS = st.sampled_from(["parlance", "gateway", "engines", "head", "worker", "a", "other"])


@given(
    labels=st.dictionaries(st.sampled_from([*OURS[1:], "ray.io/node-type", "app", "ray.io/cluster"]), WORDS),
    port=st.integers(1, 65_535),
)
@settings(deadline=None)
def test_a_pod_without_the_releases_name_reaches_the_clients_port_and_is_reached_by_none(
    default: World, labels: dict[str, str], port: int
) -> None:
    stranger = End("stranger", "10.20.2.1", NAMESPACE, labels, {"kubernetes.io/metadata.name": NAMESPACE})
    # Heads and the autoscaler may go to any address on the API server's ports, where one is not named.
    anywhere = {443, 6443}
    for name, pod in default.release.items():
        into = reaches(default.policies, stranger, pod, port)
        assert into == (name == "gateway" and port == 8080), name
        out = reaches(default.policies, pod, stranger, port)
        assert out == (port in anywhere and name in ("autoscaler", "head a", "head b")), name


def test_a_pod_of_another_release_in_the_namespace_is_a_stranger(default: World) -> None:
    for name, pod in default.release.items():
        twin = End("twin", "10.20.2.2", NAMESPACE, {**pod.labels, OURS[1]: "other"}, pod.inside, pod.named)
        for target, end in default.release.items():
            for port in ports_of(target):
                client = (target, port) == ("gateway", 8080)
                assert reaches(default.policies, twin, end, port) == client, (
                    f"{name} of another release: {target} {port}"
                )


def test_clients_and_operators_are_who_the_values_name(production: World) -> None:
    assert [name for name in production.around if production.may(name, "gateway", 8080)] == ["ingress"]
    assert production.may("test", "gateway", 8080), "helm test"
    for target, port in (("gateway", 8081), ("autoscaler", 8082)):
        found = [name for name in production.around if production.may(name, target, port)]
        assert found == ["monitoring", "operations"]


def test_prometheus_of_the_values_is_reached_on_its_port(rendered: Rendered) -> None:
    values: dict[str, Any] = {"prometheus": {"url": "http://prometheus.monitoring.svc:9090"}}
    found = world(rendered(values))
    assert found.may("autoscaler", "monitoring", 9090)
    assert "prometheus" not in found.release
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    found = world(rendered(values | {"networkPolicies": {"prometheus": peers}}))
    assert found.may("autoscaler", "monitoring", 9090)
    assert not found.may("autoscaler", "internet", 9090)


@pytest.mark.parametrize(("address", "port"), [("redis://redis.redis.svc:6380", 6380), ("rediss://redis", 6379)])
def test_redis_is_for_heads_and_kuberays_clean_up(rendered: Rendered, address: str, port: int) -> None:
    redis = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "redis"}}}]
    values = {
        "engines": {"faultTolerance": {"enabled": True, "address": address}}, "networkPolicies": {"redis": redis},
    }  # fmt: skip
    found = world(rendered(values))
    assert found.may("head main", "Redis", port)
    assert not found.may("worker main", "Redis", port)
    head = found.end("head main")
    job = End("job", "10.20.2.3", NAMESPACE, {**head.labels, "ray.io/node-type": "redis-cleanup"}, head.inside)
    assert reaches(found.policies, job, found.end("Redis"), port)
    assert reaches(found.policies, job, found.end("DNS"), 53, "UDP")


def test_weights_that_are_there_close_the_internet(rendered: Rendered) -> None:
    assert world(rendered()).may("worker main", "internet", 443)
    closed = world(rendered({"engines": {"weights": {"kind": "persistentVolumeClaim", "download": False}}}))
    assert not closed.may("worker main", "internet", 443)


def test_a_mirror_is_reached_on_its_own_port(rendered: Rendered) -> None:
    found = world(rendered({"engines": {"hub": {"endpoint": "http://mirror.example.com:8081"}}}))
    assert found.may("worker main", "internet", 8081)
    assert not found.may("worker main", "internet", 443)


def test_the_api_servers_address_closes_the_rest(rendered: Rendered) -> None:
    found = world(rendered({"networkPolicies": {"apiServer": [{"ipBlock": {"cidr": "10.0.0.10/32"}}]}}))
    for name in ("autoscaler", "head main"):
        assert found.may(name, "API server", 6443)
        assert not found.may(name, "metadata service", 443)
        assert not found.may(name, "internet", 443)


def test_endpoints_of_the_fleet_open_their_ports(rendered: Rendered) -> None:
    described = fleet("a")
    described["clusters"]["far"] = {
        "serve_url": "http://far.example.com:8001",
        "dashboard_url": "http://far.example.com:8266",
    }
    described["models"] += [
        {"use": "gemma-2-9b-it", "upstream": {"base_url": "https://api.example.com/openai"}},
        {
            "use": "suzume-llama-3-8b-multilingual",
            "enabled": False,
            "upstream": {"base_url": "http://off.example.com:8099"},
        },
    ]
    described["gateway"] = {"traces": {"endpoint": "http://collector.example.com:4318/v1/traces"}}
    values: dict[str, Any] = {"fleet": described}
    found = world(rendered(values))
    assert [port for port in (443, 4318, 8001, 8099, 8266) if found.may("gateway", "internet", port)] == [
        443,
        4318,
        8001,
    ]
    assert found.may("autoscaler", "internet", 8266)
    assert not found.may("autoscaler", "internet", 8001)
    values["networkPolicies"] = {"upstreams": [{"ipBlock": {"cidr": "198.51.100.0/24"}}]}
    assert not world(rendered(values)).may("gateway", "internet", 443)


def test_egress_of_the_values_is_added(rendered: Rendered) -> None:
    rule = {"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": 5432}]}
    found = world(rendered({"networkPolicies": {"egress": [rule]}}))
    assert found.may("gateway", "internet", 5432)
    assert not found.may("autoscaler", "internet", 5432)


def test_each_worker_of_a_gateway_is_scraped(rendered: Rendered) -> None:
    found = world(rendered({"fleet": {**fleet("a"), "gateway": {"workers": 3}}}))
    assert [port for port in range(8079, 8090) if found.may("monitoring", "gateway", port)] == [8080, 8081, 8082, 8083]
    assert all(found.may("prometheus", "gateway", port) for port in (8081, 8082, 8083))


def test_a_fleet_without_engines_has_no_policies_for_them(rendered: Rendered) -> None:
    models = [{"use": "gemma-2-9b-it", "upstream": {"base_url": "https://api.example.com/openai"}}]
    found = world(rendered({"fleet": {"models": models}, "autoscaler": {"enabled": False}}))
    names = {one["metadata"]["name"].removeprefix("parlance-") for one in found.policies}
    assert names == {"default-deny", "gateway", "prometheus", "test"}


def test_no_policies_where_they_are_off(rendered: Rendered) -> None:
    assert not network_page.policies(rendered({"networkPolicies": {"enabled": False}}))


def test_the_page_is_what_the_chart_renders(helm: Helm) -> None:
    page = network_page.PAGE.read_text(encoding="utf-8")
    assert page == network_page.with_tables(page, helm), "run: .venv/bin/python -m tests.support.network_page"
