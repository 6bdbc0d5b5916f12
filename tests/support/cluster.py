"""A throw-away Kubernetes as tests use it: kubectl and helm on it, and a namespace of a test's own.

Namespaces enforce the restricted Pod Security Standard, and warn of what a controller's pods would violate. A wait that
fails tells the events and the pods of the namespace.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tests.support.programs import helm_environment, program

Object = dict[str, Any]
Found = TypeVar("Found")
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
# What helm and kubectl say of what they took and would rather not have: "Warning:" or, of helm 4, "level=WARN".
WARNINGS = ("warning:", "level=warn", "would violate")
PATIENCE_S = 60


@dataclass(frozen=True)
class Answer:
    """What a program said."""

    command: str
    status: int
    out: str
    err: str

    @property
    def warnings(self) -> list[str]:
        """Lines in which the API server, helm or kubectl warned."""
        return [line for line in self.err.splitlines() if any(word in line.lower() for word in WARNINGS)]

    def json(self) -> Any:
        """Its output."""
        return json.loads(self.out)


def needed(name: str) -> Path:
    """A program's path. Raises LookupError: conftest asks for it before any test runs."""
    path = program(name)
    if path is None:
        raise LookupError(name)
    return path


class Cluster:
    """What a kubeconfig leads to. `folder` holds helm's caches and what tests write."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.kubeconfig, self.folder = kubeconfig, folder
        self._environment = helm_environment(folder, kubeconfig)
        self._spaces: list[Space] = []

    def run(self, name: str, *args: str, stdin: str | None = None) -> Answer:
        """A program's answer, whatever it is."""
        done = subprocess.run(
            [str(needed(name)), *args],
            env=self._environment,
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        return Answer(" ".join([name, *args]), done.returncode, done.stdout, done.stderr)

    def kubectl(self, *args: str, stdin: str | None = None) -> Answer:
        """kubectl's answer. Raises AssertionError with its words where it ends with an error."""
        return succeeded(self.run("kubectl", *args, stdin=stdin))

    def get(self, *args: str) -> Any:
        """`kubectl get ARGS -o json`: the object, or of several the list of them."""
        found = self.kubectl("get", *args, "-o", "json").json()
        return found["items"] if found["kind"] == "List" else found

    @cached_property
    def listed(self) -> list[str]:
        """Every namespaced resource that can be listed, but events."""
        asked = ("api-resources", "--namespaced", "--verbs=list", "--no-headers", "-o", "name")
        return sorted(set(self.kubectl(*asked).out.split()) - {"events", "events.events.k8s.io"})

    def has(self, resource: str) -> bool:
        """Whether the API server knows a resource: `rayservices.ray.io`."""
        group = resource.partition(".")[2]
        names = self.kubectl("api-resources", "--no-headers", "-o", "name", f"--api-group={group}").out.split()
        return resource in names

    def space(self, labels: Mapping[str, str] = RESTRICTED) -> Space:
        """A new namespace."""
        made = Space(self, f"cluster-test-{secrets.token_hex(4)}", labels)
        self._spaces.append(made)
        return made

    def close(self) -> None:
        """Deletes all namespaces that are left and waits until they are gone, but on a cluster that ends now."""
        if os.environ.get("PARLANCE_TEST_CLUSTER_ENDS"):
            return
        for space in self._spaces:
            space.delete()
        for space in self._spaces:
            space.gone()


class Space:
    """A namespace of a test's own."""

    def __init__(self, cluster: Cluster, name: str, labels: Mapping[str, str]) -> None:
        self.cluster, self.name = cluster, name
        meta = {"name": name, "labels": dict(labels)}
        one = {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(one))
        # Made a moment after the namespace; a pod that comes before it is refused.
        self.until("its default service account", lambda: self.names("serviceaccounts"))

    def kubectl(self, *args: str, stdin: str | None = None) -> Answer:
        """kubectl in this namespace. Raises AssertionError with its words where it ends with an error."""
        return self.cluster.kubectl("-n", self.name, *args, stdin=stdin)

    def try_kubectl(self, *args: str, stdin: str | None = None) -> Answer:
        """kubectl in this namespace, whatever it answers."""
        return self.cluster.run("kubectl", "-n", self.name, *args, stdin=stdin)

    def helm(self, *args: str) -> Answer:
        """Helm in this namespace. Raises AssertionError with its words where it ends with an error."""
        return succeeded(self.try_helm(*args))

    def try_helm(self, *args: str) -> Answer:
        """Helm in this namespace, whatever it answers."""
        return self.cluster.run("helm", "-n", self.name, *args)

    def get(self, *args: str) -> Any:
        """`kubectl get ARGS -o json` in this namespace."""
        return self.cluster.get("-n", self.name, *args)

    def names(self, resource: str, *args: str) -> set[str]:
        """Names of what there is of a resource."""
        return set(self.kubectl("get", resource, *args, "-o", "jsonpath={.items[*].metadata.name}").out.split())

    def apply(self, *objects: Object, dry_run: bool = False) -> Answer:
        """Applies objects, at least one, or only asks the API server, strictly, whether it would take them."""
        asked = ["--dry-run=server", "--validate=strict"] if dry_run else []
        return self.kubectl("apply", *asked, "-f", "-", stdin=documents(objects))

    def server_side(self, *objects: Object, manager: str) -> Answer:
        """Applies objects server-side, as a field manager; a conflict with another is an error."""
        asked = ("apply", "--server-side", "--field-manager", manager, "--validate=strict")
        return self.kubectl(*asked, "-f", "-", stdin=documents(objects))

    def everything(self) -> dict[str, Object]:
        """All objects of the namespace that can be listed, by `resource/name`; without events and what each namespace
        has of its own."""
        items = self.get(",".join(self.cluster.listed), "--ignore-not-found")
        found = {f"{one['kind']}/{one['metadata']['name']}": one for one in items}
        return {key: one for key, one in found.items() if key not in OF_EACH_NAMESPACE}

    def until(
        self,
        what: str,
        found: Callable[[], Found],
        within_s: float = PATIENCE_S,
        every_s: float = 1,
        on_failure: Callable[[], str] = str,
    ) -> Found:
        """The first answer that is true. Fails, with `on_failure`, events and pods, when there is none in time."""
        deadline, pause = time.monotonic() + within_s, 0.3
        while not (answer := found()):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {within_s:g} s: {what}\n{on_failure()}\n{self.state()}")
            time.sleep(pause)
            pause = min(2 * pause, every_s)
        return answer

    def state(self) -> str:
        """Pods and events, oldest first, for a message."""
        pods = self.try_kubectl("get", "pods", "-o", "wide").out
        events = self.try_kubectl("get", "events", "--sort-by=.lastTimestamp").out
        return f"pods of {self.name}:\n{pods}\nevents:\n{events}"

    def events(self, *reasons: str) -> list[str]:
        """What events with these reasons say."""
        return [f"{e['involvedObject']['kind']}: {e['message']}" for e in self.get("events") if e["reason"] in reasons]

    def delete(self) -> None:
        """Begins to delete it."""
        self.cluster.run("kubectl", "delete", "namespace", self.name, "--wait=false", "--ignore-not-found")

    def gone(self) -> None:
        """Waits until it is. KubeRay keeps a Ray cluster with Redis until a Job has cleaned Redis up: here is none."""
        deadline = time.monotonic() + 2 * PATIENCE_S
        while self.cluster.run("kubectl", "get", "namespace", self.name).status == 0:
            for name in self.try_kubectl("get", "rayclusters.ray.io", "-o", "name").out.split():
                self.try_kubectl("patch", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
            assert time.monotonic() < deadline, f"namespace {self.name} is not gone\n{self.state()}"
            time.sleep(0.5)


OF_EACH_NAMESPACE = {"ServiceAccount/default", "ConfigMap/kube-root-ca.crt"}


def succeeded(answer: Answer) -> Answer:
    """An answer without an error. Raises AssertionError with the program's words."""
    assert answer.status == 0, f"{answer.command}: {answer.err or answer.out}"
    return answer


def documents(objects: Iterable[Object]) -> str:
    """Objects as one text for kubectl."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def parsed(text: str) -> Iterator[Object]:
    """Objects of a YAML text."""
    yield from (one for one in yaml.safe_load_all(text) if one)
