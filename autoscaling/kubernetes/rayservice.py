"""A RayService of KubeRay: which Ray cluster is active now, where its dashboard is, and with which token.

Names of Ray clusters have a random part and change with every upgrade; the RayService's status says which one serves.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from math import ceil
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from autoscaling.kubernetes.api import Api, Refused
from autoscaling.kubernetes.groups import Group
from autoscaling.ray_serve import Failed
from serve.fleet.autoscaling_kubernetes import RayServiceRef

RAY = "/apis/ray.io/v1/namespaces"
DASHBOARD_PORT = 8265
TOKEN_KEY = "auth_token"  # noqa: S105 - KubeRay's name of the entry
GPU = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class Active:
    """The cluster that serves: its dashboard's URL, and the two objects as the API server has them."""

    url: str
    service: Mapping[str, Any]
    cluster: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The RayCluster's."""
        return str(self.cluster["metadata"]["name"])

    @property
    def scales_itself(self) -> bool:
        """Whether Ray's in-tree autoscaler sets the groups' replicas."""
        return bool(self.cluster["spec"].get("enableInTreeAutoscaling"))


class RayService:
    """One RayService. Each call blocks for a few calls of the API server's at most."""

    def __init__(self, api: Api, ref: RayServiceRef) -> None:
        self.namespace = ref.namespace or api.namespace
        self.name = ref.name
        self._api = api
        self.path = f"{RAY}/{self.namespace}/rayservices/{ref.name}"

    def active(self) -> Active:
        """The cluster that serves now. Raises Failed."""
        try:
            found = self._found(self._api.get(self.path), "activeServiceStatus")
        except Refused as error:
            raise Failed(f"RayService {self.namespace}/{self.name}: {error}") from error
        if found is None:
            raise Failed(f"RayService {self.namespace}/{self.name} has no active Ray cluster yet")
        return found

    def pending(self, active: Active) -> Active | None:
        """The cluster that an upgrade prepares; None where there is none, or it has no head yet. Raises Failed."""
        try:
            return self._found(active.service, "pendingServiceStatus")
        except Failed:  # it is being made
            return None
        except Refused as error:
            if error.missing:  # KubeRay writes the name down first
                return None
            raise Failed(f"the next cluster of RayService {self.namespace}/{self.name}: {error}") from error

    def _found(self, service: Mapping[str, Any], which: str) -> Active | None:
        """The cluster that the status names; None where it names none. Raises Failed and Refused."""
        try:
            name = ((service.get("status") or {}).get(which) or {}).get("rayClusterName")
            if not name:
                return None
            cluster = self._api.get(f"{RAY}/{self.namespace}/rayclusters/{name}")
            return Active(self._dashboard(cluster), service, cluster)
        except (LookupError, TypeError, AttributeError) as error:
            raise Failed(f"RayService {self.namespace}/{self.name}: no objects of KubeRay's: {error!r}") from error

    def token(self, active: Active) -> str:
        """The token of the cluster's dashboard; empty where it asks for none. Raises Failed."""
        options = active.cluster["spec"].get("authOptions") or {}
        if options.get("mode") != "token":
            return ""
        secret = options.get("secretName") or active.name
        try:
            found = self._api.get(f"/api/v1/namespaces/{self.namespace}/secrets/{secret}")
            return base64.b64decode(found["data"][TOKEN_KEY], validate=True).decode("ascii").strip()
        except Refused as error:
            raise Failed(f"the token of Ray cluster {self.namespace}/{active.name}: {error}") from error
        except (LookupError, TypeError, binascii.Error, UnicodeError) as error:
            raise Failed(f"secret {self.namespace}/{secret} has no {TOKEN_KEY} that could be sent") from error

    def _dashboard(self, cluster: Mapping[str, Any]) -> str:
        """By address: a new head is found with the status, and not when a name has run out of a cache."""
        status = cluster.get("status") or {}
        head = status.get("head") or {}
        port = (status.get("endpoints") or {}).get("dashboard") or DASHBOARD_PORT
        address = str(head.get("serviceIP") or "")
        try:
            host = f"[{address}]" if ip_address(address).version == 6 else address
        except ValueError:  # none yet, or "None" as of a headless service
            if not head.get("serviceName"):
                raise Failed(f"Ray cluster {self.namespace}/{cluster['metadata']['name']} has no head yet") from None
            host = f"{head['serviceName']}.{self.namespace}.svc"
        return f"http://{host}:{port}"


def groups(spec: Mapping[str, Any]) -> dict[str, Group]:
    """The worker groups of a RayCluster's spec by name. Raises KeyError and the like for another shape."""
    found = (_group(index, entry) for index, entry in enumerate(spec.get("workerGroupSpecs") or ()))
    return {group.name: group for group in found}


def _group(index: int, entry: Mapping[str, Any]) -> Group:
    strategy = entry.get("scaleStrategy") or {}
    least = int(entry.get("minReplicas") or 0)
    return Group(
        name=str(entry["groupName"]),
        index=index,
        replicas=int(entry.get("replicas") or 0),
        least=least,
        most=int(entry.get("maxReplicas", 2**31 - 1)),
        cpus=_resource(entry, "CPU", "num-cpus", "cpu"),
        gpus=_resource(entry, "GPU", "num-gpus", GPU),
        doomed=tuple(strategy.get("workersToDelete") or ()),
        hosts=int(entry.get("numOfHosts") or 1),
    )


def _resource(entry: Mapping[str, Any], ray: str, param: str, kubernetes: str) -> float:
    """A pod's CPUs or GPUs as KubeRay tells Ray: what the group states, else `rayStartParams`, else the limit (for
    CPUs, without one, the request) of the pod's first container, rounded up."""
    for told in ((entry.get("resources") or {}).get(ray), (entry.get("rayStartParams") or {}).get(param)):
        if told is not None:
            return float(parse_quantity(told))
    containers = entry["template"]["spec"]["containers"]
    resources = containers[0].get("resources") or {}
    told = (resources.get("limits") or {}).get(kubernetes) or (resources.get("requests") or {}).get(kubernetes)
    return float(ceil(parse_quantity(told))) if told is not None else 0.0
