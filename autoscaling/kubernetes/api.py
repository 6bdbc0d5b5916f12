"""Calls to the Kubernetes API server that end in time, and say in a sentence what went wrong."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException

from serve.errors import LocalError

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
JSON_PATCH = "application/json-patch+json"
DOCUMENTED = "docs/kubernetes.md has the Role"

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "GET": "get", "DELETE": "delete"}


class Refused(Exception):
    """The API server did not do it, or did not answer. `status` is HTTP's; None without an answer."""

    def __init__(self, words: str, status: int | None = None) -> None:
        super().__init__(words)
        self.status = status

    @property
    def missing(self) -> bool:
        """Whether there is no such object."""
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """Whether somebody else changed or made it meanwhile: 409, or 422 by a JSON patch whose test failed."""
        return self.status in (409, 422)


class Api:
    """One connection pool for all threads. Every call blocks for at most about `timeout_s`."""

    def __init__(self, client: ApiClient, namespace: str, timeout_s: float) -> None:
        self.namespace = namespace
        self._client = client
        self._timeout_s = timeout_s

    def get(self, path: str) -> dict[str, Any]:
        """An object or a list. Raises Refused."""
        return self.call("GET", path)

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Makes an object of the collection at `path`. Raises Refused."""
        return self.call("POST", path, dict(body))

    def replace(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Writes an object; one whose `resourceVersion` is not the last is refused as a conflict. Raises Refused."""
        return self.call("PUT", path, dict(body))

    def patch(self, path: str, operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Applies a JSON patch (RFC 6902), all of it or, where one of its tests fails, nothing. Raises Refused."""
        return self.call("PATCH", path, list(operations), JSON_PATCH)

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> dict[str, Any]:
        """One request, no second attempt, no redirect. Raises Refused."""
        headers = {"Accept": "application/json", "Content-Type": kind}
        try:
            ready = self._client.param_serialize(
                method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            response = self._client.call_api(*ready, _request_timeout=self._timeout_s)
            status, data = response.status, response.read()
        except ApiException as error:  # TLS that cannot be agreed on
            raise Refused(f"{method} {path}: {error.reason}") from error
        except (urllib3.exceptions.HTTPError, config.ConfigException, OSError, ValueError) as error:
            raise Refused(f"{method} {path}: {_short(error)}") from error
        try:
            answer = json.loads(data)
        except ValueError as error:
            raise Refused(f"{method} {path}: status {status} without JSON", status) from error
        if not isinstance(answer, dict):
            raise Refused(f"{method} {path}: status {status} with another JSON than an object", status)
        if not 200 <= status < 300:
            raise Refused(_refusal(method, path, status, answer), status)
        return answer


def _refusal(method: str, path: str, status: int, answer: Mapping[str, Any]) -> str:
    """Kubernetes' own sentence, which for 403 names user, verb, resource and namespace."""
    said = str(answer.get("message") or answer.get("reason") or "")
    if status == 403:
        return f"not allowed to {_VERBS.get(method, method)} {path}: {said} ({DOCUMENTED})"
    if status == 401:
        return f"{method} {path}: the API server does not know who asks (401 {said})"
    return f"{method} {path}: status {status} {said}".rstrip()


def _short(error: Exception) -> str:
    """Without urllib3's repr of its connection pool."""
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)  # which urllib3 calls a time-out too
    if isinstance(error, urllib3.exceptions.TimeoutError) and not refused:
        return "no answer in time"
    words = str(error) or type(error).__name__
    return words.rpartition(">: ")[2][:300]


def connect(namespace: str | None, timeout_s: float) -> Api:
    """As the pod's service account, or as the kubeconfig says. Raises LocalError where there is neither, or where the
    namespace is not known."""
    settings = Configuration()
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(settings)
            own = NAMESPACE_FILE.read_text(encoding="utf-8").strip() if namespace is None else namespace
        else:
            where = os.environ.get("KUBECONFIG") or None  # asked now: the client asked when it was imported
            config.load_kube_config(where, client_configuration=settings)
            own = _context_namespace(where) if namespace is None else namespace
    except (config.ConfigException, OSError, ValueError) as error:
        raise LocalError(
            f"no Kubernetes cluster is known ({error}): run in a pod with a service account, set KUBECONFIG, or leave "
            "autoscaling.kubernetes out"
        ) from error
    settings.retries = False  # every caller has its own rhythm
    return Api(ApiClient(settings), own, timeout_s)


def _context_namespace(where: str | None) -> str:
    _, active = config.list_kube_config_contexts(where)
    return str(active["context"].get("namespace") or "default")


def name_of(identity: str | None) -> str:
    """How this process begins its name: as configured, the pod's, or the host's."""
    return identity or os.environ.get("POD_NAME") or socket.gethostname()


def url_of(port: int, path: str) -> str | None:
    """Where other pods reach a path of this one: $POD_IP (the downward API's `status.podIP`); None without it."""
    address = os.environ.get("POD_IP")
    if not address:
        return None
    return f"http://[{address}]:{port}{path}" if ":" in address else f"http://{address}:{port}{path}"


def micro_time(wall: float) -> str:
    """Seconds since the epoch as a MicroTime: RFC 3339 in UTC, with six digits always, as the API server asks."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
