"""Ray Serve's REST API of one cluster: how many replicas each application has, and how many it should have."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from autoscaling import fetch
from autoscaling.snapshot import Replicas
from serve.fleet.engine import Cluster

# Ray Serve's replica states (ray.serve._private.common.ReplicaState, 2.60). One that waits to be moved still serves.
RUNNING = {"RUNNING", "PENDING_MIGRATION"}
STARTING = {"STARTING", "UPDATING", "RECOVERING"}
DRAINING = {"STOPPING"}


class Failed(Exception):
    """Ray Serve did not tell, or did not do it; the words say why."""


@dataclass(frozen=True, slots=True)
class Application:
    """One application: its only deployment, its replicas, and the ids of those that run.

    `places` are the names (KubeRay's pods) and addresses of nodes where a replica is that has not stopped; `unplaced`:
    one has no node yet.
    """

    name: str
    deployment: str
    replicas: Replicas
    running: tuple[str, ...]
    places: frozenset[str] = frozenset()
    unplaced: bool = False


class RayServe:
    """One cluster's Ray Serve. Every call blocks for at most `timeout_s`.

    `address`, where there is one, finds the dashboard's URL and token anew before `applications`, or raises Failed;
    `scale` goes to the dashboard that told of the application.
    """

    def __init__(
        self, cluster: Cluster, timeout_s: float, address: Callable[[], tuple[str, str]] | None = None
    ) -> None:
        self.url = cluster.dashboard_url.rstrip("/")
        self._address, self._found = address, ""
        self._cluster = cluster
        self._timeout_s = timeout_s

    def applications(self) -> dict[str, Application]:
        """Every application that has a deployment, by name. Raises Failed."""
        if self._address is not None:
            self.url, self._found = self._address()
        answer = self._call("GET", "/api/serve/applications/")
        try:
            found = {name: application(name, entry) for name, entry in json.loads(answer)["applications"].items()}
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise Failed(f"{self.url}: no answer of Ray Serve's") from error
        return {name: app for name, app in found.items() if app is not None}

    def scale(self, app: Application, replicas: int) -> None:
        """Asks for so many replicas. Ray Serve starts them, or drains those that are too many. Raises Failed."""
        path = f"/api/v1/applications/{quote(app.name, safe='')}/deployments/{quote(app.deployment, safe='')}/scale"
        self._call("POST", path, {"target_num_replicas": replicas})

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        headers = {"content-type": "application/json"}
        if token := self._token():
            headers["authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        try:
            status, answer = fetch.call(f"{self.url}{path}", method, data, headers, timeout_s=self._timeout_s)
        except fetch.Unreachable as error:
            raise Failed(str(error)) from error
        if status != 200:
            hint = " (the cluster's token_env or token_file)" if status in (401, 403) else ""
            raise Failed(f"{self.url}{path}: status {status}{hint} {answer[:200].decode(errors='replace')}".rstrip())
        return answer

    def _token(self) -> str:
        """The cluster's token; empty where none is configured. Raises Failed where it cannot be had."""
        cluster = self._cluster
        if cluster.token_env is not None:
            return _sendable(os.environ.get(cluster.token_env, ""), f"the environment variable {cluster.token_env}")
        if cluster.token_file is not None:
            try:
                token = Path(cluster.token_file).read_text(encoding="ascii")
            except (OSError, UnicodeError) as error:
                raise Failed(f"token_file {cluster.token_file} cannot be read: {error}") from error
            return _sendable(token, f"token_file {cluster.token_file}")
        return _sendable(self._found, f"the secret of {self.url}") if self._found else ""


def _sendable(text: str, where: str) -> str:
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise Failed(f"{where} holds no token that a header could carry")
    return token


def application(name: str, entry: Mapping[str, Any]) -> Application | None:
    """One entry of the answer; None where it has no deployment yet. Raises KeyError and the like for another shape.

    An application that is scaled is DEPLOYING to Ray Serve as one with a new configuration is; its deployment tells
    them apart: UPSCALING or DOWNSCALING here, UPDATING there.
    """
    deployments = list(entry["deployments"].values())
    if not deployments:
        return None
    deployment = deployments[0]
    states = [replica["state"] for replica in deployment["replicas"]]
    present = [r for one in deployments for r in one["replicas"] if r["state"] != "STOPPED"]
    scaled = deployment["status"] in ("UPSCALING", "DOWNSCALING")
    changing = deployment["status"] == "UPDATING" or (entry["status"] in _NOT_SETTLED and not scaled)
    return Application(
        name=name,
        deployment=str(deployment["name"]),
        replicas=Replicas(
            target=int(deployment["target_num_replicas"]),
            running=sum(state in RUNNING for state in states),
            starting=sum(state in STARTING for state in states),
            draining=sum(state in DRAINING for state in states),
            changing=changing,
        ),
        running=tuple(str(r["replica_id"]) for r in deployment["replicas"] if r["state"] in RUNNING),
        places=frozenset(str(r[key]) for r in present for key in ("node_instance_id", "node_ip") if r.get(key)),
        unplaced=any(not r.get("node_ip") for r in present),
    )


_NOT_SETTLED = ("NOT_STARTED", "DEPLOYING", "DELETING")
