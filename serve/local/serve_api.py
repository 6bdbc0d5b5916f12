"""Ray Serve's REST API on the dashboard's port: deploys the configuration, tells how far each application is."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serve.errors import LocalError

TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica as Serve tells of it."""

    state: str
    pid: int | None
    actor_id: str | None


@dataclass(frozen=True, slots=True)
class Application:
    """One application as Serve tells of it. `status` is NOT_STARTED, DEPLOYING, RUNNING, UNHEALTHY or worse."""

    name: str
    status: str
    message: str
    replicas: tuple[Replica, ...]
    target: int | None

    @property
    def running(self) -> int:
        """Replicas that take requests."""
        return sum(replica.state == "RUNNING" for replica in self.replicas)


def deploy(dashboard_url: str, config: Mapping[str, Any], deadline: float) -> None:
    """PUTs the configuration, again while the dashboard still starts, until `deadline` (monotonic seconds)."""
    while True:
        try:
            _call(f"{dashboard_url}/api/serve/applications/", "PUT", config)
            return
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace").strip()
            if error.code < 500:
                raise LocalError(f"Ray Serve refused the configuration: {text[:500]}") from error
            reason = text[:500] or str(error)
        except (OSError, http.client.HTTPException) as error:
            reason = str(error)
        if time.monotonic() > deadline:
            raise LocalError(f"Ray's dashboard at {dashboard_url} did not take the configuration: {reason}")
        time.sleep(0.5)


def applications(dashboard_url: str) -> dict[str, Application]:
    """Every application by name; empty while Serve still starts or does not answer."""
    try:
        raw = json.loads(_call(f"{dashboard_url}/api/serve/applications/", "GET") or b"{}")
    except (OSError, http.client.HTTPException, json.JSONDecodeError):
        return {}
    return {name: _application(name, entry) for name, entry in raw.get("applications", {}).items()}


def _application(name: str, entry: Mapping[str, Any]) -> Application:
    deployments = list(entry.get("deployments", {}).values())
    messages = [entry.get("message", ""), *(d.get("message", "") for d in deployments)]
    return Application(
        name=name,
        status=entry.get("status", "NOT_STARTED"),
        message=next((m for m in reversed(messages) if m), ""),
        replicas=tuple(
            Replica(r.get("state", ""), r.get("pid"), r.get("actor_id"))
            for d in deployments
            for r in d.get("replicas", [])
        ),
        target=deployments[0].get("target_num_replicas") if deployments else None,
    )


def _call(url: str, method: str, body: Mapping[str, Any] | None = None) -> bytes:
    request = urllib.request.Request(  # noqa: S310 - http to this machine
        url,
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
        answer: bytes = response.read()
    return answer


def status_of(url: str, timeout_s: float = 2) -> int | None:
    """HTTP status of a GET, or None when nothing answers in time."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as response:  # noqa: S310
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, http.client.HTTPException):
        return None
