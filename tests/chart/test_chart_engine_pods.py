"""Ray's pods as Helm renders them: restricted, placed, with their weights, and no secret where none is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.helm import Object, named
from tests.support.ray_objects import applications, environment, groups, only, pods, services

pytestmark = pytest.mark.integration

Rendered = Callable[..., list[Object]]
LLAMA = "llama-3.3-70b-instruct"
KIND = "engines.weights.kind="
TOKEN = "engines.hub.token.existingSecret=hub"


def containers(template: Object) -> Iterator[Object]:
    yield from template["spec"].get("initContainers", ())
    yield from template["spec"]["containers"]


def test_pods_are_restricted_with_a_read_only_root(objects: list[Object]) -> None:
    for service in services(objects).values():
        options = service["spec"]["rayClusterConfig"]["autoscalerOptions"]
        for group, template in pods(service):
            pod = template["spec"]["securityContext"]
            assert pod["runAsNonRoot"] is True
            assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
            for one in [*containers(template), options]:
                context = one["securityContext"]
                assert context["allowPrivilegeEscalation"] is False
                assert context["readOnlyRootFilesystem"] is True
                assert context["capabilities"] == {"drop": ["ALL"]}
            assert "hostPath" not in str(template["spec"]["volumes"])
            if group:
                assert template["spec"]["automountServiceAccountToken"] is False


def test_what_is_written_to_is_a_volume(default: list[Object]) -> None:
    for group, template in pods(only(default)):
        (container,) = template["spec"]["containers"]
        mounted = {one["mountPath"] for one in container["volumeMounts"]}
        assert mounted >= ({"/tmp", "/dev/shm", "/weights"} if group else {"/tmp"})
        assert environment(template)["HOME"].startswith("/tmp/")
        shm = [one["emptyDir"] for one in template["spec"]["volumes"] if one["name"] == "shm"]
        assert shm == ([{"medium": "Memory", "sizeLimit": "16Gi"}] if group else [])


def test_the_hubs_token_is_known_to_the_fetch_only(rendered: Rendered, default: list[Object]) -> None:
    service = only(rendered(sets=[TOKEN]))
    for group, template in pods(service):
        for one in containers(template):
            told = [entry for entry in one["env"] if entry["name"] == "HF_TOKEN"]
            reference = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}
            assert told == ([reference] if one["name"] == "weights" else [])
        assert group == "" or any(one["name"] == "weights" for one in containers(template))
    assert "HF_TOKEN" not in str(only(default))


def test_a_fetch_that_may_not_download_gets_no_token(rendered: Rendered) -> None:
    service = only(rendered(sets=[TOKEN, "engines.weights.download=false", f"{KIND}persistentVolumeClaim"]))
    for group, template in pods(service):
        if group:
            assert "--no-download" in template["spec"]["initContainers"][0]["command"]
    assert "HF_TOKEN" not in str(service)


def test_the_fetch_gets_the_model_and_reads_the_fleet_of_the_release(objects: list[Object]) -> None:
    for service in services(objects).values():
        ids = {one["args"]["resource"]: name for name, one in applications(service).items()}
        for group, template in pods(service):
            if group:
                (fetch,) = template["spec"]["initContainers"]
                assert f"--model={ids[group]}" in fetch["command"]
                assert {"name": "fleet", "configMap": {"name": "parlance-fleet"}} in template["spec"]["volumes"]


def test_groups_are_placed_by_their_gpu_and_their_own_values(rendered: Rendered) -> None:
    values = {
        "engines": {
            "workers": {"nodeSelector": {"pool": "gpu"}},
            "gpuNodeSelectors": {"H100-SXM-80GB": {"nvidia.com/gpu.product": "H100"}},
            "groups": {
                LLAMA: {
                    "nodeSelector": {"pool": "large"},
                    "tolerations": [{"key": "large", "operator": "Exists"}],
                    "resources": {"requests": {"cpu": "32"}},
                    "sharedMemory": "64Gi",
                }
            },
        }
    }
    found = groups(only(rendered(values=values)))
    own, other = found["llama-3-3-70b-instruct"]["template"]["spec"], found["gemma-2-9b-it"]["template"]["spec"]
    assert own["nodeSelector"] == {"pool": "large", "nvidia.com/gpu.product": "H100"}
    assert other["nodeSelector"] == {"pool": "gpu", "nvidia.com/gpu.product": "H100"}
    assert own["tolerations"] == [{"key": "large", "operator": "Exists"}]
    resources = own["containers"][0]["resources"]
    assert resources["requests"] == {"cpu": "32", "memory": "64Gi", "nvidia.com/gpu": 4}
    assert resources["limits"] == {"memory": "64Gi", "nvidia.com/gpu": 4}
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Gi"}} in own["volumes"]
    assert other["containers"][0]["resources"]["requests"]["nvidia.com/gpu"] == 1


def test_gpus_may_need_a_runtime_class(rendered: Rendered) -> None:
    values = {
        "engines": {"workers": {"runtimeClassName": "nvidia"}, "groups": {LLAMA: {"runtimeClassName": "kata-gpu"}}}
    }
    found = {name: group["template"]["spec"] for name, group in groups(only(rendered(values=values))).items()}
    of_llama = found.pop(LLAMA.replace(".", "-"))
    assert of_llama["runtimeClassName"] == "kata-gpu"
    assert {spec["runtimeClassName"] for spec in found.values()} == {"nvidia"}
    usual = only(rendered())
    assert not any("runtimeClassName" in template["spec"] for _, template in pods(usual))


def test_gpus_have_the_nodes_name_for_them(rendered: Rendered) -> None:
    found = groups(only(rendered(sets=["engines.gpuResource=amd\\.com/gpu"])))
    limits = found["gemma-2-9b-it"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert (limits["amd.com/gpu"], "nvidia.com/gpu" in limits) == (1, False)


def weights(objects: list[Object]) -> Object:
    _, template = list(pods(only(objects)))[1]
    (volume,) = [one for one in template["spec"]["volumes"] if one["name"] == "weights"]
    return volume


def test_weights_lie_where_the_values_say(rendered: Rendered, default: list[Object]) -> None:
    assert weights(default) == {"name": "weights", "emptyDir": {"sizeLimit": "500Gi"}}
    made = rendered(sets=[f"{KIND}persistentVolumeClaim"])
    assert weights(made) == {"name": "weights", "persistentVolumeClaim": {"claimName": "parlance-weights"}}
    claim = named(made, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert claim["spec"] == {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "500Gi"}}}
    loose = rendered(sets=[f"{KIND}persistentVolumeClaim", "engines.weights.keep=false"])
    assert "annotations" not in named(loose, "PersistentVolumeClaim")["metadata"]
    given = rendered(sets=[f"{KIND}persistentVolumeClaim", "engines.weights.existingClaim=mine"])
    assert weights(given)["persistentVolumeClaim"] == {"claimName": "mine"}
    assert not [one for one in given if one["kind"] == "PersistentVolumeClaim"]
    node = rendered(sets=[f"{KIND}hostPath", "engines.weights.hostPath=/data/weights"])
    assert weights(node)["hostPath"] == {"path": "/data/weights", "type": "DirectoryOrCreate"}


def test_every_ray_pod_is_named_for_scraping(default: list[Object]) -> None:
    service = named(default, "Service", "parlance-engines")["spec"]
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
    for _, template in pods(only(default)):
        assert service["selector"].items() <= template["metadata"]["labels"].items()
        ports = {port["name"]: port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"]: port["port"] for port in service["ports"]}.items() <= ports.items()
