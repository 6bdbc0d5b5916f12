"""NOTES print the first request, what is waiting and what may not be meant; and `helm test` makes that request."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import Engine
from tests.support.gateway import GatewayProcess
from tests.support.helm import CHART, Helm, Object, Render, named

pytestmark = pytest.mark.integration

# `helm template` leaves NOTES.txt out: a copy of the chart shows the same words as an object.
SHOWN = 'apiVersion: v1\nkind: Notes\nmetadata: {name: notes}\ntext: {{ include "parlance.notes" . | toJson }}\n'
FOREIGN = {"use": "gemma-2-9b-it", "upstream": {"base_url": "https://a.example", "api_key_env": "KEY"}}
TINY = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 67_108_864}


@pytest.fixture(scope="module")
def notes(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """notes({values}): what an install prints."""
    chart = tmp_path_factory.mktemp("notes") / "parlance"
    shutil.copytree(CHART, chart)
    assert '{{ include "parlance.notes" . }}' in (chart / "templates" / "NOTES.txt").read_text(encoding="utf-8")
    (chart / "templates" / "notes.yaml").write_text(SHOWN, encoding="utf-8")

    def text(values: dict[str, Any] | None = None, **rest: Any) -> str:
        return str(named(helm.objects(Render(values=values, chart=chart, **rest)), "Notes")["text"])

    return text


def test_the_first_request_is_printed_with_its_key_and_address(notes: Callable[..., str]) -> None:
    said = notes(name="demo", namespace="llm")
    assert "kubectl --namespace llm get secret demo-parlance-keys --output go-template='{{index .data" in said
    assert "kubectl --namespace llm port-forward service/demo-parlance-gateway 8080:80 &" in said
    assert "curl http://127.0.0.1:8080/v1/chat/completions" in said
    assert "helm test demo --namespace llm" in said
    assert "http://demo-parlance-gateway.llm/v1" in said


def test_an_ingress_is_what_the_request_goes_to(notes: Callable[..., str]) -> None:
    ingress = {"enabled": True, "hosts": ["llm.example.com"], "tls": {"existingSecret": "cert"}}
    said = notes({"gateway": {"ingress": ingress}})
    assert "curl https://llm.example.com/v1/chat/completions" in said
    assert "port-forward service/" not in said


def test_models_are_listed_with_what_they_take(notes: Callable[..., str]) -> None:
    lines = [line.split() for line in notes().splitlines()]
    assert ["llama-3.3-70b-instruct", "1", "replica", "of", "4", "x", "H100-SXM-80GB"] in lines
    assert not [line for line in lines if line[:1] == ["normistral-11b-thinking"]]


def test_gated_weights_without_a_token_are_named_with_their_pages(notes: Callable[..., str]) -> None:
    said = notes()
    assert "https://huggingface.co/meta-llama/Llama-3.3-70B-Instruct" in said
    assert "engines.hub.token.existingSecret" in said
    assert "lightblue" not in said, "Suzume asks for no terms"
    assert "Gated" not in notes({"engines": {"hub": {"token": {"existingSecret": "hub"}}}})


@pytest.mark.parametrize(
    ("values", "notice"),
    [
        ({"gateway": {"drainSeconds": 60}}, "gateway.drainSeconds is 60, and streams may last 3600 s"),
        ({"gateway": {"keys": {"existingSecret": "clients"}}}, "`helm test` has no key: the Secret clients holds"),
        ({"gateway": {"ingress": {"enabled": True}}}, "gateway.ingress.hosts is empty"),
        ({"gateway": {"ingress": {"enabled": True, "hosts": ["a.example"]}}}, "gateway.ingress.tls is null"),
        ({"gateway": {"service": {"type": "LoadBalancer"}}}, "The load balancer lets everybody in"),
        ({"autoscaler": {"enabled": False}}, "autoscaler.enabled is false"),
        ({"autoscaler": {"dryRun": True}}, "autoscaler.dryRun is true"),
        ({"networkPolicies": {"enabled": False}}, "networkPolicies.enabled is false"),
        (
            {"fleet": {"models": [FOREIGN]}},
            "gemma-2-9b-it takes its key from the variable KEY, which gateway.env does not set",
        ),
    ],
)  # fmt: skip
def test_what_may_not_be_meant_is_said(notes: Callable[..., str], values: dict[str, Any], notice: str) -> None:
    assert f"* {notice}" in notes(values)


def test_nothing_secret_is_printed(helm: Helm, notes: Callable[..., str]) -> None:
    said = notes({"engines": {"env": [{"name": "SOME_TOKEN", "value": "hunter2"}]}})
    assert "hunter2" not in said
    assert "pk-" not in said, "a generated key begins so"


@pytest.fixture(scope="module")
def test_pod(rendered: Callable[..., list[Object]]) -> Object:
    """The pod of `helm test`."""
    return named(rendered(), "Pod", "parlance-test")


def test_the_test_is_a_hook_and_restricted(test_pod: Object) -> None:
    assert test_pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert test_pod["metadata"]["labels"]["app.kubernetes.io/component"] == "test"
    assert test_pod["spec"]["automountServiceAccountToken"] is False
    assert test_pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert test_pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = test_pod["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_key_comes_from_the_secret(rendered: Callable[..., list[Object]], test_pod: Object) -> None:
    def source(pod: Object) -> Any:
        variables = {one["name"]: one for one in pod["spec"]["containers"][0]["env"]}
        return variables["PARLANCE_API_KEY"]["valueFrom"]["secretKeyRef"]

    assert source(test_pod) == {"name": "parlance-keys", "key": "api-key", "optional": True}
    values = {"test": {"key": {"existingSecret": "mine", "key": "plain"}}}
    assert source(named(rendered(values), "Pod")) == {"name": "mine", "key": "plain", "optional": True}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    """A gateway process before a scripted engine that answers every chat."""
    engine = Engine()
    one = {"use": "suzume-llama-3-8b-multilingual", "engine": TINY, "cluster": "a"}
    process = GatewayProcess(tmp_path, {"clusters": {"a": {"serve_url": engine.url}}, "models": [one]})
    yield process
    process.stop()
    engine.stop()


def run(pod: Object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The pod's own command, on this machine."""
    (container,) = pod["spec"]["containers"]
    given = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    assert container["command"] == ["python", "-c"]
    command = [sys.executable, "-c", *container["args"]]
    return subprocess.run(command, env=given | environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_script_passes_before_a_real_gateway(test_pod: Object, gateway: GatewayProcess) -> None:
    done = run(test_pod, PARLANCE_URL=gateway.url, PARLANCE_API_KEY="any", PARLANCE_TIMEOUT_S="30")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "models: " in done.stdout
    assert "auto chose suzume-llama-3-8b-multilingual for nb" in done.stdout
    assert done.stdout.endswith("PASSED\n")


def test_the_script_says_what_failed(test_pod: Object, gateway: GatewayProcess) -> None:
    gateway.stop()
    late = run(test_pod, PARLANCE_URL=gateway.url, PARLANCE_API_KEY="any", PARLANCE_TIMEOUT_S="1")
    assert late.returncode == 1
    assert "FAILED: " in late.stdout
    assert "no answer within test.timeoutSeconds (1 s), at last: [Errno 111] Connection refused" in late.stdout
    keyless = run(test_pod, PARLANCE_URL=gateway.url, PARLANCE_API_KEY="", PARLANCE_TIMEOUT_S="1")
    assert keyless.returncode == 1
    assert "FAILED: there is no API key in Secret parlance-keys, key api-key: set test.key" in keyless.stdout
