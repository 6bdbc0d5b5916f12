"""Helm as tests run it: the chart rendered to objects, or the sentence with which it refuses."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.support.programs import ADVICE, ROOT, helm_environment, program

CHART = ROOT / "deploy" / "helm" / "parlance"
KINDS = (
    "ray.io/v1/RayService",
    "ray.io/v1/RayCluster",
    "monitoring.coreos.com/v1/PodMonitor",
    "monitoring.coreos.com/v1/ServiceMonitor",
    "monitoring.coreos.com/v1/PrometheusRule",
    "gateway.networking.k8s.io/v1/HTTPRoute",
)
"""Every CRD's kind that the chart can render: what `--api-versions` says in tests that name none."""
Object = dict[str, Any]


@dataclass(frozen=True)
class Render:
    """What one render is made of. `values` is written to a file and comes after `files`, before `sets`."""

    values: Mapping[str, Any] | None = None
    files: Iterable[Path | str] = ()
    sets: Iterable[str] = ()
    args: Iterable[str] = ()
    api_versions: Iterable[str] = KINDS
    kube_version: str = ""
    name: str = "parlance"
    namespace: str = "parlance"
    chart: Path = CHART

    def arguments(self, folder: Path) -> list[str]:
        """Helm's, after the command."""
        out = [self.name, str(self.chart), "--namespace", self.namespace]
        for file in self.files:
            out += ["--values", str(file)]
        if self.values is not None:
            path = folder / "values.yaml"
            path.write_text(yaml.safe_dump(dict(self.values), allow_unicode=True, sort_keys=False), encoding="utf-8")
            out += ["--values", str(path)]
        for one in self.sets:
            out += ["--set", one]
        for kind in self.api_versions:
            out += ["--api-versions", kind]
        if self.kube_version:
            out += ["--kube-version", self.kube_version]
        return [*out, *self.args]


class Helm:
    """Helm without the user's own plugins, repositories, settings and cluster."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self._folder = path, folder
        self._environment = helm_environment(folder, folder / "none")

    def run(self, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`helm ARGS`, whatever it answers: output and errors are apart."""
        command = [str(self.path), *args]
        return subprocess.run(
            command, env=self._environment | environment, capture_output=True, text=True, timeout=500, check=False
        )

    @cached_property
    def version(self) -> tuple[int, ...]:
        """(4, 1, 4)"""
        found = re.search(r"v(\d+)\.(\d+)\.(\d+)", self.run("version", "--short").stdout)
        assert found, "helm has no version"
        return tuple(map(int, found.groups()))

    def template(self, render: Render) -> subprocess.CompletedProcess[str]:
        """`helm template`: no cluster."""
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            return self.run("template", *render.arguments(Path(folder)))

    def objects(self, render: Render) -> list[Object]:
        """The objects of a render, in Helm's order. A refusal fails the test with Helm's words."""
        answer = self.template(render)
        assert answer.returncode == 0, answer.stderr
        return [one for one in yaml.safe_load_all(answer.stdout) if one is not None]

    def refusal(self, render: Render) -> str:
        """The words with which Helm refuses. That it renders fails the test."""
        answer = self.template(render)
        assert answer.returncode != 0, "helm renders what it should refuse"
        return answer.stderr


def helm_at(folder: Path) -> Helm | None:
    """Helm with its state in a folder; None where there is none."""
    path = program("helm")
    return None if path is None else Helm(path, folder)


def missing() -> str:
    """What to say where there is no helm."""
    return ADVICE["helm"]


def named(objects: Iterable[Object], kind: str, name: str | None = None) -> Object:
    """The one object of a kind (and a name)."""
    found = [one for one in objects if one["kind"] == kind and name in (None, one["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} objects are {kind} {name or ''}"
    return found[0]
