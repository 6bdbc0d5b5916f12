"""A release whose pods run: its gateway as a client calls it, its autoscaler as an operator asks it, and its pods.

Addresses are the cluster's own (ClusterIPs): the machine of the tests reaches them.
"""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tests.support.cluster import Object, Space
from tests.support.gateway import Answer
from tests.support.releases import Release
from tests.support.streams import Streams

Found = TypeVar("Found")
ENGINE_PATIENCE_S = 1200
"""A Ray head, its workers and vLLM's imports take 40 CPU-seconds each: a quarter of an hour where others take turns."""
PATIENCE_S = 300
LOG_LINES = "--tail=40"


class Demo:
    """One release in one namespace."""

    def __init__(self, space: Space, release: Release) -> None:
        self.space, self.release = space, release

    def address(self, service: str) -> str:
        """host:port of a Service."""
        spec = self.space.get("service", f"{self.release.name}-{service}")["spec"]
        return f"{spec['clusterIP']}:{spec['ports'][0]['port']}"

    @property
    def url(self) -> str:
        """Where clients call."""
        return f"http://{self.address('gateway')}"

    @property
    def headers(self) -> dict[str, str]:
        """A client's, with the key that the chart made."""
        secret = self.space.get("secret", f"{self.release.name}-keys")
        return {"authorization": f"Bearer {base64.b64decode(secret['data']['api-key']).decode()}"}

    def chat(self, model: str, text: str, **body: Any) -> Answer:
        """One answer to one message."""
        asked = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 12, **body}
        headers = {"content-type": "application/json", **self.headers}
        return request(self.address("gateway"), "POST", "/v1/chat/completions", asked, headers)

    def streams(self, model: str, tokens: int, count: int) -> Streams:
        """Clients that read streams until they are told to end."""
        return Streams(self.url, model, tokens, count, headers=self.headers)

    def plan(self) -> dict[str, Any]:
        """What the autoscaler that answers says; a follower tells the leader's."""
        plan: dict[str, Any] = request(self.address("autoscaler"), "GET", "/plan").json
        return plan

    def planned(self, model: str) -> dict[str, Any]:
        """What the plan says of a model; nothing where there is no plan yet, or nobody answers."""
        try:
            told: dict[str, Any] = self.plan()["models"].get(model, {})
        except (OSError, KeyError, ValueError, http.client.HTTPException):
            return {}
        return told

    def leader(self) -> str:
        """The pod that holds the Lease; empty where none does."""
        holder = self.space.get("lease", f"{self.release.name}-autoscaler")["spec"].get("holderIdentity") or ""
        return next((name for name in self.pods("autoscaler") if holder.startswith(name)), "")

    def pods(self, component: str, *selectors: str) -> dict[str, str]:
        """Pods of a component that nobody deletes: name → UID."""
        labels = [f"app.kubernetes.io/instance={self.release.name}", f"app.kubernetes.io/component={component}"]
        found = self.space.get("pods", "-l", ",".join([*labels, *selectors]))
        return {
            one["metadata"]["name"]: one["metadata"]["uid"]
            for one in found
            if not one["metadata"].get("deletionTimestamp")
        }

    def workers(self, group: str) -> dict[str, str]:
        """Pods of a worker group."""
        return self.pods("engines", "ray.io/node-type=worker", f"ray.io/group={group}")

    def evict(self, pod: str) -> None:
        """Asks for it as a drain of its node does: by the Eviction API, which minds disruption budgets."""
        meta = {"name": pod, "namespace": self.space.name}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
        path = f"/api/v1/namespaces/{self.space.name}/pods/{pod}/eviction"
        self.space.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))

    def restarts(self, component: str) -> dict[str, int]:
        """How often each pod's containers were started again."""
        return {
            pod["metadata"]["name"]: sum(one["restartCount"] for one in pod["status"].get("containerStatuses", ()))
            for pod in self.space.get("pods", "-l", f"app.kubernetes.io/component={component}")
        }

    def service(self) -> Object:
        """The only RayService."""
        (found,) = self.space.get("rayservices")
        return dict(found)

    def applications(self) -> dict[str, str]:
        """Serve's applications on the active cluster: name → status."""
        active = self.service().get("status", {}).get("activeServiceStatus", {})
        return {name: one["status"] for name, one in (active.get("applicationStatuses") or {}).items()}

    def ready(self, component: str) -> bool:
        """Whether a Deployment's newest pods are all that there are, and ready."""
        one = self.space.get("deployment", f"{self.release.name}-{component}")
        status, wanted = one["status"], one["spec"]["replicas"]
        seen = status.get("observedGeneration") == one["metadata"]["generation"]
        counts = [status.get(f"{kind}Replicas", 0) for kind in ("updated", "available", "ready")]
        return seen and counts == [wanted] * 3 and status.get("replicas", 0) == wanted

    def until(self, what: str, found: Callable[[], Found], within_s: float = PATIENCE_S) -> Found:
        """The first answer that is true; a failure tells events, pods and logs."""
        return self.space.until(what, found, within_s, every_s=1, on_failure=self.logs)

    def logs(self) -> str:
        """The end of every container's log, and of the one before it."""
        told = [f"plan: {json.dumps(self.planned_or_error())[:4000]}"]
        for name in sorted(self.space.names("pods")):
            for former in ((), ("--previous",)):
                words = ("logs", name, "--all-containers", "--prefix", LOG_LINES, *former)
                answer = self.space.try_kubectl(*words)
                if answer.status == 0 and answer.out.strip():
                    told.append(f"logs of {name} {' '.join(former)}:\n{answer.out}")
        return "\n".join(told)

    def planned_or_error(self) -> Any:
        """/plan, or why there is none."""
        try:
            return self.plan()
        except (OSError, ValueError, http.client.HTTPException, AssertionError) as error:
            return f"{type(error).__name__}: {error}"

    def stays(self, what: str, holds: Callable[[], bool], seconds: float) -> None:
        """Fails, with what `until` tells, as soon as it holds no longer."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert holds(), f"{what} no longer\n{self.logs()}\n{self.space.state()}"
            time.sleep(1)


def request(address: str, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
    """One request over a connection of its own. Raises OSError and http.client.HTTPException."""
    connection = http.client.HTTPConnection(address, timeout=120)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()
