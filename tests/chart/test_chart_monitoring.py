"""PodMonitors and the chart's own Prometheus scrape what observability's rules and dashboards ask for."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from observability import autoscaler_metrics, foreign, metrics
from observability.metric import Exporter
from observability.rules import RUNBOOKS
from observability.scrape import configuration
from serve.chart.watched import RENDERED
from tests.support.helm import Object, named
from tests.support.network_page import fleet

pytestmark = pytest.mark.integration

Rendered = Callable[..., list[Object]]
ALL_ON: dict[str, Any] = {
    "monitoring": {part: {"enabled": True} for part in ("monitors", "rules", "dashboards")},
    "fleet": {**fleet("a"), "gateway": {"workers": 2}},
}
# By job, the ports of each kind of pod: what the local stack scrapes (serve.local.prometheus_process), on pods' ports.
PORTS = {
    Exporter.GATEWAY: [("gateway", 8081), ("gateway", 8082)],
    Exporter.AUTOSCALER: [("autoscaler", 8082)],
    Exporter.RAY: [("head", 8080), ("head", 44_217), ("head", 44_227), ("worker", 8080)],
    Exporter.HAPROXY: [("head", 9101), ("worker", 9101)],
}
MIB = 1_048_576


@pytest.fixture(scope="module")
def objects(rendered: Rendered) -> list[Object]:
    return rendered(ALL_ON)


@pytest.fixture(scope="module")
def scraped(objects: list[Object]) -> dict[str, Any]:
    """The own Prometheus' configuration."""
    found: dict[str, Any] = yaml.safe_load(
        named(objects, "ConfigMap", "parlance-prometheus")["data"]["prometheus.yaml"]
    )
    return found


def ours() -> dict[str, dict[str, Any]]:
    """observability's own scrape configuration, by job."""
    parsed = yaml.safe_load(configuration({exporter: ["127.0.0.1:1"] for exporter in PORTS}))
    return {job["job_name"]: job for job in parsed["scrape_configs"]}


def templates(objects: list[Object]) -> dict[str, Object]:
    """Pod templates by what they are, with the labels that KubeRay adds."""
    found = {
        one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"]["template"]
        for one in objects
        if one["kind"] == "Deployment"
    }
    ray = named(objects, "RayService")["spec"]["rayClusterConfig"]
    for kind, template in (
        ("head", ray["headGroupSpec"]["template"]), ("worker", ray["workerGroupSpecs"][0]["template"]),
    ):  # fmt: skip
        template["metadata"]["labels"]["ray.io/node-type"] = kind
        found[kind] = template
    return found


def taken(selector: dict[str, str], objects: list[Object]) -> list[str]:
    """Kinds of pods that these labels select."""
    return [
        kind
        for kind, template in templates(objects).items()
        if selector.items() <= template["metadata"]["labels"].items()
    ]


def port_of(template: Object, name: str) -> int | None:
    """The number of a container's port by its name."""
    ports = {port["name"]: port["containerPort"] for one in template["spec"]["containers"] for port in one["ports"]}
    return ports.get(name)


