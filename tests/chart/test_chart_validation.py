"""Every object that a values file makes is what Kubernetes' own schemas allow, strictly, in the oldest and the newest
version that the chart supports. Kinds of CRDs are held by the API server's dry run (tests/cluster)."""

from __future__ import annotations

from collections.abc import Callable

import kubernetes_validate
import pytest
import yaml

from tests.support.helm import CHART, Object

pytestmark = pytest.mark.integration

FILES = sorted(CHART.glob("values*.yaml"))
CRDS = ("ray.io/", "monitoring.coreos.com/", "gateway.networking.k8s.io/")
FULL = {
    "gateway": {
        "ingress": {"enabled": True, "hosts": ["llm.example.com"], "tls": {"existingSecret": "cert"}},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "edge"}]},
    },
    "engines": {"weights": {"kind": "persistentVolumeClaim"}},
    "monitoring": {"monitors": {"enabled": True}, "rules": {"enabled": True}, "dashboards": {"enabled": True}},
    "imagePullSecrets": [{"name": "registry"}],
    "commonLabels": {"team": "language"},
    "commonAnnotations": {"example.com/owner": "language"},
}
"""What the ready-made files do not all turn on."""


def versions() -> tuple[str, str]:
    """The oldest Kubernetes that Chart.yaml allows, and the newest that there are schemas of."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    oldest = chart["kubeVersion"].removeprefix(">=").split("-")[0].rpartition(".")[0]
    return oldest, kubernetes_validate.latest_version().rpartition(".")[0] or kubernetes_validate.latest_version()


OLDEST, NEWEST = versions()


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("file", [*FILES, None], ids=lambda file: file.stem if file else "full")
def test_every_object_is_valid(rendered: Callable[..., list[Object]], file: object, version: str) -> None:
    objects = rendered(files=[file]) if file else rendered(FULL)
    own = [one for one in objects if not one["apiVersion"].startswith(CRDS)]
    assert len(own) > 8
    for one in own:
        kubernetes_validate.validate(one, version, strict=True)


def test_strict_means_that_an_unknown_field_is_refused() -> None:
    broken = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "dta": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, NEWEST, strict=True)


def test_the_versions_are_those_that_the_chart_supports() -> None:
    assert OLDEST == "1.29"
    assert tuple(map(int, NEWEST.split("."))) >= (1, 34)
