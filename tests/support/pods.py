"""The pods that a rendered chart leads to, as ends of connections, and those around them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tests.support.reach import End

Object = dict[str, Any]

# What KubeRay writes on pods beside their template's labels (seen with 1.6.0); `ray.io/cluster` has a random part.
KUBERAY = {"app.kubernetes.io/created-by": "kuberay-operator", "ray.io/is-ray-node": "yes"}


def release(objects: Iterable[Object]) -> dict[str, End]:
    """One pod of each kind by a short name: gateway, autoscaler, prometheus, test, head and worker of each cluster."""
    found: dict[str, End] = {}
    for number, (name, namespace, template) in enumerate(_templates(objects)):
        labels = template["metadata"]["labels"]
        containers = template["spec"]["containers"]
        named = {port["name"]: port["containerPort"] for one in containers for port in one.get("ports", ())}
        found.setdefault(name, _pod(name, f"10.20.0.{number + 1}", namespace, labels, named))
    return found


def _templates(objects: Iterable[Object]) -> Iterator[tuple[str, str, Object]]:
    for one in objects:
        space = one["metadata"].get("namespace", "default")
        if one["kind"] == "Deployment":
            yield one["metadata"]["labels"]["app.kubernetes.io/component"], space, one["spec"]["template"]
        elif one["kind"] == "Pod":
            yield "test", space, one
        elif one["kind"] == "RayService":
            config = one["spec"]["rayClusterConfig"]
            yield from _ray("head", space, "headgroup", config["headGroupSpec"]["template"])
            for group in config["workerGroupSpecs"]:
                yield from _ray("worker", space, group["groupName"], group["template"])


def _ray(kind: str, space: str, group: str, template: Object) -> Iterator[tuple[str, str, Object]]:
    own = template["metadata"]["labels"]
    labels = KUBERAY | own | {"ray.io/node-type": kind, "ray.io/group": group, "ray.io/cluster": "a-random-name"}
    yield f"{kind} {own['parlance.dev/cluster']}", space, template | {"metadata": {"labels": labels}}


def around(namespace: str) -> dict[str, End]:
    """What is there beside a release in `namespace`."""
    return {
        end.name: end
        for end in (
            _pod("foreign pod, same namespace", "10.20.1.1", namespace, {"app": "notebook"}),
            _pod("foreign pod, elsewhere", "10.20.1.2", "apps", {"app": "web"}),
            _pod("monitoring", "10.20.1.3", "monitoring", {"app.kubernetes.io/name": "prometheus"}),
            _pod("KubeRay", "10.20.1.4", "kuberay-system", {"app.kubernetes.io/name": "kuberay-operator"}),
            _pod("operations", "10.20.1.5", "operations", {"app": "console"}),
            _pod("ingress", "10.20.1.6", "ingress-nginx", {"app.kubernetes.io/name": "ingress-nginx"}),
            _pod("DNS", "10.20.1.7", "kube-system", {"k8s-app": "kube-dns"}),
            _pod("Redis", "10.20.1.8", "redis", {"app": "redis"}),
            End("API server", "10.0.0.10"),
            End("metadata service", "169.254.169.254"),
            End("internet", "203.0.113.7"),
        )
    }


def _pod(name: str, address: str, namespace: str, labels: dict[str, str], named: dict[str, int] | None = None) -> End:
    return End(name, address, namespace, labels, {"kubernetes.io/metadata.name": namespace}, named or {})
