"""A release of the chart in a namespace: installed, upgraded, rolled back, and what of it was written when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.cluster import Answer, Object, Space, documents, parsed, succeeded
from tests.support.helm import CHART

FILES = sorted(CHART.glob("values*.yaml"))
"""Every ready-made values file."""
UNLIKE = [file for file in FILES if file.stem in ("values", "values-production")]
"""Of these the plain one, and the one with Ingress, monitors, claims and Redis: for tests that take long."""
GPU_TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
PLACE = {"nodeSelector": {"type": "kwok"}, "tolerations": [GPU_TAINT]}
PLAYED = {
    # Its HorizontalPodAutoscaler has nothing to do then, and no test waits for it.
    "gateway": {**PLACE, "autoscaling": {"minReplicas": 1}},
    "autoscaler": PLACE,
    "prometheus": PLACE,
    "engines": {"head": PLACE, "workers": PLACE},
}
"""Values that send all pods to a node that kwok plays: there they are Running and Ready without an image."""
# Kinds whose objects nobody but their owner writes here. Of others, controllers write the status.
STILL = {
    "ConfigMap", "Secret", "Service", "ServiceAccount", "Role", "RoleBinding", "NetworkPolicy", "Ingress", "HTTPRoute",
    "PodMonitor", "ServiceMonitor", "PrometheusRule",
}  # fmt: skip
# Of a Deployment, by the Deployment controller.
CONTROLLERS = ("deployment.kubernetes.io/revision",)


class Release:
    """One release. `user`: whom helm impersonates; everything else sees it as an administrator."""

    def __init__(self, space: Space, name: str = "parlance", chart: Path = CHART, user: str | None = None) -> None:
        self.space, self.name, self.chart, self.user = space, name, chart, user

    def install(self, *args: str, values: Mapping[str, Any] | None = None) -> Answer:
        """Raises AssertionError with helm's words where it refuses."""
        return succeeded(self.try_helm("install", *args, values=values))

    def upgrade(self, *args: str, values: Mapping[str, Any] | None = None) -> Answer:
        """Raises AssertionError with helm's words where it refuses."""
        return succeeded(self.try_helm("upgrade", *args, values=values))

    def try_helm(self, verb: str, *args: str, values: Mapping[str, Any] | None = None) -> Answer:
        """install or upgrade, whatever helm answers. `values` go over those of `args`."""
        return self.space.try_helm(verb, self.name, str(self.chart), *args, *self._values(values), *self._as())

    def rendered(self, *args: str, values: Mapping[str, Any] | None = None) -> list[Object]:
        """What helm would install here, checked by the API server; nothing is."""
        words = ["template", self.name, str(self.chart), "--dry-run=server", *args, *self._values(values)]
        return list(parsed(self.space.helm(*words).out))

    def rollback(self, revision: int) -> None:
        """To a former revision."""
        self.space.helm("rollback", self.name, str(revision), *self._as())

    def uninstall(self, *args: str) -> Answer:
        """Raises AssertionError with helm's words where it refuses."""
        return self.space.helm("uninstall", self.name, *args, *self._as())

    def manifest(self) -> list[Object]:
        """The objects that the release is made of, as rendered."""
        return list(parsed(self.space.helm("get", "manifest", self.name).out))

    def applied(self) -> list[Object]:
        """The manifest as helm sends it: with the annotations by which it knows its own."""
        own = {"meta.helm.sh/release-name": self.name, "meta.helm.sh/release-namespace": self.space.name}
        objects = self.manifest()
        for one in objects:
            one["metadata"]["annotations"] = {**one["metadata"].get("annotations", {}), **own}
        return objects

    def hooks(self) -> list[Object]:
        """Objects of its hooks."""
        return list(parsed(self.space.helm("get", "hooks", self.name).out))

    def live(self) -> dict[str, Object]:
        """The same objects by `Kind/name`, as the API server has them."""
        return self.live_of(self.manifest())

    def live_of(self, objects: Iterable[Object]) -> dict[str, Object]:
        """Objects by `Kind/name`, as the API server has them."""
        found = self.space.kubectl("get", "-o", "json", "-f", "-", stdin=documents(objects)).json()
        return {f"{one['kind']}/{one['metadata']['name']}": one for one in found["items"]}

    def _as(self) -> list[str]:
        return ["--kube-as-user", self.user] if self.user else []

    def _values(self, values: Mapping[str, Any] | None) -> Iterator[str]:
        if values is not None:
            path = self.space.cluster.folder / f"{self.space.name}-{self.name}.yaml"
            path.write_text(yaml.safe_dump(dict(values), allow_unicode=True), encoding="utf-8")
            yield from ("--values", str(path))


@dataclass(frozen=True)
class Standing:
    """A release that several tests look at and none changes."""

    file: Path
    release: Release
    installed: Answer
    """What helm said."""


def written(before: Mapping[str, Object], after: Mapping[str, Object]) -> set[str]:
    """Keys of objects that were written in between, made or taken away: of what only its owner writes by the resource
    version, of all others by generation and everything but the status."""
    return {key for key in before.keys() | after.keys() if _mark(before.get(key)) != _mark(after.get(key))}


def generations(objects: Mapping[str, Object], *kinds: str) -> dict[str, int]:
    """Of objects of these kinds: a new one is a new spec."""
    return {key: one["metadata"]["generation"] for key, one in objects.items() if one["kind"] in kinds}


def _mark(one: Object | None) -> Any:
    if one is None:
        return None
    metadata = one["metadata"]
    if one["kind"] in STILL:
        return metadata["uid"], metadata["resourceVersion"]
    annotations = {k: v for k, v in metadata.get("annotations", {}).items() if k not in CONTROLLERS}
    content = {key: value for key, value in one.items() if key not in ("metadata", "status")}
    return metadata["uid"], metadata.get("generation"), metadata.get("labels"), annotations, content


def prepare(space: Space, file: Path) -> None:
    """Makes the Secrets and claims that a values file says are there already."""
    if found := list(_named(yaml.safe_load(file.read_text(encoding="utf-8")))):
        space.apply(*found)


def _named(values: Any) -> Iterator[Object]:
    if isinstance(values, dict):
        if name := values.get("existingSecret"):
            content = {values.get("key") or "tls.crt": "made by a test"}
            yield {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": content}
        if name := values.get("existingClaim"):
            spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
            yield {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}
        for value in values.values():
            yield from _named(value)


def ray_pods(space: Space) -> list[Object]:
    """Pods that KubeRay made."""
    return list(space.get("pods", "-l", "ray.io/node-type"))
