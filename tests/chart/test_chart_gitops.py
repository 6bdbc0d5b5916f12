"""GitOps renders the chart without a cluster: twice the same, and with nothing that only `helm install` understands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.helm import CHART, KINDS, Helm, Object, Render

pytestmark = pytest.mark.integration

FILES = sorted(CHART.glob("values*.yaml"))
CLUSTER_SCOPED = {
    "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace", "PersistentVolume", "PriorityClass",
    "StorageClass", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "IngressClass", "RuntimeClass",
}  # fmt: skip


def key(one: Object) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_two_renders_with_a_secret_of_ones_own_are_equal(helm: Helm, file: Path) -> None:
    render = Render(files=[file], sets=["gateway.keys.existingSecret=clients"])
    assert helm.template(render).stdout == helm.template(render).stdout


def test_two_renders_differ_in_the_generated_key_only(rendered: Callable[..., list[Object]]) -> None:
    first, second = rendered(), rendered()
    assert [key(one) for one in first] == [key(one) for one in second]
    differing = {key(one) for one, other in zip(first, second, strict=True) if one != other}
    # The gateway's pods carry a checksum of the keys.
    assert differing == {("Secret", "parlance-keys"), ("Deployment", "parlance-gateway")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_object_is_of_the_namespace_and_needs_no_cluster_admin(
    rendered: Callable[..., list[Object]], file: Path
) -> None:
    for one in rendered(files=[file], namespace="llm"):
        assert one["kind"] not in CLUSTER_SCOPED, key(one)
        assert one["metadata"]["namespace"] == "llm", key(one)


def test_a_second_release_in_the_namespace_shares_no_name(rendered: Callable[..., list[Object]]) -> None:
    one, two = ({key(each) for each in rendered(name=name)} for name in ("blue", "green"))
    assert not one & two


def test_api_versions_are_all_that_a_render_asks_of_a_cluster(helm: Helm) -> None:
    without = helm.template(Render(api_versions=()))
    assert without.returncode != 0
    assert "--api-versions ray.io/v1/RayService" in without.stderr
    assert helm.template(Render(api_versions=["ray.io/v1/RayService"])).returncode == 0


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_empty_mapping_or_list_flips_under_server_side_apply(
    rendered: Callable[..., list[Object]], file: Path
) -> None:
    """The API server drops empty annotations, labels and lists of most fields: a GitOps tool would see a difference for
    ever."""
    assert KINDS

    def empty(value: Any, at: str) -> list[str]:
        if isinstance(value, dict):
            return [found for name, below in value.items() for found in empty(below, f"{at}.{name}")]
        if isinstance(value, list):
            return [at] if not value else [f for n, below in enumerate(value) for f in empty(below, f"{at}[{n}]")]
        return [at] if value is None else []

    for one in rendered(files=[file]):
        # Of a NetworkPolicy and a container's args an empty list means something.
        found = [at for at in empty(one, "") if not at.endswith((".ingress", ".egress"))]
        assert not found, (key(one), found)
        for part in ("labels", "annotations"):
            assert one["metadata"].get(part, {"-": ""}), (key(one), part)