def monitored(objects: list[Object]) -> dict[str, list[tuple[str, int]]]:
    """Kinds of pods and ports by the job that PodMonitors give them."""
    found: dict[str, list[tuple[str, int]]] = {}
    for monitor in (one for one in objects if one["kind"] == "PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            (job,) = [one["replacement"] for one in endpoint["relabelings"] if one.get("targetLabel") == "job"]
            for kind in taken(monitor["spec"]["selector"]["matchLabels"], objects):
                number = port_of(templates(objects)[kind], endpoint["port"])
                if number is not None:
                    found.setdefault(job, []).append((kind, number))
    return {job: sorted(pods) for job, pods in found.items()}


def test_monitors_have_the_jobs_and_ports_that_rules_rest_on(objects: list[Object]) -> None:
    assert monitored(objects) == {job.value: ports for job, ports in PORTS.items()}
    assert set(ours()) == set(monitored(objects))


def test_monitors_drop_what_observability_drops(objects: list[Object]) -> None:
    names = {"source_labels": "sourceLabels"}
    for monitor in (one for one in objects if one["kind"] == "PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            for job in ours().values():
                wanted = [
                    {names.get(key, key): value for key, value in one.items()} for one in job["metric_relabel_configs"]
                ]
                assert endpoint["metricRelabelings"] == wanted


def test_labels_that_the_operator_adds_are_nobodys_metric_labels(objects: list[Object]) -> None:
    """`pod` and `namespace` stay: a metric's own label of that name would be renamed, and its queries empty."""
    for monitor in (one for one in objects if one["kind"] == "PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            assert {"regex": "container|endpoint", "action": "labeldrop"} in endpoint["relabelings"]
    for metric in (
        *metrics.GATEWAY,
        *autoscaler_metrics.AUTOSCALER,
        *foreign.VLLM,
        *foreign.SERVE,
        *foreign.NODE,
        *foreign.HAPROXY,
    ):
        assert not {"pod", "namespace", "container", "endpoint"} & set(metric.labels), metric.name


def test_pods_that_do_not_run_yet_are_no_targets(objects: list[Object]) -> None:
    monitor = named(objects, "PodMonitor", "parlance-engines")
    for endpoint in monitor["spec"]["podMetricsEndpoints"]:
        kept = {one["sourceLabels"][0]: one["regex"] for one in endpoint["relabelings"] if one["action"] == "keep"}
        ready = {"__meta_kubernetes_pod_ready": "true"} if endpoint["port"] == "haproxy" else {}
        assert kept == {"__meta_kubernetes_pod_phase": "Running"} | ready


def test_monitors_and_rules_carry_the_labels_by_which_they_are_found(rendered: Rendered) -> None:
    on = {"enabled": True, "labels": {"release": "stack"}, "annotations": {"note": "ours"}}
    found = rendered({"monitoring": {"monitors": {**on, "interval": "1m"}, "rules": on}})
    for one in found:
        if one["kind"] in ("PodMonitor", "PrometheusRule"):
            assert one["metadata"]["labels"]["release"] == "stack"
            assert one["metadata"]["annotations"] == {"note": "ours"}
        if one["kind"] == "PodMonitor":
            assert {endpoint["interval"] for endpoint in one["spec"]["podMetricsEndpoints"]} == {"1m"}


def test_the_own_prometheus_scrapes_the_same(objects: list[Object], scraped: dict[str, Any]) -> None:
    services = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "Service"}
    found: dict[str, list[tuple[str, int]]] = {}
    for job in scraped["scrape_configs"]:
        reference = ours()[job["job_name"]]
        assert job["metric_relabel_configs"] == reference["metric_relabel_configs"]
        assert job.keys() - {"dns_sd_configs"} == reference.keys() - {"static_configs"}, "no label but job and instance"
        by_type: dict[str, list[tuple[str, int]]] = {"A": [], "AAAA": []}
        for sd in job["dns_sd_configs"]:
            (name,) = sd["names"]
            assert services[name]["clusterIP"] == "None", (
                f"{name}: a Service's address is one pod's, and another's then"
            )
            assert services[name]["publishNotReadyAddresses"], "a pod that is not ready has figures too"
            by_type[sd["type"]] += [(kind, sd["port"]) for kind in taken(services[name]["selector"], objects)]
        assert sorted(by_type["A"]) == sorted(by_type["AAAA"])
        found[job["job_name"]] = sorted(by_type["A"])
    assert found == {job.value: ports for job, ports in PORTS.items()}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing: apt-get install prometheus")
def test_promtool_reads_configuration_and_rules(objects: list[Object], tmp_path: Path) -> None:
    data = named(objects, "ConfigMap", "parlance-prometheus")["data"]
    for name, text in data.items():
        (tmp_path / name).write_text(text.replace("/etc/prometheus/", f"{tmp_path}/"), encoding="utf-8")
    rule = tmp_path / "rule.yaml"
    rule.write_text(yaml.safe_dump({"groups": named(objects, "PrometheusRule")["spec"]["groups"]}), encoding="utf-8")
    for command in (["config", tmp_path / "prometheus.yaml"], ["rules", rule]):
        done = subprocess.run(["promtool", "check", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "rules found" in done.stdout


def test_the_rule_object_is_the_rendered_rules(objects: list[Object]) -> None:
    files = [yaml.safe_load((RENDERED / "rules" / f"{name}.yaml").read_text()) for name in ("recordings", "alerts")]
    wanted = [group for file in files for group in file["groups"]]
    found = named(objects, "PrometheusRule")["spec"]["groups"]
    assert [group["name"] for group in found] == [group["name"] for group in wanted]
    for got, group in zip(found, wanted, strict=True):
        for rule, rendered_rule in zip(got["rules"], group["rules"], strict=True):
            if "alert" in rule:
                url = rule["annotations"].pop("runbook_url")
                assert url.startswith("https://"), "Alertmanager's readers click on it"
                assert url.endswith(rendered_rule["annotations"].pop("runbook_url"))
            assert rule == rendered_rule


def test_runbooks_are_where_the_values_say(rendered: Rendered) -> None:
    monitoring = {
        "rules": {"enabled": True}, "dashboards": {"enabled": True}, "runbooksUrl": "https://runbooks.example.com/p/",
    }  # fmt: skip
    found = rendered({"monitoring": monitoring})
    rules = [rule for group in named(found, "PrometheusRule")["spec"]["groups"] for rule in group["rules"]]
    urls = [rule["annotations"]["runbook_url"] for rule in rules if "alert" in rule]
    assert urls
    assert all(url == f"https://runbooks.example.com/p/{url.rpartition('/')[2]}" for url in urls)
    text = named(found, "ConfigMap", "parlance-dashboard-overview")["data"]["parlance-overview.json"]
    assert "https://runbooks.example.com/p/Parlance" in text
    assert RUNBOOKS not in text


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({"slo": {"ttft_s": 5}}, "fleet.slo"),
        ({"autoscaling": {"interval_s": 45}}, "interval_s"),
        ({"autoscaling": {"stale_after_s": 90}}, "stale_after_s"),
        (fleet("a", "b"), "2 clusters"),
    ],
)
def test_rules_of_other_objectives_are_refused(
    refused: Callable[..., str], described: dict[str, Any], words: str
) -> None:
    said = refused({"fleet": {**fleet("a"), **described}, "monitoring": {"rules": {"enabled": True}}})
    assert words in said
    assert "parlance metrics render --fleet" in said


def test_rules_rendered_for_the_fleet_are_taken(rendered: Rendered, tmp_path: Path) -> None:
    from observability.rules import render
    from serve.fleet import load

    described = {**fleet("a"), "slo": {"ttft_s": 5}}
    path = tmp_path / "fleet.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "name": "mine", **described}), encoding="utf-8")
    texts = {name.removesuffix(".yaml"): text for name, text in render(load(path)).items()}
    found = rendered({"fleet": described, "monitoring": {"rules": {"enabled": True, **texts}}})
    names = [group["name"] for group in named(found, "PrometheusRule")["spec"]["groups"]]
    assert {"parlance-slis", "parlance-objectives"} <= set(names)
    own = named(found, "ConfigMap", "parlance-prometheus")["data"]["recordings.yaml"]
    assert yaml.safe_load(own) == yaml.safe_load(texts["recordings"]), "the own Prometheus records by the same"


def test_recordings_for_other_objectives_are_left_out_of_the_own_prometheus(rendered: Rendered) -> None:
    found = rendered({"fleet": {**fleet("a"), "slo": {"ttft_s": 5}}})
    assert yaml.safe_load(named(found, "ConfigMap", "parlance-prometheus")["data"]["recordings.yaml"]) == {"groups": []}


def test_dashboards_are_the_rendered_ones_each_in_an_object(objects: list[Object]) -> None:
    shown = {file.name: json.loads(file.read_text()) for file in RENDERED.glob("dashboards/*.json")}
    maps = [one for one in objects if one["kind"] == "ConfigMap" and "-dashboard-" in one["metadata"]["name"]]
    assert len(maps) == len(shown)
    for one in maps:
        ((name, text),) = one["data"].items()
        assert len(text.encode()) < MIB
        assert json.loads(text)["uid"] == shown[name]["uid"]
        assert len(json.loads(text)["elements" if "elements" in shown[name] else "panels"]) > 0
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert one["metadata"]["annotations"]["grafana_folder"] == "Parlance"


def test_everything_is_off_by_default_but_the_autoscalers_prometheus(rendered: Rendered) -> None:
    found = rendered()
    assert not {"PodMonitor", "PrometheusRule"} & {one["kind"] for one in found}
    assert not [one for one in found if "-dashboard-" in one["metadata"]["name"]]
    named(found, "Deployment", "parlance-prometheus")


def test_the_own_prometheus_is_restricted_and_bounded(objects: list[Object]) -> None:
    spec = named(objects, "Deployment", "parlance-prometheus")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    pod = spec["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 65_534
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert volumes["data"]["emptyDir"] == {"sizeLimit": "10Gi"}
    assert "--storage.tsdb.retention.size=6144MB" in container["args"], (
        "below the volume's limit, or the pod is evicted"
    )


@pytest.mark.parametrize(("size", "kept"), [("1Gi", "614MB"), ("1500Mi", "900MB"), ("20G", "11443MB")])
def test_retention_follows_the_volume(rendered: Rendered, size: str, kept: str) -> None:
    pod = named(rendered({"prometheus": {"storageSize": size}}), "Deployment", "parlance-prometheus")["spec"][
        "template"
    ]
    assert f"--storage.tsdb.retention.size={kept}" in pod["spec"]["containers"][0]["args"]


def test_a_change_of_what_is_scraped_rolls_it(rendered: Rendered, objects: list[Object]) -> None:
    def checksum(found: list[Object]) -> str:
        pod = named(found, "Deployment", "parlance-prometheus")["spec"]["template"]
        text: str = pod["metadata"]["annotations"]["checksum/config"]
        return text

    assert checksum(rendered({**ALL_ON, "prometheus": {"scrapeInterval": "30s"}})) != checksum(objects)


def test_there_is_no_own_prometheus_where_the_values_name_one(rendered: Rendered) -> None:
    found = rendered({"prometheus": {"url": "http://prometheus.monitoring.svc:9090"}})
    assert not [one for one in found if one["metadata"]["labels"]["app.kubernetes.io/component"] == "prometheus"]
    services = {one["metadata"]["name"] for one in found if one["kind"] == "Service"}
    assert not services & {"parlance-prometheus", "parlance-heads", "parlance-autoscaler-pods"}
